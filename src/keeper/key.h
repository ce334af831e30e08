/*
 * key.h - private keys, decoded
 *
 * Runs in the keeper, after its jail. A key is taken only together with the
 * certificate that it belongs to, and only when a signature made with it
 * holds under that certificate.
 *
 * Source: RFC 5208 (PKCS#8), RFC 5915 (EC), RFC 8017 A.1.2 (RSA).
 */
#ifndef KEEPER_KEY_H
#define KEEPER_KEY_H

#include "base/err.h"
#include "base/span.h"
#include "tls/certificate.h"

/* Longer than any key file that can be used. */
#define KEEPER_PEM_MAX 16384

struct keeper_key;

/* Once in the process, before the jail and the first key: opens the library
 * that signs. -1 when there is none; the error says what to install. */
int keeper_key_init(struct err *e);

/*
 * Decodes the PEM of a private key: PKCS#8, or the older forms of RSA and EC.
 * NULL with the reason in e, which never holds anything of the key.
 * Owner: the caller, of the key and of pem, which he wipes.
 */
struct keeper_key *keeper_key_new(
    struct span pem, const struct tls_public_key *public, struct err *e);
/* Wipes. NULL is taken. */
void keeper_key_free(struct keeper_key *k);

enum tls_key_kind keeper_key_kind(const struct keeper_key *k);

#endif
