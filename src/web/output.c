/*
 * output.c - a reply on its way to the visitor
 *
 * Runs in the web worker. One call; when the peer's window is full, the
 * rest is kept on the heap, within a budget, until the peer reads.
 */
#include "web/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

/* All rests of one worker together; beyond it slow readers are cut off. */
#define HEAP_OUT_MAX (8u << 20)

/* The wall clock is read once a second. */
static const char *
date_of(struct web *w)
{
	int64_t us;

	if (w->loop.now_ms >= w->date_until_ms) {
		us = clock_wall_us();
		http_date_format(us / 1000000, w->date);
		w->date_until_ms =
		    w->loop.now_ms + 1000 - (uint64_t)(us / 1000 % 1000);
	}
	return w->date;
}

/*
 * One small piece is cheaper for the kernel than a list of parts, also with
 * the copy that makes it.
 */
static ssize_t
send_parts(
    struct web *w, struct conn *c, struct iovec *parts, int n, size_t total)
{
	struct msghdr mh = {.msg_iov = parts, .msg_iovlen = (size_t)n};
	size_t used = 0;
	ssize_t sent;

	for (int i = 0; total <= sizeof(w->reply) && i < n; i++) {
		memcpy(w->reply + used, parts[i].iov_base, parts[i].iov_len);
		used += parts[i].iov_len;
	}
	/* write, as conn.c reads; SIGPIPE is ignored in every role. */
	do
		sent = used > 0 ? write(c->watch.fd, w->reply, used)
				: sendmsg(c->watch.fd, &mh, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* The reply is with the kernel: what comes next. */
static void
complete(struct web *w, struct conn *c)
{
	link_release(c->link);
	c->link = NULL;
	if (c->keep_alive && !w->stopping)
		conn_set_idle(w, c);
	else
		conn_finish(w, c);
}

int
conn_keep_rest(struct web *w, struct conn *c, const struct iovec *parts, int n,
    size_t sent)
{
	size_t left = http_reply_rest(parts, n, sent, NULL);

	if (left == 0 || left > HEAP_OUT_MAX - w->heap_out)
		return -1;
	c->out = malloc(left);
	if (c->out == NULL)
		return -1;
	c->out_len = http_reply_rest(parts, n, sent, c->out);
	c->out_at = 0;
	w->heap_out += c->out_len;
	return 0;
}

static void
await_writable(struct web *w, struct conn *c)
{
	c->state = CONN_WRITING;
	conn_wait(w, c, &w->writing, w->settings.idle_timeout_ms);
	if (loop_change(&w->loop, &c->watch,
		EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) != 0)
		conn_close(w, c);
}

void
conn_reply(struct web *w, struct conn *c, enum http_reply reply)
{
	struct iovec parts[HTTP_REPLY_PARTS];
	struct http_reply_options options = {
	    .head = c->head_method,
	    .keep_alive = c->keep_alive && !w->stopping,
	    .minor = c->minor,
	    .date = date_of(w),
	};
	size_t total = 0, body;
	ssize_t sent;
	bool failed;
	int n;

	if (c->link != NULL)
		options.location =
		    (struct span){c->link->location, c->link->location_len};
	options.content = w->challenge;
	n = http_reply_render(&w->replies, reply, &options, parts);
	for (int i = 0; i < n; i++)
		total += parts[i].iov_len;
	/* The last part, when there is a body. */
	body = options.head ? 0 : parts[n - 1].iov_len;
	if (c->tls != NULL) {
		struct span sealed =
		    tls_seal(w, c, parts, n, !options.keep_alive);

		/* Empty when the engine cannot speak any more. */
		parts[0] = (struct iovec){w->https.sealed, sealed.len};
		n = 1;
		total = sealed.len;
	}
	sent = send_parts(w, c, parts, n, total);
	failed = sent < 0 && errno != EAGAIN;
	w->counters[COUNTER_REQUESTS]++;
	access_end(w, c, http_reply_status(reply), failed ? 0 : body);
	if (sent == (ssize_t)total && total > 0) {
		complete(w, c);
		return;
	}
	if (failed) {
		conn_close(w, c);
		return;
	}
	if (conn_keep_rest(w, c, parts, n, sent < 0 ? 0 : (size_t)sent) != 0) {
		conn_close(w, c);
		return;
	}
	await_writable(w, c);
}

int
conn_send_kept(struct web *w, struct conn *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->watch.fd, c->out + c->out_at,
		    c->out_len - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		c->out_at += (size_t)n;
	}
	w->heap_out -= c->out_len;
	free(c->out);
	c->out = NULL;
	c->out_len = 0;
	return 0;
}

void
conn_write_on(struct web *w, struct conn *c)
{
	int kept = conn_send_kept(w, c);

	if (kept < 0)
		conn_close(w, c);
	if (kept != 0)
		return;
	conn_list_remove(c);
	complete(w, c);
	if (c->state == CONN_IDLE) {
		c->readable = true;
		conn_advance(w, c);
	}
}
