/*
 * tls_world.h - a server with keys and a BearSSL client, both in memory
 *
 * For unit tests and fuzzers. Random numbers are counted, not drawn, so that
 * each run is the same.
 */
#ifndef TESTS_UNIT_TLS_WORLD_H
#define TESTS_UNIT_TLS_WORLD_H

#include <assert.h>
#include <bearssl.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/sign.h"
#include "tests/unit/tls_fixtures.h"
#include "tls/tls.h"

enum { WORLD_EC = 1, WORLD_RSA, WORLD_KEYS };

struct world {
	struct tls_server server;
	struct tls_sessions sessions;
	struct keeper_key *keys[WORLD_KEYS];
	struct tls_public_key publics[WORLD_KEYS];
	_Alignas(64) uint8_t shared[16384];
};

static inline void
world_random(void *p, size_t len)
{
	static uint32_t count;
	uint8_t *at = p;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)((count + i) * 0x9d >> 3);
	count += 77;
}

static inline void
world_add(struct world *w, uint32_t id, const char *chain, const char *key,
    const char *name)
{
	struct tls_set *set = w->server.set;
	struct err e;

	if (tls_set_add(set, span_of(chain), id, span_of(name), &e) != 0)
		abort();
	w->publics[id] =
	    tls_set_at(set, tls_set_size(set) - 1)->certificate.key;
	w->keys[id] = keeper_key_new(span_of(key), &w->publics[id], &e);
	if (w->keys[id] == NULL)
		abort();
}

static inline void
world_init(struct world *w)
{
	static const struct hash_key key = {5, 6};
	struct err e;

	*w = (struct world){0};
	if (tls_init(&e) != 0 || keeper_key_init(&e) != 0)
		abort();
	tls_sessions_open(&w->sessions, w->shared, sizeof(w->shared), &key);
	w->server = (struct tls_server){.set = tls_set_new(&key),
	    .sessions = &w->sessions,
	    .session_life_s = 100,
	    .now_s = 1000,
	    .wall_s = 1800000000, /* all fixtures are valid */
	    .random = world_random};
	world_add(w, WORLD_EC, FIXTURE_EC FIXTURE_INTERMEDIATE, FIXTURE_EC_KEY,
	    "ec.test");
	world_add(w, WORLD_RSA, FIXTURE_RSA, FIXTURE_RSA_KEY, "rsa.test");
}

static inline void
world_clear(struct world *w)
{
	for (int i = 0; i < WORLD_KEYS; i++)
		keeper_key_free(w->keys[i]);
	tls_set_release(w->server.set);
}

static inline struct tls_conn *
world_begin(struct world *w)
{
	void *memory = aligned_alloc(4096, tls_conn_size());

	if (memory == NULL)
		abort();
	/* What a connection before it may have left. */
	memset(memory, 0xa5, tls_conn_size());
	return tls_begin(&w->server, memory);
}

static inline void
world_end(struct tls_conn *c)
{
	tls_end(c);
	free(c);
}

/* Answers as the keeper would. */
static inline void
world_sign(struct world *w, struct tls_conn *c)
{
	struct tls_wanted wanted = tls_wanted(c);
	uint8_t out[TLS_SIGNATURE_MAX];
	size_t len = 0;

	if (keeper_sign(w->keys[wanted.key_id], wanted.hash, wanted.bytes, out,
		&len) != KEEPER_SIGNED)
		abort();
	tls_signed(c, (struct span){out, len});
}

/* --- the client -------------------------------------------------------- */

struct client {
	br_ssl_client_context context;
	br_x509_minimal_context unused;
	br_x509_knownkey_context known;
	uint8_t buffer[BR_SSL_BUFSIZE_BIDI];
};

static inline void
client_init(struct client *c, const struct tls_public_key *public)
{
	static uint8_t seed[32] = {9};

	br_ssl_client_init_full(&c->context, &c->unused, NULL, 0);
	if (public->kind == TLS_KEY_EC) {
		const br_ec_public_key k = {BR_EC_secp256r1,
		    (unsigned char *)(uintptr_t) public->point.p, 65};

		br_x509_knownkey_init_ec(&c->known, &k, BR_KEYTYPE_SIGN);
	} else {
		const br_rsa_public_key k = {
		    (unsigned char *)(uintptr_t) public->modulus.p,
		    public->modulus.len,
		    (unsigned char *)(uintptr_t) public->exponent.p,
		    public->exponent.len};

		br_x509_knownkey_init_rsa(&c->known, &k, BR_KEYTYPE_SIGN);
	}
	br_ssl_engine_set_x509(&c->context.eng, &c->known.vtable);
	br_ssl_engine_set_buffer(
	    &c->context.eng, c->buffer, sizeof(c->buffer), 1);
	seed[0]++;
	br_ssl_engine_inject_entropy(&c->context.eng, seed, sizeof(seed));
	c->context.eng.rng_os_rand_done = 1;
}

/* The client writes. */
static inline void
client_say(struct client *c, struct span text)
{
	size_t room;
	uint8_t *at = br_ssl_engine_sendapp_buf(&c->context.eng, &room);

	if (at == NULL || room < text.len)
		abort();
	memcpy(at, text.p, text.len);
	br_ssl_engine_sendapp_ack(&c->context.eng, text.len);
	br_ssl_engine_flush(&c->context.eng, 0);
}

/* What the client has to say, into out. */
static inline size_t
client_take(struct client *c, uint8_t *out, size_t cap)
{
	size_t used = 0, n;
	uint8_t *at;

	while (used < cap &&
	       (at = br_ssl_engine_sendrec_buf(&c->context.eng, &n)) != NULL) {
		n = n < cap - used ? n : cap - used;
		memcpy(out + used, at, n);
		used += n;
		br_ssl_engine_sendrec_ack(&c->context.eng, n);
	}
	return used;
}

/* Plain bytes that arrived go to out; returns how many. */
static inline size_t
client_feed(struct client *c, struct span bytes, uint8_t *out, size_t cap)
{
	size_t got = 0, n;
	uint8_t *at;

	while (bytes.len > 0 &&
	       (at = br_ssl_engine_recvrec_buf(&c->context.eng, &n)) != NULL) {
		n = n < bytes.len ? n : bytes.len;
		memcpy(at, bytes.p, n);
		br_ssl_engine_recvrec_ack(&c->context.eng, n);
		bytes.p += n;
		bytes.len -= n;
		while ((at = br_ssl_engine_recvapp_buf(&c->context.eng, &n)) !=
		       NULL) {
			if (n > cap - got)
				abort();
			memcpy(out + got, at, n);
			got += n;
			br_ssl_engine_recvapp_ack(&c->context.eng, n);
		}
	}
	return got;
}

#endif
