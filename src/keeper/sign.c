/*
 * sign.c - the one thing that is done with a private key
 *
 * Runs in the keeper. Pure.
 */
#include "keeper/sign.h"

#include <bearssl.h>

#include "base/array.h"
#include "keeper/internal.h"

#define RANDOM_SIZE 32
#define NAMED_CURVE 3

static const struct {
	uint16_t group;
	uint8_t point_len;
	bool uncompressed; /* a first byte of 4 says so */
} groups[] = {
    {TLS_GROUP_P256, TLS_POINT_SIZE, true},
    {TLS_GROUP_X25519, 32, false},
};

static const br_hash_class *const hashes[TLS_HASHES] = {
    [TLS_SHA256] = &br_sha256_vtable,
    [TLS_SHA384] = &br_sha384_vtable,
    [TLS_SHA512] = &br_sha512_vtable,
};

bool
keeper_is_key_exchange(struct span bytes)
{
	struct cursor c = cursor_of(bytes);
	uint8_t type, high, low;
	struct span point;

	(void)cursor_bytes(&c, RANDOM_SIZE);
	(void)cursor_bytes(&c, RANDOM_SIZE);
	type = cursor_u8(&c);
	high = cursor_u8(&c);
	low = cursor_u8(&c);
	point = cursor_bytes(&c, cursor_u8(&c));
	if (cursor_end(&c) != 0 || type != NAMED_CURVE)
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(groups); i++)
		if ((high << 8 | low) == groups[i].group)
			return point.len == groups[i].point_len &&
			       (!groups[i].uncompressed || point.p[0] == 4);
	return false;
}

struct span
keeper_hash(
    enum tls_hash hash, struct span bytes, uint8_t value[KEEPER_HASH_MAX])
{
	const br_hash_class *h = hashes[hash];
	br_hash_compat_context context;

	h->init(&context.vtable);
	h->update(&context.vtable, bytes.p, bytes.len);
	h->out(&context.vtable, value);
	return (struct span){
	    value, (h->desc >> BR_HASHDESC_OUT_OFF) & BR_HASHDESC_OUT_MASK};
}

enum keeper_result
keeper_sign(struct keeper_key *k, unsigned int hash, struct span bytes,
    uint8_t out[TLS_SIGNATURE_MAX], size_t *len)
{
	uint8_t value[KEEPER_HASH_MAX];
	struct span hashed;

	if (hash >= TLS_HASHES)
		return KEEPER_NO_HASH;
	if (!keeper_is_key_exchange(bytes))
		return KEEPER_MALFORMED;
	hashed = keeper_hash((enum tls_hash)hash, bytes, value);
	return keeper_signer_sign(
		   k->signer, (enum tls_hash)hash, hashed, out, len) == 0
		   ? KEEPER_SIGNED
		   : KEEPER_FAILED;
}
