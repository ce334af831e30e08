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
/* So long nobody is taken when the machine has no room for one more. */
#define REST_MS 100

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

/* --- room -------------------------------------------------------------- */

static bool
is_full(const struct web *w, enum room of)
{
	if (of == ROOM_HANDSHAKES)
		return w->https.n_handshakes >= w->settings.handshakes_max;
	return w->free.first == NULL && w->n_used == w->n_conns;
}

/*
 * Who makes room for others, and from when on: the one that idles longest,
 * else the oldest of those whose head or handshake dribbles in. NULL: nobody.
 */
static struct conn *
find_victim(const struct web *w, enum room of, uint64_t *from_ms)
{
	struct conn *shaking, *slow = w->heads.first;
	uint64_t slow_ms;

	if (of == ROOM_CONNECTIONS && w->idle.first != NULL) {
		*from_ms = w->loop.now_ms;
		return w->idle.first;
	}
	shaking = handshakes_find_oldest(w, from_ms);
	if (of == ROOM_HANDSHAKES || slow == NULL)
		return shaking;
	slow_ms =
	    slow->deadline_ms + SLOW_HEAD_MS - w->settings.header_timeout_ms;
	if (shaking != NULL && *from_ms < slow_ms)
		return shaking;
	*from_ms = slow_ms;
	return slow;
}

/* What is closed can be used from the next round on. */
static bool
make_room(struct web *w, enum room of)
{
	uint64_t from_ms;
	struct conn *victim = find_victim(w, of, &from_ms);

	if (victim == NULL || from_ms > w->loop.now_ms)
		return false;
	w->counters[COUNTER_CONNECTIONS_RECYCLED]++;
	if (victim->state == CONN_HANDSHAKE)
		handshake_make_room(w, victim);
	else
		conn_close(w, victim);
	return true;
}

/* Whether one more can be taken now. At the end nobody makes room: those who
 * idle then are few, and wait for a request that is on its way. */
static bool
has_room(struct web *w, enum room of)
{
	if (!is_full(w, of))
		return true;
	if (w->stopping || !make_room(w, of))
		web_pause_listening(w, of);
	return false;
}

static void
look_for_room(struct web *w, enum room of)
{
	uint64_t from_ms;

	if (is_full(w, of)) {
		if (find_victim(w, of, &from_ms) == NULL)
			return;
		if (from_ms > w->loop.now_ms) {
			loop_wake_at(&w->loop, from_ms);
			return;
		}
	}
	web_resume_listening(w, of);
}

void
conns_look_for_room(struct web *w)
{
	for (int of = 0; of < ROOMS; of++)
		if (w->full[of] && !w->stopping)
			look_for_room(w, (enum room)of);
	if (w->rest_until_ms == 0)
		return;
	if (w->rest_until_ms > w->loop.now_ms) {
		loop_wake_at(&w->loop, w->rest_until_ms);
		return;
	}
	w->rest_until_ms = 0;
	web_update_listening(w);
}

/* --- accept ------------------------------------------------------------ */

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

/* accept(2) failed. What the machine lacks it lacks for the next one too, who
 * is still there: asking again at once would be all that the worker does. */
static void
fail(struct web *w, int error)
{
	uint64_t held_back;

	if (error == EAGAIN || error == ECONNABORTED || error == EINTR)
		return;
	if (error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM) {
		w->rest_until_ms = w->loop.now_ms + REST_MS;
		web_update_listening(w);
	}
	if (log_limit_pass(&w->log_accept, w->loop.now_ms, &held_back))
		log_err("accept error=\"%s\" more=%" PRIu64, strerror(error),
		    held_back);
}

/*
 * One connection an event: the others that wait wake other workers. See
 * end_turn in main.c.
 */
bool
conn_accept(struct web *w, int listener, bool https)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint from;
	int fd;

	if (!has_room(w, ROOM_CONNECTIONS) ||
	    (https && !has_room(w, ROOM_HANDSHAKES)))
		return false;
	fd = accept4(listener, (struct sockaddr *)&sa, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && endpoint_from_sockaddr(&sa, &from) == 0) {
		begin(w, fd, &from, https);
		return true;
	}
	fail(w, fd >= 0 ? EAFNOSUPPORT : errno);
	fd_close(&fd);
	return false;
}
