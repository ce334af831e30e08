/*
 * internal.h - what conn.c (the connection), engine.c (BearSSL) and callbacks.c
 * (what it asks) share
 */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include <bearssl.h>

#include "tls/choose.h"
#include "tls/group.h"
#include "tls/tls.h"

/* Records of up to 4 KB are sent, of up to 16 KB received. The sizes are
 * BearSSL's: what is inside, and the most that a record adds. */
#define OUTPUT_SIZE (4096 + 85)
#define INPUT_SIZE (16384 + 325)
#define SEED_SIZE 32
#define ALERT_RECORD_SIZE 7

struct tls_conn {
	struct tls_server *server;
	enum tls_state state;
	struct tls_failure failure;
	bool running;  /* the engine was started */
	bool open;     /* the handshake is done */
	bool resuming; /* with session */
	bool has_alpn;
	bool differs;	 /* what the engine wanted signed is not what was */
	bool mid_record; /* the last tls_take ended inside of a record */

	/* Only until the handshake is done. */
	struct tls_gather gather;
	struct tls_set *set; /* held; of choice.identity */
	struct tls_choice choice;
	struct tls_pair pair;
	uint8_t seed[SEED_SIZE];
	uint64_t name_hash;
	struct tls_session session;
	size_t to_sign_len, signature_len;

	size_t reached; /* the end of what was written of input and stash */

	size_t stash_at, stash_len;
	uint8_t alert_at, alert_len;
	uint8_t name_len;
	enum tls_key_kind kind;

	/* From here on nothing is cleared by tls_begin. */
	uint8_t to_sign[TLS_TO_SIGN_MAX];
	uint8_t signature[TLS_SIGNATURE_MAX];
	uint8_t alert[ALERT_RECORD_SIZE];
	uint8_t name[TLS_NAME_MAX + 1];
	const br_ssl_server_policy_class *policy;
	const br_ssl_session_cache_class *cache;
	br_x509_certificate chain[TLS_CHAIN_MAX];
	br_ssl_server_context context;
	uint8_t output[OUTPUT_SIZE];
	/* The ClientHello is gathered in input, where BearSSL reads it. */
	uint8_t input[INPUT_SIZE];
	/* Received, but not yet wanted by the engine. */
	uint8_t stash[TLS_FEED_MAX];
};

/* engine.c */

/* What BearSSL has for this processor. */
void tls_engine_init(void);
/*
 * The random of the ServerHello that an engine with this seed will make.
 */
void tls_engine_predict(const uint8_t seed[SEED_SIZE], uint8_t random[32]);
/* Starts it with the gathered ClientHello. */
void tls_engine_start(struct tls_conn *c);
/* Feeds what the engine takes now; the rest stays in *bytes. */
void tls_engine_push(struct tls_conn *c, struct span *bytes);
/* Output that is complete; the engine goes on as it is taken. */
size_t tls_engine_take(struct tls_conn *c, uint8_t *out, size_t cap);
/* What the engine failed of; only when it is closed. */
struct tls_failure tls_engine_failure(const struct tls_conn *c);
/* Whether its handshake is done. */
bool tls_engine_is_open(const struct tls_conn *c);
bool tls_engine_has_output(const struct tls_conn *c);
/* Whether no byte of a record is in input. */
bool tls_engine_is_at_rest(const struct tls_conn *c);
/* So many bytes at this place of c were written. */
void tls_reach(struct tls_conn *c, const uint8_t *at, size_t len);

/* callbacks.c */

/* Has the engine, which is set up, ask for the pair, the signature and the
 * session of this connection. */
void tls_callbacks_set(struct tls_conn *c);
/* The connection whose engine runs now; NULL: none does. */
void tls_callbacks_serve(struct tls_conn *c);

#endif
