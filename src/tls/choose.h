/*
 * choose.h - what a handshake is made with
 *
 * Pure. TLS 1.2, suites with forward secrecy and authenticated encryption
 * only.
 */
#ifndef TLS_CHOOSE_H
#define TLS_CHOOSE_H

#include "tls/hello.h"
#include "tls/set.h"

struct tls_choice {
	const struct tls_identity *identity;
	uint16_t suite;
	enum tls_group group;
	enum tls_hash hash; /* of the signature */
};

/*
 * Whether we can speak with this client at all: version, compression,
 * protocol. 0, or -1 with the failure.
 */
int tls_choose_check(const struct tls_hello *h, struct tls_failure *f);

/*
 * Picks from what is served for the name: EC before RSA, X25519 before P-256,
 * the shortest hash. Suites by our order with aes_first (where AES is quick),
 * else by the client's. 0, or -1 with the failure.
 */
int tls_choose(const struct tls_hello *h, const struct tls_entry *entry,
    bool aes_first, struct tls_choice *choice, struct tls_failure *f);

/* Whether the client offers a suite. */
bool tls_hello_offers(const struct tls_hello *h, uint16_t suite);

/* Two bytes of TLS for a signature: hash and key. */
uint16_t tls_signature_id(enum tls_key_kind kind, enum tls_hash hash);

/* "ECDHE-ECDSA-AES128-GCM-SHA256", as OpenSSL names it; NULL: not ours. */
const char *tls_suite_name(uint16_t suite);

/* Whether its transcript is hashed with SHA-384; or its cipher is ChaCha20. */
bool tls_suite_has_sha384(uint16_t suite);
bool tls_suite_has_chacha20(uint16_t suite);

#endif
