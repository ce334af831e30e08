/*
 * accept.c - who comes in: new connections, their addresses, their limits
 *
 * Runs in the web worker. What a connection says of itself (a PROXY header) is
 * believed of trusted proxies only.
 */
#include "web/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"

/* A head that has been arriving for so long may make room for others. */
#define SLOW_HEAD_MS 1000

/* --- who --------------------------------------------------------------- */

static bool
is_trusted(const struct web *w, const struct addr *a)
{
	return networks_contain(w->trusted, w->n_trusted, a);
}

static bool
wants_proxy(const struct web *w, bool https)
{
	return w->settings.proxy_protocol == IPC_PROXY_ALL ||
	       (w->settings.proxy_protocol == IPC_PROXY_HTTPS && https);
}

/* Counts the connection for its address; -1 when there are too many. */
static int
enter(struct web *w, struct conn *c)
{
	char shown[ADDR_TEXT_SIZE];
	uint64_t held_back;

	if (is_trusted(w, &c->peer))
		return 0;
	c->counted = limits_enter(
	    &w->limits, &c->peer, w->settings.max_connections_per_address);
	if (c->counted)
		return 0;
	w->counters[COUNTER_CONNECTIONS_REFUSED]++;
	if (log_limit_pass(&w->log_refused, w->loop.now_ms, &held_back))
		log_warn("refuse address=%s reason=\"more than "
			 "max_connections_per_address = %" PRIu32
			 "\" more=%" PRIu64,
		    access_shown(w, &c->peer, shown),
		    w->settings.max_connections_per_address, held_back);
	return -1;
}

static void
warn_of_proxy(struct web *w, struct conn *c, const char *what)
{
	char shown[ADDR_TEXT_SIZE];
	uint64_t held_back;

	w->counters[COUNTER_PROXY_HEADERS_BAD]++;
	if (!log_limit_pass(&w->log_proxy, w->loop.now_ms, &held_back))
		return;
	addr_format(&c->peer, shown);
	log_warn("proxy address=%s reason=\"%s\" more=%" PRIu64, shown, what,
	    held_back);
}

bool
conn_take_proxy(struct web *w, struct conn *c, struct head *h)
{
	struct addr client = c->peer;
	size_t len = 0;

	switch (
	    http_proxy_parse((struct span){h->bytes, h->len}, &len, &client)) {
	case HTTP_PROXY_MORE:
		return false;
	case HTTP_PROXY_BAD:
		warn_of_proxy(w, c, "a broken PROXY header");
		w->counters[COUNTER_REQUESTS_REFUSED]++;
		if (c->https) {
			conn_close(w, c);
			return false;
		}
		conn_refuse(w, c, h, HTTP_REPLY_BAD_REQUEST);
		return false;
	case HTTP_PROXY_ABSENT:
		warn_of_proxy(w, c,
		    "no PROXY header although proxy_protocol asks for one; "
		    "its own address is used");
		break;
	default:
		conn_consume_head(h, len);
		c->peer = client;
	}
	c->proxy_due = false;
	if (enter(w, c) == 0)
		return true;
	conn_close(w, c);
	return false;
}

/* --- accept ------------------------------------------------------------ */

/* An idle connection, or one whose head dribbles in, makes room; it can be
 * used from the next round on. */
static void
make_room(struct web *w)
{
	struct conn *victim = w->idle.first;
	uint64_t young = w->loop.now_ms + w->settings.header_timeout_ms;

	if (victim == NULL && w->heads.first != NULL &&
	    w->heads.first->deadline_ms + SLOW_HEAD_MS <= young)
		victim = w->heads.first;
	if (victim == NULL && handshakes_make_room(w))
		return;
	if (victim != NULL) {
		w->counters[COUNTER_CONNECTIONS_RECYCLED]++;
		conn_close(w, victim);
		return;
	}
	web_pause_listening(w);
}

static struct conn *
conn_take(struct web *w)
{
	struct conn *c = w->free.first;

	if (c != NULL)
		conn_list_remove(c);
	else if (w->n_used < w->n_conns)
		c = &w->conns[w->n_used++];
	return c;
}

static void
begin(struct web *w, int fd, const struct endpoint *from, bool https)
{
	struct conn *c = conn_take(w);
	uint32_t serial = c->serial;

	*c = (struct conn){.watch = {fd, conn_on_event},
	    .web = w,
	    .serial = serial,
	    .state = CONN_HEAD,
	    .readable = true,
	    .minor = 1,
	    .https = https,
	    .keeper = -1,
	    .peer = from->addr};
	w->n_live++;
	w->counters[COUNTER_CONNECTIONS]++;
	c->proxy_due = wants_proxy(w, https) && is_trusted(w, &c->peer);
	if ((!c->proxy_due && enter(w, c) != 0) ||
	    loop_add(&w->loop, &c->watch, EPOLLIN | EPOLLRDHUP | EPOLLET) !=
		0) {
		conn_close(w, c);
		return;
	}
	if (https)
		handshake_begin(w, c);
	else
		conn_advance(w, c);
}

static bool
has_room(const struct web *w)
{
	return w->free.first != NULL || w->n_used < w->n_conns;
}

/*
 * One connection an event: the others that wait wake other workers, and so
 * spread over all of them.
 */
bool
conn_accept(struct web *w, int listener, bool https)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint from;
	uint64_t held_back;
	int fd;

	if (!has_room(w)) {
		make_room(w);
		return false;
	}
	/* One that made room did so for the next event. */
	if (https && w->https.n_handshakes >= w->settings.handshakes_max) {
		if (!handshakes_make_room(w)) {
			w->https.full = true;
			web_update_listening(w);
		}
		return false;
	}
	fd = accept4(listener, (struct sockaddr *)&sa, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && endpoint_from_sockaddr(&sa, &from) == 0) {
		begin(w, fd, &from, https);
		return true;
	}
	fd_close(&fd);
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR &&
	    log_limit_pass(&w->log_accept, w->loop.now_ms, &held_back))
		log_err("accept error=\"%s\" more=%" PRIu64, strerror(errno),
		    held_back);
	return false;
}
