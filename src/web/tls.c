/*
 * tls.c - connections that speak TLS: their memory, their bytes
 *
 * Runs in the web worker. The engine (tls/tls.h) turns bytes into bytes; this
 * file moves them from and to the socket, and gives HTTP what recv would have
 * given. What is encrypted is never more than the reply that is due. How they
 * come to speak it is in handshake.c.
 */
#include "web/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/clock.h"

/* Free slots whose memory is kept. */
#define KEPT_SLOTS 128
/* Of the table of sessions, a piece. */
#define SWEEP_EVERY_MS 1000

/* --- start ------------------------------------------------------------- */

int
tls_open(struct web *w, int sessions_fd, struct err *e)
{
	struct https *h = &w->https;
	void *sessions;

	if (w->settings.n_https == 0)
		return 0;
	if (tls_init(e) != 0 || certificates_open(w, e) != 0)
		return -1;
	h->slot_size = tls_conn_size();
	h->memory =
	    mmap(NULL, w->n_conns * h->slot_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	h->free = calloc(w->n_conns, sizeof(struct tls_conn *));
	h->received = calloc(1, TLS_FEED_MAX);
	h->sealed = calloc(1, TLS_SEALED_SIZE);
	if (h->memory == MAP_FAILED || h->free == NULL || h->received == NULL ||
	    h->sealed == NULL)
		return err_errno(e, "no memory for TLS");
	sessions = mmap(NULL, IPC_SESSIONS_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED, sessions_fd, 0);
	if (sessions == MAP_FAILED)
		return err_errno(e, "cannot map the sessions of TLS");
	tls_sessions_open(&h->sessions, sessions, IPC_SESSIONS_SIZE,
	    &(struct hash_key){w->settings.s0, w->settings.s1});
	h->server.sessions = &h->sessions;
	h->server.session_life_s = w->settings.session_life_s;
	h->server.random = tls_random;
	return 0;
}

/* Beside the counters: a worker without visitors wakes for nothing else. */
void
tls_forget_sessions(struct web *w)
{
	struct https *h = &w->https;

	if (h->server.sessions == NULL || w->loop.now_ms < h->next_sweep_ms)
		return;
	tls_sessions_sweep(&h->sessions, (uint32_t)(w->loop.now_ms / 1000));
	h->next_sweep_ms = w->loop.now_ms + SWEEP_EVERY_MS;
}

/* --- memory ------------------------------------------------------------ */

/* There are as many slots as connections: taking one cannot fail. */
void
tls_enter(struct web *w, struct conn *c)
{
	struct https *h = &w->https;
	void *memory;

	if (h->n_free > 0)
		memory = h->free[--h->n_free];
	else
		memory = h->memory + h->n_used++ * h->slot_size;
	h->server.now_s = (uint32_t)(w->loop.now_ms / 1000);
	h->server.wall_s = clock_wall_us() / 1000000;
	c->tls = tls_begin(&h->server, memory);
	c->tls_taken = 0;
}

void
tls_rest(struct conn *c)
{
	struct span spare = tls_spare(c->tls);
	uint8_t *memory = (uint8_t *)c->tls;

	if (spare.len > 0)
		(void)madvise(
		    memory + (spare.p - memory), spare.len, MADV_DONTNEED);
}

static void
slot_leave(struct web *w, struct conn *c)
{
	struct https *h = &w->https;

	if (c->tls == NULL)
		return;
	tls_end(c->tls);
	if (h->n_free >= KEPT_SLOTS)
		(void)madvise(c->tls, h->slot_size, MADV_DONTNEED);
	else
		tls_rest(c);
	h->free[h->n_free++] = c->tls;
	c->tls = NULL;
}

void
tls_leave(struct web *w, struct conn *c)
{
	if (!c->https)
		return;
	if (c->state == CONN_HANDSHAKE)
		handshake_leave(w, c);
	slot_leave(w, c);
}

/* --- bytes ------------------------------------------------------------- */

int
tls_flush(struct web *w, struct conn *c)
{
	size_t len;

	while (c->out_len == 0 &&
	       (len = tls_take(c->tls, w->https.sealed, TLS_SEALED_SIZE)) > 0) {
		struct iovec part = {w->https.sealed, len};
		ssize_t n;

		do
			n = send(c->watch.fd, part.iov_base, len, MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
		if (n == (ssize_t)len)
			continue;
		if ((n < 0 && errno != EAGAIN) ||
		    conn_keep_rest(w, c, &part, 1, n < 0 ? 0 : (size_t)n) !=
			0 ||
		    loop_change(&w->loop, &c->watch,
			EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) != 0)
			return -1;
	}
	return 0;
}

ssize_t
tls_fetch(struct web *w, struct conn *c)
{
	ssize_t n;

	if (!c->readable) {
		errno = EAGAIN;
		return -1;
	}
	do
		n = recv(c->watch.fd, w->https.received, TLS_FEED_MAX, 0);
	while (n < 0 && errno == EINTR);
	if (n < TLS_FEED_MAX && !c->half_closed)
		c->readable = false;
	if (n > 0)
		tls_feed(c->tls, (struct span){w->https.received, (size_t)n});
	return n;
}

/*
 * The engine is told that bytes were taken when more are wanted: behind them
 * may come the client's good-bye, after which nothing can be sent.
 */
ssize_t
tls_receive(struct web *w, struct conn *c, uint8_t *p, size_t room)
{
	struct span plain;
	ssize_t n;

	tls_consume(c->tls, c->tls_taken);
	c->tls_taken = 0;
	while ((plain = tls_plaintext(c->tls)).len == 0) {
		if (tls_flush(w, c) != 0 || c->out_len > 0) {
			errno = EPIPE;
			return -1;
		}
		if (tls_state(c->tls) != TLS_OPEN)
			return 0;
		/* It may have gone on with what it had. */
		if (tls_plaintext(c->tls).len == 0 &&
		    (n = tls_fetch(w, c)) <= 0)
			return n;
	}
	if (plain.len < room)
		room = plain.len;
	memcpy(p, plain.p, room);
	c->tls_taken = room;
	return (ssize_t)room;
}

/* Output of the engine behind what is in `sealed` already. */
static size_t
take_behind(struct web *w, struct conn *c, size_t used)
{
	return used +
	       tls_take(c->tls, w->https.sealed + used, TLS_SEALED_SIZE - used);
}

struct span
tls_seal(
    struct web *w, struct conn *c, const struct iovec *parts, int n, bool last)
{
	size_t used = 0;

	for (int i = 0; i < n; i++) {
		struct span rest = {parts[i].iov_base, parts[i].iov_len};

		while (rest.len > 0) {
			size_t before = used;
			size_t taken = tls_write(c->tls, rest);

			rest.p += taken;
			rest.len -= taken;
			if (rest.len > 0)
				used = take_behind(w, c, used);
			if (taken == 0 && used == before)
				return (struct span){NULL, 0};
		}
	}
	if (last)
		tls_close(c->tls);
	used = take_behind(w, c, used);
	return (struct span){w->https.sealed, used};
}

void
tls_say_bye(struct web *w, struct conn *c)
{
	size_t len;

	if (c->tls == NULL || tls_state(c->tls) != TLS_OPEN || c->out_len > 0)
		return;
	tls_close(c->tls);
	len = tls_take(c->tls, w->https.sealed, TLS_SEALED_SIZE);
	(void)send(c->watch.fd, w->https.sealed, len, MSG_NOSIGNAL);
}
