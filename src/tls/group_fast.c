/*
 * group_fast.c - the two groups of a key exchange, by libsodium and Nettle
 *
 * Pure but for the heap of Nettle's P-256, which is wiped as it is freed (see
 * wipe.h). tests/bench/tls_primitives.c has the figures for the choice.
 */
#include "tls/group.h"

#include <gmp.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <sodium.h>
#include <string.h>

#include "tls/wipe.h"

int
tls_group_init(void)
{
	wipe_what_is_freed();
	/* Picks the code for this processor; asks getrandom once. */
	return sodium_init() < 0 ? -1 : 0;
}

size_t
tls_group_point_size(enum tls_group group)
{
	return group == TLS_GROUP_X25519 ? crypto_scalarmult_BYTES
					 : TLS_POINT_SIZE;
}

/* --- P-256 ------------------------------------------------------------- */

static void
import(mpz_t n, const uint8_t *bytes)
{
	mpz_import(n, TLS_SECRET_SIZE, 1, 1, 1, 0, bytes);
}

/* Of a whole number of limbs, in the same time for each. */
static void export(uint8_t *bytes, const mp_limb_t *limbs)
{
	const size_t each = sizeof(limbs[0]);

	for (size_t i = 0; i < TLS_SECRET_SIZE; i++)
		bytes[TLS_SECRET_SIZE - 1 - i] =
		    (uint8_t)(limbs[i / each] >> (8 * (i % each)));
}

/* scalar: below the order and not 0, as tls_group_make leaves it. */
static int
set_scalar(struct ecc_scalar *scalar, const uint8_t *secret)
{
	mpz_t n;
	int ok;

	mpz_init2(n, 8 * TLS_SECRET_SIZE);
	import(n, secret);
	ok = ecc_scalar_set(scalar, n);
	mpz_clear(n);
	return ok ? 0 : -1;
}

static void
make_p256(struct tls_pair *pair)
{
	struct ecc_scalar scalar;
	struct ecc_point point;

	pair->secret[0] &= 0x7f;
	pair->secret[TLS_SECRET_SIZE - 1] |= 1;
	ecc_scalar_init(&scalar, nettle_get_secp_256r1());
	ecc_point_init(&point, nettle_get_secp_256r1());
	(void)set_scalar(&scalar, pair->secret);
	ecc_point_mul_g(&point, &scalar);
	pair->point[0] = 4;
	/* A point holds the limbs of x, then those of y. */
	export(pair->point + 1, point.p);
	export(pair->point + 1 + TLS_SECRET_SIZE,
	    point.p + TLS_SECRET_SIZE / sizeof(point.p[0]));
	pair->point_len = TLS_POINT_SIZE;
	ecc_point_clear(&point);
	ecc_scalar_clear(&scalar);
}

/* The curve has no points of small order: one that is on it will do. */
static int
share_p256(const struct tls_pair *pair, struct span point, uint8_t *shared)
{
	struct ecc_scalar scalar;
	struct ecc_point p;
	mpz_t x, y;
	int result = -1;

	if (point.len != TLS_POINT_SIZE || point.p[0] != 4)
		return -1;
	ecc_scalar_init(&scalar, nettle_get_secp_256r1());
	ecc_point_init(&p, nettle_get_secp_256r1());
	mpz_init2(x, 8 * TLS_SECRET_SIZE);
	mpz_init2(y, 8 * TLS_SECRET_SIZE);
	import(x, point.p + 1);
	import(y, point.p + 1 + TLS_SECRET_SIZE);
	if (ecc_point_set(&p, x, y) && set_scalar(&scalar, pair->secret) == 0) {
		ecc_point_mul(&p, &scalar, &p);
		export(shared, p.p);
		result = 0;
	}
	mpz_clear(x);
	mpz_clear(y);
	ecc_point_clear(&p);
	ecc_scalar_clear(&scalar);
	return result;
}

/* --- both -------------------------------------------------------------- */

void
tls_group_make(struct tls_pair *pair, enum tls_group group)
{
	pair->group = group;
	if (group == TLS_GROUP_P256) {
		make_p256(pair);
		return;
	}
	(void)crypto_scalarmult_base(pair->point, pair->secret);
	pair->point_len = crypto_scalarmult_BYTES;
}

int
tls_group_share(const struct tls_pair *pair, struct span point,
    uint8_t shared[TLS_SECRET_SIZE])
{
	if (pair->group == TLS_GROUP_P256)
		return share_p256(pair, point, shared);
	if (point.len != crypto_scalarmult_BYTES)
		return -1;
	return crypto_scalarmult(shared, pair->secret, point.p);
}
