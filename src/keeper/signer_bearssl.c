/*
 * signer_bearssl.c - signatures by BearSSL alone
 *
 * Pure but for the heap. Built with CRYPTO=bearssl, in place of
 * signer_fast.c. The nonce of ECDSA is derived from key and hash (RFC 6979).
 */
#include "keeper/internal.h"

#include <bearssl.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX (TLS_RSA_BITS_MAX / 16)

struct keeper_signer {
	enum tls_key_kind kind;
	br_ec_private_key ec;
	br_rsa_private_key rsa;
	br_rsa_public_key public;
	uint8_t parts[5][PART_MAX];
	uint8_t n[TLS_RSA_BITS_MAX / 8], e[8];
};

static const struct {
	const br_hash_class *table;
	const unsigned char *oid;
} hashes[TLS_HASHES] = {
    [TLS_SHA256] = {&br_sha256_vtable, BR_HASH_OID_SHA256},
    [TLS_SHA384] = {&br_sha384_vtable, BR_HASH_OID_SHA384},
    [TLS_SHA512] = {&br_sha512_vtable, BR_HASH_OID_SHA512},
};

void
keeper_signer_init(void)
{
}

void
keeper_signer_free(struct keeper_signer *s)
{
	if (s == NULL)
		return;
	explicit_bzero(s, sizeof(*s));
	free(s);
}

/* Copies part i; NULL when it does not fit. */
static unsigned char *
keep(struct keeper_signer *s, size_t i, struct span part)
{
	if (part.len == 0 || part.len > PART_MAX)
		return NULL;
	memcpy(s->parts[i], part.p, part.len);
	return s->parts[i];
}

static int
keep_public(struct keeper_signer *s, const struct keeper_parts *parts)
{
	if (parts->n.len > sizeof(s->n) || parts->e.len > sizeof(s->e))
		return -1;
	memcpy(s->n, parts->n.p, parts->n.len);
	memcpy(s->e, parts->e.p, parts->e.len);
	s->public = (br_rsa_public_key){s->n, parts->n.len, s->e, parts->e.len};
	return 0;
}

static int
keep_rsa(struct keeper_signer *s, const struct keeper_parts *parts)
{
	s->rsa = (br_rsa_private_key){
	    .n_bitlen = (uint32_t)parts->n.len * 8,
	    .p = keep(s, 0, parts->p),
	    .plen = parts->p.len,
	    .q = keep(s, 1, parts->q),
	    .qlen = parts->q.len,
	    .dp = keep(s, 2, parts->dp),
	    .dplen = parts->dp.len,
	    .dq = keep(s, 3, parts->dq),
	    .dqlen = parts->dq.len,
	    .iq = keep(s, 4, parts->iq),
	    .iqlen = parts->iq.len,
	};
	return s->rsa.p != NULL && s->rsa.q != NULL && s->rsa.dp != NULL &&
		       s->rsa.dq != NULL && s->rsa.iq != NULL
		   ? 0
		   : -1;
}

struct keeper_signer *
keeper_signer_new(const struct keeper_parts *parts)
{
	struct keeper_signer *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->kind = parts->kind;
	if (s->kind == TLS_KEY_EC) {
		s->ec = (br_ec_private_key){BR_EC_secp256r1,
		    keep(s, 0, parts->secret), parts->secret.len};
		return s;
	}
	if (keep_public(s, parts) == 0 && keep_rsa(s, parts) == 0)
		return s;
	keeper_signer_free(s);
	return NULL;
}

/* With the public key: a fault must not give the private one away. */
static bool
verifies(const struct keeper_signer *s, enum tls_hash hash, struct span value,
    const uint8_t *signature)
{
	uint8_t got[KEEPER_HASH_MAX];

	return br_rsa_pkcs1_vrfy_get_default()(signature, s->public.nlen,
		   hashes[hash].oid, value.len, &s->public, got) == 1 &&
	       memcmp(got, value.p, value.len) == 0;
}

int
keeper_signer_sign(struct keeper_signer *s, enum tls_hash hash,
    struct span value, uint8_t out[TLS_SIGNATURE_MAX], size_t *len)
{
	if (s->kind == TLS_KEY_EC) {
		*len = br_ecdsa_i31_sign_asn1(
		    &br_ec_p256_m31, hashes[hash].table, value.p, &s->ec, out);
		return *len > 0 ? 0 : -1;
	}
	*len = s->public.nlen;
	return br_rsa_pkcs1_sign_get_default()(
		   hashes[hash].oid, value.p, value.len, &s->rsa, out) == 1 &&
		       verifies(s, hash, value, out)
		   ? 0
		   : -1;
}
