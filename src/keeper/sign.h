/*
 * sign.h - the one thing that is done with a private key
 *
 * Security: the boundary of the keeper. What asks may be a hijacked worker.
 * It says which key, which hash, and gives the bytes; those have to be the
 * ones of a key exchange of TLS 1.2 with a group that we serve, to the last
 * byte, and are hashed here. Sizes come from the key. There is no operation
 * that decrypts.
 *
 * Source: RFC 5246 7.4.3, RFC 8422 5.4, RFC 8017 8.2 (RSASSA-PKCS1-v1_5).
 */
#ifndef KEEPER_SIGN_H
#define KEEPER_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper/key.h"

enum keeper_result {
	KEEPER_SIGNED,
	KEEPER_MALFORMED, /* these are not bytes of a key exchange */
	KEEPER_NO_HASH,	  /* not one of the three */
	KEEPER_FAILED,	  /* the computation went wrong; nothing was given */
};

/*
 * Whether bytes are what a server signs in an ECDHE key exchange: two randoms
 * of 32 bytes, a named curve, X25519 or P-256, and its point.
 */
bool keeper_is_key_exchange(struct span bytes);

/*
 * Checks, hashes, signs. hash: as enum tls_hash, from the asker. *len is
 * written for KEEPER_SIGNED only.
 */
enum keeper_result keeper_sign(struct keeper_key *k, unsigned int hash,
    struct span bytes, uint8_t out[TLS_SIGNATURE_MAX], size_t *len);

#endif
