/*
 * tls.h - the server's side of TLS 1.2, without private keys
 *
 * Turns bytes of the network into plain bytes and back; no descriptors, no
 * clock, no waiting. Nothing is allocated for a connection or a record: the
 * caller hands over memory of a fixed size, of which only what is used is
 * touched.
 *
 * A handshake needs one signature, and the key for it is in another process.
 * The ClientHello is read by our own parser (hello.h), which decides all that
 * there is to decide; so what has to be signed is known before BearSSL runs.
 * The connection then waits in TLS_WANT_SIGNATURE while others go on. When the
 * signature is there, the engine is started, reads the same ClientHello, and
 * finds its signature waiting.
 *
 * The caller's loop:
 *   while tls_wants_input: receive at most TLS_FEED_MAX bytes, tls_feed
 *   tls_plaintext, tls_consume: what the client said
 *   tls_write: what is answered
 *   tls_take until it gives nothing: send that
 *   tls_state says what comes next
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tls/hello.h"
#include "tls/session.h"
#include "tls/set.h"

/* One tls_feed. */
#define TLS_FEED_MAX 16384
/* The longest bytes to be signed: randoms, curve, P-256 point. */
#define TLS_TO_SIGN_MAX (32 + 32 + 4 + TLS_POINT_SIZE)

/* What the connections of a worker share. The caller fills it. */
struct tls_server {
	/* Served to those who come from now on; the caller holds it and may
	 * put another here at any time (and release the old one). */
	struct tls_set *set;
	struct tls_sessions *sessions; /* NULL: none is resumed */
	uint32_t session_life_s;
	/* Kept by the caller: all workers' clock, and Unix seconds, by which
	 * certificates are valid or not. */
	uint32_t now_s;
	int64_t wall_s;
	/* Fills memory with random bytes; tls_random outside of tests. */
	void (*random)(void *p, size_t len);
};

enum tls_state {
	TLS_HANDSHAKE,
	TLS_WANT_SIGNATURE, /* see tls_wanted; then tls_signed */
	TLS_OPEN,
	TLS_CLOSING, /* we said so; take what is to be sent */
	TLS_CLOSED,  /* by the peer or us, properly; nothing more to take */
	TLS_FAILED,  /* see tls_failure; an alert may be to be taken */
};

struct tls_wanted {
	uint32_t key_id;
	enum tls_key_kind kind;
	enum tls_hash hash;
	struct span bytes; /* not hashed; borrowed until tls_signed */
};

/* For logs. */
struct tls_info {
	struct span name;  /* SNI as sent, empty if none; bytes of a stranger */
	const char *suite; /* NULL before the handshake */
	enum tls_group group;
	enum tls_key_kind kind;
	bool resumed;
};

struct tls_conn;

/*
 * Once in each process that serves, before the first connection. Finds out
 * what the processor has; of the kernel it asks only getrandom, so it may be
 * called behind the filter. -1 when a library does not work.
 */
int tls_init(struct err *e);
/* Whether AES is done by the processor. */
bool tls_has_aes(void);
/* getrandom; aborts when the kernel has none. */
void tls_random(void *p, size_t len);

/* Bytes of memory for a connection; a multiple of 4096. */
size_t tls_conn_size(void);
/* Owner: the caller, of the memory, which need not be cleared. Where it begins
 * at a multiple of the page size it touches the fewest pages. */
struct tls_conn *tls_begin(struct tls_server *s, void *memory);
/* Wipes all keys. Not before it is over with the connection. */
void tls_end(struct tls_conn *c);
/*
 * The pages of its memory that were used and hold nothing now, as after a
 * large record when nothing of the next one is here, or after tls_end. They
 * may be given back to the kernel; they have to be there when it goes on, with
 * any content. Empty: there are none, or the memory does not begin at a page.
 */
struct span tls_spare(struct tls_conn *c);

enum tls_state tls_state(const struct tls_conn *c);
/* Whether tls_feed may be called now: no plaintext is left to be consumed, no
 * output of a handshake to be taken, no signature awaited. */
bool tls_wants_input(const struct tls_conn *c);
/* Received bytes, at most TLS_FEED_MAX; all are taken. */
void tls_feed(struct tls_conn *c, struct span bytes);

/* Borrowed until tls_consume; empty: nothing is there. */
struct span tls_plaintext(const struct tls_conn *c);
/* So many bytes of it are done with; then there may be more. */
void tls_consume(struct tls_conn *c, size_t len);

/* Takes plain bytes to send; returns how many. Fewer than given: call again
 * after tls_take. */
size_t tls_write(struct tls_conn *c, struct span bytes);
/* Copies bytes to be sent to the client; returns how many, 0: none now. */
size_t tls_take(struct tls_conn *c, uint8_t *out, size_t cap);

/* TLS_WANT_SIGNATURE: what is to be signed. */
struct tls_wanted tls_wanted(const struct tls_conn *c);
/* The answer; an empty one fails the handshake. */
void tls_signed(struct tls_conn *c, struct span signature);

/* Says good-bye (close_notify), behind what was written. */
void tls_close(struct tls_conn *c);

struct tls_failure tls_failure(const struct tls_conn *c);
struct tls_info tls_info(const struct tls_conn *c);
/* "unknown name": of a reason, for logs and names of counters. */
const char *tls_reason_text(enum tls_reason reason);

#endif
