/*
 * tls.c - connections that speak TLS: handshakes, bytes in and out
 *
 * Runs in the web worker. The engine (tls/tls.h) turns bytes into bytes; this
 * file moves them from and to the socket, and gives HTTP what recv would have
 * given. What is encrypted is never more than the reply that is due.
 *
 * Established connections go first: handshakes under way are counted, and only
 * so many steps of them are made in a round of events.
 */
#include "web/internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Steps of handshakes in one round of events, 0.1 ms each. */
#define STEPS_A_ROUND 16
/* A handshake that takes so long may make room for others. */
#define SLOW_HANDSHAKE_MS 1000
/* At the end: how long one that has said nothing yet may start to. */
#define QUIET_MS 500
/* Free slots whose memory is kept. */
#define KEPT_SLOTS 128
/* Beside the engine's reasons: its time was over. */
#define REASON_TIMEOUT TLS_REASONS

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
	h->left = STEPS_A_ROUND;
	return 0;
}

/* --- memory ------------------------------------------------------------ */

/* There are as many slots as connections: taking one cannot fail. */
static void
slot_take(struct web *w, struct conn *c)
{
	struct https *h = &w->https;
	void *memory;

	if (h->n_free > 0)
		memory = h->free[--h->n_free];
	else
		memory = h->memory + h->n_used++ * h->slot_size;
	h->server.now_s = (uint32_t)(w->loop.now_ms / 1000);
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

static void
leave_handshake(struct web *w, struct conn *c)
{
	keepers_forget(w, c);
	c->deferred = false;
	w->https.n_handshakes--;
}

void
tls_leave(struct web *w, struct conn *c)
{
	if (!c->https)
		return;
	if (c->state == CONN_HANDSHAKE)
		leave_handshake(w, c);
	slot_leave(w, c);
}

/* --- bytes ------------------------------------------------------------- */

/*
 * What the engine has to say. What the socket does not take is kept. -1: it
 * cannot be sent.
 */
static int
flush(struct web *w, struct conn *c)
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

/* Feeds the engine once, as recv. */
static ssize_t
feed(struct web *w, struct conn *c)
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
		if (flush(w, c) != 0 || c->out_len > 0) {
			errno = EPIPE;
			return -1;
		}
		if (tls_state(c->tls) != TLS_OPEN)
			return 0;
		/* It may have gone on with what it had. */
		if (tls_plaintext(c->tls).len == 0 && (n = feed(w, c)) <= 0)
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

/* --- failing ----------------------------------------------------------- */

/* By enum tls_reason, and the time-out. */
static const enum counter failed_counters[TLS_REASONS + 1] = {
    [TLS_REASON_CLIENT_ALERT] = COUNTER_TLS_FAILED_CLIENT_ALERT,
    [TLS_REASON_CLOSED] = COUNTER_TLS_FAILED_CLOSED,
    [TLS_REASON_NOT_TLS] = COUNTER_TLS_FAILED_NOT_TLS,
    [TLS_REASON_VERSION] = COUNTER_TLS_FAILED_VERSION,
    [TLS_REASON_SUITE] = COUNTER_TLS_FAILED_SUITE,
    [TLS_REASON_NAME] = COUNTER_TLS_FAILED_NAME,
    [TLS_REASON_PROTOCOL] = COUNTER_TLS_FAILED_PROTOCOL,
    [TLS_REASON_BROKEN] = COUNTER_TLS_FAILED_BROKEN,
    [TLS_REASON_SIGNATURE] = COUNTER_TLS_FAILED_SIGNATURE,
    [TLS_REASON_NONE] = COUNTER_TLS_FAILED_INTERNAL,
    [TLS_REASON_INTERNAL] = COUNTER_TLS_FAILED_INTERNAL,
    [REASON_TIMEOUT] = COUNTER_TLS_FAILED_TIMEOUT,
};

static void
report(struct web *w, const struct conn *c, unsigned int reason,
    const struct tls_failure *f)
{
	char address[ADDR_TEXT_SIZE], name[TLS_NAME_MAX + 16];
	struct span sni = {NULL, 0};
	uint64_t held_back;

	w->counters[failed_counters[reason]]++;
	if (!log_limit_pass(
		&w->https.log_failed[reason], w->loop.now_ms, &held_back))
		return;
	if (c->tls != NULL)
		sni = tls_info(c->tls).name;
	log_warn("tls failed reason=\"%s\" detail=\"%s\" alert=%u name=%s "
		 "address=%s more=%" PRIu64,
	    reason == REASON_TIMEOUT ? "timeout"
				     : tls_reason_text((enum tls_reason)reason),
	    f->text, f->alert, log_escape(sni, name, sizeof(name)),
	    access_shown(w, &c->peer, address), held_back);
}

/* The handshake failed, and the alert is on its way. */
static void
fail(struct web *w, struct conn *c)
{
	struct tls_failure f = tls_failure(c->tls);
	bool heard = f.reason != TLS_REASON_CLOSED &&
		     f.reason != TLS_REASON_CLIENT_ALERT;

	if (f.text == NULL)
		f.text = "it ended before it was done";
	if (tls_is_proxy_header(&f))
		w->counters[COUNTER_PROXY_HEADERS_UNEXPECTED]++;
	report(w, c, f.reason, &f);
	/* Closing at once might reset the connection, and the alert would not
	 * be seen. */
	c->linger = heard;
	if (heard)
		conn_finish(w, c);
	else
		conn_close(w, c);
}

void
tls_lose(struct web *w, struct conn *c)
{
	static const struct tls_failure left = {
	    TLS_REASON_CLOSED, 0, "the client left in the handshake"};

	/* Who connects and says nothing is no client that failed. */
	if (c->spoke)
		report(w, c, TLS_REASON_CLOSED, &left);
	conn_close(w, c);
}

static void
give_up(struct web *w, struct conn *c, const char *why)
{
	struct tls_failure f = {TLS_REASON_CLOSED, 0, why};

	report(w, c, REASON_TIMEOUT, &f);
	conn_close(w, c);
}

static bool
waits_for_keeper(const struct conn *c)
{
	return c->tls != NULL && tls_state(c->tls) == TLS_WANT_SIGNATURE;
}

void
tls_time_out(struct web *w, struct conn *c)
{
	if (!waits_for_keeper(c)) {
		give_up(w, c, "the client took too long");
		return;
	}
	tls_signed(c->tls, (struct span){NULL, 0});
	if (flush(w, c) == 0)
		fail(w, c);
	else
		tls_lose(w, c);
}

/* The one that has waited longest for its client; NULL: none does. */
static struct conn *
find_oldest(const struct web *w)
{
	struct conn *c = w->https.handshakes.first;

	while (c != NULL && waits_for_keeper(c))
		c = c->next;
	return c;
}

/* From when on it may make room for others. */
static uint64_t
slow_from_ms(const struct web *w, const struct conn *c)
{
	return c->deadline_ms + SLOW_HANDSHAKE_MS -
	       w->settings.handshake_timeout_ms;
}

bool
tls_make_room(struct web *w)
{
	struct conn *c = find_oldest(w);

	if (c == NULL || slow_from_ms(w, c) > w->loop.now_ms)
		return false;
	w->counters[COUNTER_CONNECTIONS_RECYCLED]++;
	give_up(w, c, "slow, and it had to make room for others");
	return true;
}

/* Whether those who wait in the kernel can be let in. */
static void
look_for_room(struct web *w)
{
	const struct conn *c = find_oldest(w);

	if (w->https.n_handshakes >= w->settings.handshakes_max) {
		if (c != NULL && slow_from_ms(w, c) > w->loop.now_ms)
			loop_wake_at(&w->loop, slow_from_ms(w, c));
		if (c == NULL || slow_from_ms(w, c) > w->loop.now_ms)
			return;
	}
	w->https.full = false;
	web_update_listening(w);
}

/* --- handshakes -------------------------------------------------------- */

/*
 * Begins to speak TLS, behind the PROXY header when one is due. true: there is
 * something to go on with.
 */
static bool
begin(struct web *w, struct conn *c)
{
	struct head *h = conn_head(w, c);
	size_t most = w->head_size < TLS_FEED_MAX ? w->head_size : TLS_FEED_MAX;
	ssize_t n;

	if (!c->proxy_due) {
		slot_take(w, c);
		return true;
	}
	if (!c->readable)
		return false;
	do
		n = recv(c->watch.fd, h->bytes + h->len, most - h->len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		c->readable = false;
		return false;
	}
	if (n <= 0) {
		tls_lose(w, c);
		return false;
	}
	h->len += (size_t)n;
	if (!conn_take_proxy(w, c, h)) {
		if (c->state != CONN_FREE)
			conn_keep_head(w, c, h);
		return c->state != CONN_FREE;
	}
	slot_take(w, c);
	c->spoke = h->len > 0;
	tls_feed(c->tls, (struct span){h->bytes, h->len});
	conn_drop_head(w, c);
	return true;
}

static void
finish_handshake(struct web *w, struct conn *c)
{
	w->counters[COUNTER_TLS_HANDSHAKES]++;
	if (tls_info(c->tls).resumed)
		w->counters[COUNTER_TLS_RESUMPTIONS]++;
	leave_handshake(w, c);
	conn_list_remove(c);
	c->state = CONN_HEAD;
	conn_advance(w, c);
}

static bool
read_on(struct web *w, struct conn *c)
{
	ssize_t n = tls_wants_input(c->tls) ? feed(w, c) : -1;

	if (n > 0) {
		c->spoke = true;
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		tls_lose(w, c);
	return false;
}

/* false: it waits, or is over. */
static bool
step(struct web *w, struct conn *c)
{
	int kept = c->out_len > 0 ? conn_send_kept(w, c) : 0;

	if (kept > 0)
		return false;
	if (kept < 0 || (c->tls != NULL && flush(w, c) != 0)) {
		tls_lose(w, c);
		return false;
	}
	if (c->tls == NULL)
		return begin(w, c);
	switch (tls_state(c->tls)) {
	case TLS_HANDSHAKE:
		return c->out_len == 0 && read_on(w, c);
	case TLS_WANT_SIGNATURE:
		keepers_want(w, c);
		return false;
	case TLS_OPEN:
	case TLS_CLOSED: /* done, and the client has left again */
		if (c->out_len == 0)
			finish_handshake(w, c);
		return false;
	default:
		fail(w, c);
		return false;
	}
}

static void
advance(struct web *w, struct conn *c)
{
	w->https.left--;
	c->deferred = false;
	while (c->state == CONN_HANDSHAKE && step(w, c))
		;
}

void
tls_welcome(struct web *w, struct conn *c)
{
	c->state = CONN_HANDSHAKE;
	w->https.n_handshakes++;
	conn_wait(w, c, &w->https.handshakes, w->settings.handshake_timeout_ms);
	tls_go_on(w, c);
}

void
tls_go_on(struct web *w, struct conn *c)
{
	/* The quiet ones of tls_stop. */
	if (c->list != &w->https.handshakes)
		conn_wait(w, c, &w->https.handshakes,
		    w->settings.handshake_timeout_ms);
	if (w->https.left > 0) {
		advance(w, c);
		return;
	}
	c->deferred = true;
	w->https.deferred = true;
}

void
tls_stop(struct web *w)
{
	struct conn *c, *next;

	for (c = w->https.handshakes.first; c != NULL; c = next) {
		next = c->next;
		if (!c->spoke)
			conn_wait(w, c, &w->idle, QUIET_MS);
	}
}

void
tls_after_round(struct web *w)
{
	struct https *h = &w->https;
	struct conn *c, *next;

	if (w->settings.n_https == 0)
		return;
	h->left = STEPS_A_ROUND;
	if (h->deferred) {
		h->deferred = false;
		for (c = h->handshakes.first; c != NULL && h->left > 0;
		     c = next) {
			next = c->next;
			if (c->deferred)
				advance(w, c);
		}
		h->deferred = c != NULL;
		w->loop.poll_once = w->loop.poll_once || h->deferred;
		h->left = STEPS_A_ROUND;
	}
	keepers_flush(w);
	if (h->full)
		look_for_room(w);
}
