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

int
keeper_signer_init(struct err *e)
{
	(void)e;
	return 0;
}

void
keeper_signer_free(struct keeper_signer *s)
{
	if (s == NULL)
		return;
	explicit_bzero(s, sizeof(*s));
	free(s);
}

/* Copies part i without leading zeroes; false when it does not fit. */
static bool
keep(struct keeper_signer *s, size_t i, const unsigned char *p, size_t len,
    unsigned char **kept, size_t *kept_len)
{
	while (len > 0 && *p == 0) {
		p++;
		len--;
	}
	if (len == 0 || len > PART_MAX)
		return false;
	memcpy(s->parts[i], p, len);
	*kept = s->parts[i];
	*kept_len = len;
	return true;
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
	const br_rsa_private_key *from = parts->rsa;
	br_rsa_private_key *to = &s->rsa;

	to->n_bitlen = (uint32_t)parts->n.len * 8;
	return keep(s, 0, from->p, from->plen, &to->p, &to->plen) &&
		       keep(s, 1, from->q, from->qlen, &to->q, &to->qlen) &&
		       keep(s, 2, from->dp, from->dplen, &to->dp, &to->dplen) &&
		       keep(s, 3, from->dq, from->dqlen, &to->dq, &to->dqlen) &&
		       keep(s, 4, from->iq, from->iqlen, &to->iq, &to->iqlen)
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
		s->ec.curve = BR_EC_secp256r1;
		if (keep(s, 0, parts->secret.p, parts->secret.len, &s->ec.x,
			&s->ec.xlen))
			return s;
	} else if (keep_public(s, parts) == 0 && keep_rsa(s, parts) == 0)
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
