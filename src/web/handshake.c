/*
 * handshake.c - handshakes of TLS: begun, driven, failed, and room for them
 *
 * Runs in the web worker. Established connections go first: handshakes under
 * way are counted, and only so many steps of them are made in a round of
 * events.
 */
#include "web/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>

/* Steps of handshakes in one round of events, 0.1 ms each. */
#define STEPS_A_ROUND 16
/* A handshake that takes so long may make room for others. */
#define SLOW_HANDSHAKE_MS 1000
/* Beside the engine's reasons: its time was over. */
#define REASON_TIMEOUT TLS_REASONS

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
handshake_lose(struct web *w, struct conn *c)
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
handshake_time_out(struct web *w, struct conn *c)
{
	if (!waits_for_keeper(c)) {
		give_up(w, c, "the client took too long");
		return;
	}
	tls_signed(c->tls, (struct span){NULL, 0});
	if (tls_flush(w, c) == 0)
		fail(w, c);
	else
		handshake_lose(w, c);
}

/* --- room for others --------------------------------------------------- */

struct conn *
handshakes_find_oldest(const struct web *w, uint64_t *slow_from_ms)
{
	struct conn *c = w->https.handshakes.first;

	while (c != NULL && waits_for_keeper(c))
		c = c->next;
	if (c != NULL)
		*slow_from_ms = c->deadline_ms + SLOW_HANDSHAKE_MS -
				w->settings.handshake_timeout_ms;
	return c;
}

void
handshake_make_room(struct web *w, struct conn *c)
{
	give_up(w, c, "slow, and it had to make room for others");
}

/* --- steps ------------------------------------------------------------- */

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
		tls_enter(w, c);
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
		handshake_lose(w, c);
		return false;
	}
	h->len += (size_t)n;
	if (!conn_take_proxy(w, c, h)) {
		if (c->state != CONN_FREE)
			conn_keep_head(w, c, h);
		return c->state != CONN_FREE;
	}
	tls_enter(w, c);
	c->spoke = h->len > 0;
	tls_feed(c->tls, (struct span){h->bytes, h->len});
	conn_drop_head(w, c);
	return true;
}

void
handshake_leave(struct web *w, struct conn *c)
{
	keepers_forget(w, c);
	c->deferred = false;
	w->https.n_handshakes--;
}

static void
finish_handshake(struct web *w, struct conn *c)
{
	w->counters[COUNTER_TLS_HANDSHAKES]++;
	if (tls_info(c->tls).resumed)
		w->counters[COUNTER_TLS_RESUMPTIONS]++;
	handshake_leave(w, c);
	conn_list_remove(c);
	c->state = CONN_HEAD;
	conn_advance(w, c);
}

static bool
read_on(struct web *w, struct conn *c)
{
	ssize_t n = tls_wants_input(c->tls) ? tls_fetch(w, c) : -1;

	if (n > 0) {
		c->spoke = true;
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		handshake_lose(w, c);
	return false;
}

/* false: it waits, or is over. */
static bool
step(struct web *w, struct conn *c)
{
	int kept = c->out_len > 0 ? conn_send_kept(w, c) : 0;

	if (kept > 0)
		return false;
	if (kept < 0 || (c->tls != NULL && tls_flush(w, c) != 0)) {
		handshake_lose(w, c);
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
	w->https.steps++;
	c->deferred = false;
	while (c->state == CONN_HANDSHAKE && step(w, c))
		;
}

/* --- from outside ------------------------------------------------------ */

void
handshake_begin(struct web *w, struct conn *c)
{
	c->state = CONN_HANDSHAKE;
	w->https.n_handshakes++;
	conn_wait(w, c, &w->https.handshakes, w->settings.handshake_timeout_ms);
	handshake_go_on(w, c);
}

void
handshake_go_on(struct web *w, struct conn *c)
{
	/* The quiet ones of handshakes_stop. */
	if (c->list != &w->https.handshakes)
		conn_wait(w, c, &w->https.handshakes,
		    w->settings.handshake_timeout_ms);
	if (w->https.steps < STEPS_A_ROUND) {
		advance(w, c);
		return;
	}
	c->deferred = true;
	w->https.deferred = true;
}

void
handshakes_stop(struct web *w)
{
	struct conn *c, *next;

	for (c = w->https.handshakes.first; c != NULL; c = next) {
		next = c->next;
		if (!c->spoke)
			conn_wait(w, c, &w->idle, QUIET_MS);
	}
}

void
handshakes_after_round(struct web *w)
{
	struct https *h = &w->https;
	struct conn *c, *next;

	if (w->settings.n_https == 0)
		return;
	h->steps = 0;
	if (h->deferred) {
		h->deferred = false;
		for (c = h->handshakes.first;
		     c != NULL && h->steps < STEPS_A_ROUND; c = next) {
			next = c->next;
			if (c->deferred)
				advance(w, c);
		}
		h->deferred = c != NULL;
		w->loop.poll_once = w->loop.poll_once || h->deferred;
		h->steps = 0;
	}
	keepers_flush(w);
}
