/*
 * internal.h - what the files of the keeper share
 */
#ifndef KEEPER_INTERNAL_H
#define KEEPER_INTERNAL_H

#include <bearssl.h>

#include "keeper/key.h"
#include "tls/hello.h"

#define KEEPER_HASH_MAX 64

/* A key, as a whole and in parts; borrowed. */
struct keeper_parts {
	enum tls_key_kind kind;
	struct span der;
	struct span secret;	       /* EC: 32 bytes */
	const br_rsa_private_key *rsa; /* NULL: EC */
	struct span n, e;	       /* RSA: of the certificate */
};

/*
 * The arithmetic; two files implement it, of which one is built:
 * signer_fast.c (OpenSSL's libcrypto; the default) and signer_bearssl.c
 * (CRYPTO=bearssl).
 */
struct keeper_signer;

/* Once, before the jail. -1 when a library is missing. */
int keeper_signer_init(struct err *e);
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
