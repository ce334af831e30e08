/*
 * internal.h - what the files of the keeper share
 */
#ifndef KEEPER_INTERNAL_H
#define KEEPER_INTERNAL_H

#include "keeper/key.h"
#include "tls/hello.h"

#define KEEPER_HASH_MAX 64

/* A key in parts; borrowed. */
struct keeper_parts {
	enum tls_key_kind kind;
	struct span secret;	      /* EC: 32 bytes */
	struct span p, q, dp, dq, iq; /* RSA: big-endian, no leading zeroes */
	struct span n, e;	      /* RSA: of the certificate */
};

/*
 * The arithmetic; two files implement it, of which one is built:
 * signer_fast.c (Nettle and GMP; the default) and signer_bearssl.c
 * (CRYPTO=bearssl).
 */
struct keeper_signer;

void keeper_signer_init(void);
/* Copies. NULL: no memory, or parts that are no key. */
struct keeper_signer *keeper_signer_new(const struct keeper_parts *parts);
void keeper_signer_free(struct keeper_signer *s);
/* value: the hash, of the size that belongs to it. 0, or -1. */
int keeper_signer_sign(struct keeper_signer *s, enum tls_hash hash,
    struct span value, uint8_t out[TLS_SIGNATURE_MAX], size_t *len);

struct keeper_key {
	enum tls_key_kind kind;
	struct keeper_signer *signer;
};

/* sign.c: hashes; the result lies in value. */
struct span keeper_hash(
    enum tls_hash hash, struct span bytes, uint8_t value[KEEPER_HASH_MAX]);

#endif
