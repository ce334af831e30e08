/*
 * conn.c - a connection: from the first byte to the last
 *
 * Runs in the web worker. Gathers the ClientHello, decides, waits for the
 * signature, then moves bytes between the caller and the engine.
 */
#include "tls/internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/array.h"

#define PAGE 4096

/* --- once -------------------------------------------------------------- */

int
tls_init(struct err *e)
{
	tls_engine_init();
	if (tls_group_init() != 0)
		return err_set(e, "the library for X25519 does not work");
	return 0;
}

void
tls_random(void *p, size_t len)
{
	uint8_t *at = p;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* Without random numbers there is nothing safe to do. */
		if (n <= 0)
			abort();
		at += n;
		len -= (size_t)n;
	}
}

/* --- life -------------------------------------------------------------- */

size_t
tls_conn_size(void)
{
	return (sizeof(struct tls_conn) + PAGE - 1) / PAGE * PAGE;
}

struct tls_conn *
tls_begin(struct tls_server *s, void *memory)
{
	struct tls_conn *c = memory;

	memset(c, 0, offsetof(struct tls_conn, to_sign));
	c->server = s;
	tls_gather_init(&c->gather, c->input);
	return c;
}

/* What only the handshake needed. */
static void
drop_handshake(struct tls_conn *c)
{
	tls_set_release(c->set);
	c->set = NULL;
	c->choice.identity = NULL;
	explicit_bzero(&c->pair, sizeof(c->pair));
	explicit_bzero(c->seed, sizeof(c->seed));
	explicit_bzero(&c->session, sizeof(c->session));
}

void
tls_end(struct tls_conn *c)
{
	drop_handshake(c);
	if (c->running)
		explicit_bzero(&c->context, sizeof(c->context));
	c->running = false;
	c->state = TLS_CLOSED;
}

/* --- memory ------------------------------------------------------------ */

void
tls_reach(struct tls_conn *c, const uint8_t *at, size_t len)
{
	size_t end = (size_t)(at + len - (const uint8_t *)c);

	if (end > c->reached)
		c->reached = end;
}

struct span
tls_spare(struct tls_conn *c)
{
	const size_t from =
	    (offsetof(struct tls_conn, input) + PAGE - 1) / PAGE * PAGE;
	bool over = c->state == TLS_CLOSED;

	if (c->reached <= from || (uintptr_t)c % PAGE != 0 ||
	    (!over && (c->state != TLS_OPEN || c->stash_len > 0 ||
			  !tls_engine_is_at_rest(c))))
		return (struct span){NULL, 0};
	c->reached = 0;
	return (struct span){(const uint8_t *)c + from, tls_conn_size() - from};
}

/* --- failing ----------------------------------------------------------- */

/*
 * In clear: as long as our side of a handshake was not encrypted, and not in
 * the middle of another record.
 */
static void
queue_alert(struct tls_conn *c, uint8_t alert)
{
	const uint8_t record[ALERT_RECORD_SIZE] = {21, 3, 3, 0, 2, 2, alert};

	if (c->open || (c->running && c->resuming) || c->mid_record)
		return;
	memcpy(c->alert, record, sizeof(record));
	c->alert_at = 0;
	c->alert_len = sizeof(record);
}

static void
fail(struct tls_conn *c, struct tls_failure f)
{
	c->failure = f;
	c->state = TLS_FAILED;
	if (f.reason != TLS_REASON_CLIENT_ALERT &&
	    f.reason != TLS_REASON_CLOSED)
		queue_alert(c, f.alert);
	drop_handshake(c);
	c->stash_len = 0;
}

/* The engine ran: what became of it. */
static void
follow(struct tls_conn *c)
{
	unsigned int s = br_ssl_engine_current_state(&c->context.eng);

	if (s == BR_SSL_CLOSED) {
		if (c->open &&
		    br_ssl_engine_last_error(&c->context.eng) == BR_ERR_OK)
			c->state = TLS_CLOSED;
		else if (c->state != TLS_FAILED)
			fail(c, tls_engine_failure(c));
		return;
	}
	if (c->state == TLS_HANDSHAKE && tls_engine_is_open(c)) {
		c->open = true;
		c->state = TLS_OPEN;
		drop_handshake(c);
	}
}

/* --- deciding ---------------------------------------------------------- */

static bool
resume(struct tls_conn *c, const struct tls_hello *h)
{
	const struct tls_server *s = c->server;

	c->resuming = s->sessions != NULL &&
		      tls_sessions_get(
			  s->sessions, h->session_id, s->now_s, &c->session) &&
		      c->session.name == c->name_hash &&
		      tls_hello_offers(h, c->session.suite) &&
		      tls_suite_name(c->session.suite) != NULL;
	if (!c->resuming)
		explicit_bzero(&c->session, sizeof(c->session));
	return c->resuming;
}

/* ServerKeyExchange, RFC 8422 5.4. */
static void
prepare_signature(struct tls_conn *c, const struct tls_hello *h)
{
	struct writer w = writer_of(c->to_sign, sizeof(c->to_sign));
	uint8_t random[32];

	c->server->random(c->pair.secret, sizeof(c->pair.secret));
	tls_group_make(&c->pair, c->choice.group);
	tls_engine_predict(c->seed, random);
	writer_bytes(&w, h->random);
	writer_bytes(&w, (struct span){random, sizeof(random)});
	writer_u8(&w, 3);
	writer_u8(&w, 0);
	writer_u8(&w, (uint8_t)c->choice.group);
	writer_u8(&w, c->pair.point_len);
	writer_bytes(&w, (struct span){c->pair.point, c->pair.point_len});
	c->to_sign_len = w.len;
	c->state = TLS_WANT_SIGNATURE;
}

static void
keep_name(struct tls_conn *c, const struct tls_hello *h)
{
	c->name_len = (uint8_t)h->name.len;
	if (h->name.len > 0)
		memcpy(c->name, h->name.p, h->name.len);
	if (c->server->sessions != NULL)
		c->name_hash = tls_sessions_name(c->server->sessions, h->name);
}

/* The ClientHello is complete. */
static void
decide(struct tls_conn *c)
{
	struct tls_entry entry;
	struct tls_failure f;
	struct tls_hello h;

	if (tls_hello_parse(&h, tls_gather_message(&c->gather), &f) != 0) {
		fail(c, f);
		return;
	}
	keep_name(c, &h);
	c->has_alpn = h.has_alpn;
	if (tls_choose_check(&h, &f) != 0) {
		fail(c, f);
		return;
	}
	if (!tls_set_find(c->server->set, h.name, c->server->wall_s, &entry)) {
		fail(c, (struct tls_failure){TLS_REASON_NAME,
			    TLS_ALERT_UNRECOGNIZED_NAME,
			    h.name.len > 0 ? "no certificate for this name"
					   : "no name asked for, no default"});
		return;
	}
	c->server->random(c->seed, sizeof(c->seed));
	if (resume(c, &h)) {
		c->choice.suite = c->session.suite;
		c->choice.group = TLS_GROUP_X25519;
		tls_engine_start(c);
		follow(c);
		return;
	}
	if (tls_choose(&h, &entry, tls_has_aes(), &c->choice, &f) != 0) {
		fail(c, f);
		return;
	}
	c->kind = c->choice.identity->certificate.key.kind;
	c->set = tls_set_hold(c->server->set);
	prepare_signature(c, &h);
}

struct tls_wanted
tls_wanted(const struct tls_conn *c)
{
	return (struct tls_wanted){
	    .key_id = c->choice.identity->key_id,
	    .kind = c->kind,
	    .hash = c->choice.hash,
	    .bytes = {c->to_sign, c->to_sign_len},
	};
}

void
tls_signed(struct tls_conn *c, struct span signature)
{
	const struct tls_public_key *key;

	if (c->state != TLS_WANT_SIGNATURE)
		return;
	key = &c->choice.identity->certificate.key;
	if (signature.len == 0 || signature.len > tls_signature_size(key)) {
		fail(c, (struct tls_failure){TLS_REASON_SIGNATURE,
			    TLS_ALERT_INTERNAL_ERROR,
			    "the keeper gave no signature"});
		return;
	}
	memcpy(c->signature, signature.p, signature.len);
	c->signature_len = signature.len;
	c->state = TLS_HANDSHAKE;
	tls_engine_start(c);
	follow(c);
}

/* --- bytes in ---------------------------------------------------------- */

static bool
is_over(const struct tls_conn *c)
{
	return c->state == TLS_FAILED || c->state == TLS_CLOSED;
}

bool
tls_wants_input(const struct tls_conn *c)
{
	if (is_over(c) || c->state == TLS_WANT_SIGNATURE || c->stash_len > 0)
		return false;
	if (!c->running)
		return true;
	return tls_plaintext(c).len == 0 &&
	       (c->open || !tls_engine_has_output(c));
}

/* What waits in the stash, as far as the engine takes it. */
static void
push_stash(struct tls_conn *c)
{
	struct span rest = {c->stash + c->stash_at, c->stash_len};

	if (rest.len == 0 || !c->running || is_over(c))
		return;
	tls_engine_push(c, &rest);
	c->stash_at += c->stash_len - rest.len;
	c->stash_len = rest.len;
	follow(c);
}

static void
stash(struct tls_conn *c, struct span bytes)
{
	if (bytes.len == 0 || is_over(c))
		return;
	if (c->stash_len > 0 || bytes.len > sizeof(c->stash)) {
		fail(c, (struct tls_failure){TLS_REASON_INTERNAL,
			    TLS_ALERT_INTERNAL_ERROR,
			    "fed while no input was wanted"});
		return;
	}
	memcpy(c->stash, bytes.p, bytes.len);
	tls_reach(c, c->stash, bytes.len);
	c->stash_at = 0;
	c->stash_len = bytes.len;
}

void
tls_feed(struct tls_conn *c, struct span bytes)
{
	struct tls_failure f;

	if (!c->running && c->state == TLS_HANDSHAKE) {
		enum tls_hello_result got =
		    tls_gather_take(&c->gather, &bytes, &f);

		tls_reach(c, c->input, TLS_RECORD_HEADER + c->gather.len);
		switch (got) {
		case TLS_HELLO_MORE:
			return;
		case TLS_HELLO_WRONG:
			fail(c, f);
			return;
		default:
			decide(c);
		}
	}
	/* Once more where the handshake ended. */
	for (int i = 0; i < 2 && c->running && !is_over(c); i++)
		if (c->stash_len == 0 && bytes.len > 0) {
			tls_engine_push(c, &bytes);
			follow(c);
		}
	stash(c, bytes);
}

struct span
tls_plaintext(const struct tls_conn *c)
{
	struct span got = {0};

	if (c->running && c->state == TLS_OPEN)
		got.p = br_ssl_engine_recvapp_buf(&c->context.eng, &got.len);
	return got;
}

void
tls_consume(struct tls_conn *c, size_t len)
{
	size_t there = tls_plaintext(c).len;

	/* BearSSL would lose its place in a record. */
	if (len == 0 || there == 0)
		return;
	br_ssl_engine_recvapp_ack(&c->context.eng, len < there ? len : there);
	push_stash(c);
}

/* --- bytes out --------------------------------------------------------- */

size_t
tls_write(struct tls_conn *c, struct span bytes)
{
	size_t used = 0, n;
	uint8_t *at;

	while (used < bytes.len && c->state == TLS_OPEN &&
	       (at = br_ssl_engine_sendapp_buf(&c->context.eng, &n)) != NULL) {
		n = n < bytes.len - used ? n : bytes.len - used;
		memcpy(at, bytes.p + used, n);
		br_ssl_engine_sendapp_ack(&c->context.eng, n);
		used += n;
	}
	return used;
}

static size_t
take_alert(struct tls_conn *c, uint8_t *out, size_t cap)
{
	size_t n = c->alert_len < cap ? c->alert_len : cap;

	memcpy(out, c->alert + c->alert_at, n);
	c->alert_at = (uint8_t)(c->alert_at + n);
	c->alert_len = (uint8_t)(c->alert_len - n);
	return n;
}

size_t
tls_take(struct tls_conn *c, uint8_t *out, size_t cap)
{
	size_t used = 0, n;

	do {
		n = 0;
		if (c->state == TLS_FAILED) {
			n = take_alert(c, out + used, cap - used);
		} else if (c->running && c->state != TLS_CLOSED) {
			n = tls_engine_take(c, out + used, cap - used);
			follow(c);
			push_stash(c);
		}
		used += n;
	} while (n > 0 && used < cap);
	if (c->state == TLS_CLOSING && used < cap)
		c->state = TLS_CLOSED;
	return used;
}

void
tls_close(struct tls_conn *c)
{
	if (is_over(c) || c->state == TLS_CLOSING)
		return;
	if (!c->open) {
		drop_handshake(c);
		c->state = TLS_CLOSED;
		return;
	}
	c->state = TLS_CLOSING;
	c->stash_len = 0;
	br_ssl_engine_close(&c->context.eng);
	follow(c);
}

/* --- reports ----------------------------------------------------------- */

enum tls_state
tls_state(const struct tls_conn *c)
{
	return c->state;
}

struct tls_failure
tls_failure(const struct tls_conn *c)
{
	return c->failure;
}

struct tls_info
tls_info(const struct tls_conn *c)
{
	return (struct tls_info){
	    .name = {c->name, c->name_len},
	    .suite =
		c->choice.suite != 0 ? tls_suite_name(c->choice.suite) : NULL,
	    .group = c->choice.group,
	    .kind = c->kind,
	    .resumed = c->resuming,
	};
}

const char *
tls_reason_text(enum tls_reason reason)
{
	static const char *const texts[TLS_REASONS] = {
	    [TLS_REASON_NONE] = "none",
	    [TLS_REASON_CLIENT_ALERT] = "client alert",
	    [TLS_REASON_CLOSED] = "closed",
	    [TLS_REASON_NOT_TLS] = "not TLS",
	    [TLS_REASON_VERSION] = "no shared version",
	    [TLS_REASON_SUITE] = "no shared suite",
	    [TLS_REASON_NAME] = "unknown name",
	    [TLS_REASON_PROTOCOL] = "no shared protocol",
	    [TLS_REASON_BROKEN] = "broken",
	    [TLS_REASON_SIGNATURE] = "no signature",
	    [TLS_REASON_INTERNAL] = "internal",
	};

	return reason < ARRAY_LENGTH(texts) ? texts[reason] : "unknown";
}
