/*
 * conn.c - the life of a connection to the admin listener
 *
 * Runs in admin. There is no keep-alive: who watches comes every few seconds.
 */
#include "admin/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define HEAD_WITHIN_MS 5000
#define WRITE_WITHIN_MS 10000
/* How long a peer may take to close after our last word. */
#define CLOSE_WITHIN_MS 1000
/* At the end: how long a head may still take to arrive. */
#define QUIET_MS 500
#define DISCARDS_A_ROUND 16

/* --- life -------------------------------------------------------------- */

static void
set_deadline(struct conn *c, enum conn_state state, uint64_t in_ms)
{
	const struct admin *a = c->admin;

	c->state = state;
	c->deadline_ms = a->loop.now_ms + in_ms;
	if (a->stopping && c->deadline_ms > a->stop_by_ms)
		c->deadline_ms = a->stop_by_ms;
	loop_wake_at(&c->admin->loop, c->deadline_ms);
}

static void
conn_close(struct conn *c)
{
	struct admin *a = c->admin;

	if (c->state == CONN_FREE || c->state == CONN_DEAD)
		return;
	/* Closing the only descriptor removes it from the epoll set. */
	fd_close(&c->watch.fd);
	free(c->out);
	c->out = NULL;
	c->state = CONN_DEAD;
	c->serial++;
	a->n_live--;
}

void
admin_conns_after_round(struct admin *a)
{
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (a->conns[i].state == CONN_DEAD)
			a->conns[i].state = CONN_FREE;
	if (!a->stopping && a->n_live < CONNS_MAX)
		admin_listen(a, true);
}

/* Closing with unread bytes would reset the connection, and the peer might
 * never see our answer. */
static void
finish(struct conn *c)
{
	if (shutdown(c->watch.fd, SHUT_WR) != 0 ||
	    loop_change(&c->admin->loop, &c->watch, EPOLLIN) != 0) {
		conn_close(c);
		return;
	}
	set_deadline(c, CONN_CLOSING, CLOSE_WITHIN_MS);
}

static void
discard(struct conn *c)
{
	for (int i = 0; i < DISCARDS_A_ROUND; i++) {
		ssize_t n = read(c->watch.fd, c->head, sizeof(c->head));

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			conn_close(c);
			return;
		}
	}
	/* It does not stop sending. */
	conn_close(c);
}

/* --- out --------------------------------------------------------------- */

static void
write_on(struct conn *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = write(
		    c->watch.fd, c->out + c->out_at, c->out_len - c->out_at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			conn_close(c);
			return;
		}
		c->out_at += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	finish(c);
}

/* The rest of the parts, behind the bytes that were sent. */
static void
keep_rest(struct conn *c, const struct iovec *parts, int n, size_t sent)
{
	c->out = malloc(http_reply_rest(parts, n, sent, NULL));
	if (c->out == NULL) {
		conn_close(c);
		return;
	}
	c->out_len = http_reply_rest(parts, n, sent, c->out);
	c->out_at = 0;
	if (loop_change(&c->admin->loop, &c->watch, EPOLLOUT) != 0) {
		conn_close(c);
		return;
	}
	set_deadline(c, CONN_WRITING, WRITE_WITHIN_MS);
}

void
admin_reply(struct conn *c, enum http_reply reply, struct span content)
{
	struct iovec parts[HTTP_REPLY_PARTS];
	char date[HTTP_DATE_SIZE];
	struct http_reply_options options = {.content = content,
	    .head = c->head_method,
	    .minor = c->minor,
	    .date = date};
	struct msghdr mh = {.msg_iov = parts};
	size_t total = 0;
	ssize_t sent;
	int n;

	http_date_format(clock_wall_us() / 1000000, date);
	n = http_reply_render(&c->admin->replies, reply, &options, parts);
	for (int i = 0; i < n; i++)
		total += parts[i].iov_len;
	mh.msg_iovlen = (size_t)n;
	sent = sendmsg(c->watch.fd, &mh, MSG_NOSIGNAL);
	if (sent == (ssize_t)total)
		finish(c);
	else if (sent < 0 && errno != EAGAIN)
		conn_close(c);
	else
		keep_rest(c, parts, n, sent < 0 ? 0 : (size_t)sent);
}

/* --- in ---------------------------------------------------------------- */

static void
refuse(struct conn *c, int status)
{
	c->minor = 1;
	c->head_method = false;
	admin_reply(c, http_reply_of_status(status), (struct span){NULL, 0});
}

static void
read_head(struct conn *c)
{
	ssize_t n = read(c->watch.fd, c->head + c->len, HEAD_MAX - c->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	c->len += (size_t)n;
	switch (http_request_parse(
	    &c->request, (struct span){c->head, c->len}, HEAD_MAX)) {
	case HTTP_PARSE_MORE:
		return;
	case HTTP_PARSE_WRONG:
		refuse(c, c->request.status);
		return;
	default:
		admin_answer_request(c);
	}
}

static void
on_event(struct loop_watch *watch, uint32_t events)
{
	struct conn *c = (struct conn *)watch;

	if ((events & EPOLLERR) != 0 ||
	    ((events & EPOLLHUP) != 0 && c->state != CONN_CLOSING))
		conn_close(c);
	else if (c->state == CONN_READING)
		read_head(c);
	else if (c->state == CONN_WRITING)
		write_on(c);
	else if (c->state == CONN_CLOSING)
		discard(c);
}

/* --- who comes in ------------------------------------------------------ */

/* The oldest of those that are waited for makes room; when all wait for the
 * store, which is not for long, new ones wait in the kernel. */
static void
make_room(struct admin *a)
{
	struct conn *oldest = NULL;
	uint64_t held_back;

	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &a->conns[i];

		if (c->state != CONN_DEAD && c->state != CONN_WAITING &&
		    (oldest == NULL || c->since_ms < oldest->since_ms))
			oldest = c;
	}
	if (log_limit_pass(&a->log_full, a->loop.now_ms, &held_back))
		log_warn(
		    "full connections=%d: the oldest is closed", CONNS_MAX);
	if (oldest != NULL)
		conn_close(oldest);
	else
		admin_listen(a, false);
}

void
admin_accept(struct admin *a, int listener)
{
	struct conn *c = NULL;
	uint32_t serial;
	int fd;

	for (size_t i = 0; i < CONNS_MAX && c == NULL; i++)
		if (a->conns[i].state == CONN_FREE)
			c = &a->conns[i];
	if (c == NULL) {
		make_room(a);
		return;
	}
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	serial = c->serial;
	memset(c, 0, offsetof(struct conn, head));
	c->watch = (struct loop_watch){fd, on_event};
	c->admin = a;
	c->serial = serial;
	c->since_ms = a->loop.now_ms;
	http_request_init(&c->request);
	a->n_live++;
	set_deadline(c, CONN_READING, HEAD_WITHIN_MS);
	if (loop_add(&a->loop, &c->watch, EPOLLIN) != 0)
		conn_close(c);
}

/* --- time -------------------------------------------------------------- */

static void
time_out(struct conn *c)
{
	if (c->state == CONN_WAITING)
		admin_answer_without_store(c);
	else if (c->state == CONN_READING && c->len > 0)
		refuse(c, 408);
	else
		conn_close(c);
}

uint64_t
admin_conns_due(struct admin *a)
{
	uint64_t next = 0;

	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &a->conns[i];

		if (c->state != CONN_FREE && c->state != CONN_DEAD &&
		    c->deadline_ms <= a->loop.now_ms)
			time_out(c);
		if (c->state != CONN_FREE && c->state != CONN_DEAD &&
		    (next == 0 || c->deadline_ms < next))
			next = c->deadline_ms;
	}
	return next;
}

void
admin_conns_stop(struct admin *a)
{
	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &a->conns[i];
		uint64_t most = a->stop_by_ms;

		/* A request may be on its way to us, but not for long. */
		if (c->state == CONN_READING &&
		    most > a->loop.now_ms + QUIET_MS)
			most = a->loop.now_ms + QUIET_MS;
		if (c->deadline_ms > most)
			c->deadline_ms = most;
		loop_wake_at(&a->loop, most);
	}
}
