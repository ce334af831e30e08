/*
 * group_bearssl.c - the two groups of a key exchange, by BearSSL alone
 *
 * Pure. Built with CRYPTO=bearssl, in place of group_fast.c.
 */
#include "tls/group.h"

#include <bearssl.h>
#include <string.h>

int
tls_group_init(void)
{
	return 0;
}

size_t
tls_group_point_size(enum tls_group group)
{
	return group == TLS_GROUP_X25519 ? 32 : TLS_POINT_SIZE;
}

void
tls_group_make(struct tls_pair *pair, enum tls_group group)
{
	pair->group = group;
	/* Below the order of P-256, and not 0. X25519 sets its own bits. */
	if (group == TLS_GROUP_P256) {
		pair->secret[0] &= 0x7f;
		pair->secret[TLS_SECRET_SIZE - 1] |= 1;
	}
	pair->point_len = (uint8_t)br_ec_all_m31.mulgen(
	    pair->point, pair->secret, sizeof(pair->secret), (int)group);
}

int
tls_group_share(const struct tls_pair *pair, struct span point,
    uint8_t shared[TLS_SECRET_SIZE])
{
	uint8_t p[TLS_POINT_SIZE];
	uint8_t any = 0;
	size_t len, at;
	uint32_t ok;

	if (point.len != tls_group_point_size(pair->group))
		return -1;
	memcpy(p, point.p, point.len);
	ok = br_ec_all_m31.mul(
	    p, point.len, pair->secret, sizeof(pair->secret), (int)pair->group);
	at = br_ec_all_m31.xoff((int)pair->group, &len);
	memcpy(shared, p + at, TLS_SECRET_SIZE);
	explicit_bzero(p, sizeof(p));
	for (size_t i = 0; i < TLS_SECRET_SIZE; i++)
		any |= shared[i];
	return ok == 1 && any != 0 ? 0 : -1;
}
