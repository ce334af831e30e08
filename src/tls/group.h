/*
 * group.h - the two groups of a key exchange: X25519 and P-256
 *
 * Two files implement it, of which one is built: group_fast.c (libsodium and
 * Nettle; the default) and group_bearssl.c (CRYPTO=bearssl). Both take the
 * same time whatever the secret is.
 *
 * Source: RFC 7748, RFC 8422.
 */
#ifndef TLS_GROUP_H
#define TLS_GROUP_H

#include <stdint.h>

#include "base/span.h"
#include "tls/certificate.h"
#include "tls/hello.h"

#define TLS_SECRET_SIZE 32

/*
 * One side of an exchange, of one handshake. Owner: whoever made it wipes it
 * when the shared secret was computed.
 */
struct tls_pair {
	enum tls_group group;
	uint8_t secret[TLS_SECRET_SIZE];
	uint8_t point[TLS_POINT_SIZE];
	uint8_t point_len; /* 32 or 65 */
};

/* Bytes of a point of the group, as it is sent. */
size_t tls_group_point_size(enum tls_group group);

/* Once in each process, before the others; 0, or -1 when it cannot work. */
int tls_group_init(void);

/*
 * Makes point of secret, which the caller filled with random bytes; they are
 * cut to what the group takes.
 */
void tls_group_make(struct tls_pair *pair, enum tls_group group);

/*
 * The shared secret, 32 bytes. 0, or -1 when the peer's point is none, or one
 * that would give a result that everybody knows.
 */
int tls_group_share(const struct tls_pair *pair, struct span point,
    uint8_t shared[TLS_SECRET_SIZE]);

#endif
