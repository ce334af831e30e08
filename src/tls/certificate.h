/*
 * certificate.h - the public part of a certificate chain, read from PEM
 *
 * Pure: no allocation, no clock. Only what a server needs to know of its own
 * certificates is read: key, names, dates, and whether the chain is in order.
 * Nothing is verified against anything; that is for those who connect.
 *
 * Source: RFC 5280, RFC 5480, RFC 8446 4.4.2 (order of a chain).
 */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* A chain longer than this helps nobody. */
#define TLS_CHAIN_MAX 8
#define TLS_NAMES_MAX 1000
#define TLS_NAME_MAX 253
/* Size of a P-256 point, uncompressed. */
#define TLS_POINT_SIZE 65
#define TLS_RSA_BITS_MIN 2048
#define TLS_RSA_BITS_MAX 4096
/* The longest signature: RSA with 4096 bits. */
#define TLS_SIGNATURE_MAX (TLS_RSA_BITS_MAX / 8)
/* An ECDSA signature with P-256 in DER has at most so many bytes. */
#define TLS_ECDSA_MAX 72

enum tls_key_kind { TLS_KEY_EC, TLS_KEY_RSA, TLS_KEY_KINDS };

struct tls_public_key {
	enum tls_key_kind kind;
	unsigned int bits;    /* 256, or those of the modulus */
	struct span point;    /* TLS_KEY_EC: 65 bytes, the first is 4 */
	struct span modulus;  /* TLS_KEY_RSA: big-endian, no leading zero */
	struct span exponent; /* TLS_KEY_RSA */
};

struct tls_certificate {
	struct tls_public_key key;
	struct span chain[TLS_CHAIN_MAX]; /* DER; the first is ours */
	size_t n_chain;
	bool in_order;	   /* each certificate was issued by the next one */
	bool to_root;	   /* the last one was issued by itself */
	struct span names; /* see tls_certificate_next_name */
	size_t n_names;
	int64_t not_before, not_after; /* of the first; Unix seconds */
};

/*
 * Reads all certificates of a PEM text; other objects in it are an error,
 * above all private keys. The DER is kept in memory of the caller, of at
 * least pem.len bytes, and borrowed by c. -1 with what is wrong in e.
 */
int tls_certificate_parse(struct tls_certificate *c, struct span pem,
    void *memory, size_t size, struct err *e);

/* The most bytes a signature of this key can have. */
size_t tls_signature_size(const struct tls_public_key *key);

/*
 * The next DNS name of the subject's alternative names, as it stands there;
 * begin with rest = c->names. false at the end.
 */
bool tls_certificate_next_name(struct span *rest, struct span *name);

/*
 * Whether name (of a pattern: an exact one, or "*." and a domain, which
 * stands for exactly one label) covers host. Without case; a trailing dot of
 * neither counts.
 */
bool tls_name_covers(struct span pattern, struct span host);
/* Whether a certificate covers host. */
bool tls_certificate_covers(const struct tls_certificate *c, struct span host);

#endif
