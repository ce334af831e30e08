/*
 * tls_group_test.c - X25519 and P-256, against BearSSL's and known answers
 */
#include "tests/unit/test.h"

#include <bearssl.h>

#include "base/array.h"
#include "tls/group.h"

/* RFC 7748 6.1: Alice's secret, Bob's point, what they share. */
static const uint8_t alice[] = {0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d,
    0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87,
    0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
static const uint8_t bob_point[] = {0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1,
    0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37, 0x3f, 0x83, 0x43,
    0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b,
    0x4f};
static const uint8_t both[] = {0x4a, 0x5d, 0x9d, 0x5b, 0xa4, 0xce, 0x2d, 0xe1,
    0x72, 0x8e, 0x3b, 0xf4, 0x80, 0x35, 0x0f, 0x25, 0xe0, 0x7e, 0x21, 0xc9,
    0x47, 0xd1, 0x9e, 0x33, 0x76, 0xf0, 0x9b, 0x3c, 0x1e, 0x16, 0x17, 0x42};

static const enum tls_group groups[] = {TLS_GROUP_X25519, TLS_GROUP_P256};

static void
fill(struct tls_pair *pair, unsigned int n)
{
	for (size_t i = 0; i < sizeof(pair->secret); i++)
		pair->secret[i] = (uint8_t)((i + 1) * (n * 2 + 1) * 0x35 >> 2);
}

static struct span
point_of(const struct tls_pair *pair)
{
	return (struct span){pair->point, pair->point_len};
}

static void
test_known_answer(void **state)
{
	struct tls_pair pair;
	uint8_t shared[TLS_SECRET_SIZE];

	(void)state;
	memcpy(pair.secret, alice, sizeof(alice));
	tls_group_make(&pair, TLS_GROUP_X25519);
	assert_int_equal(
	    tls_group_share(
		&pair, (struct span){bob_point, sizeof(bob_point)}, shared),
	    0);
	assert_memory_equal(shared, both, sizeof(both));
}

/* By another implementation: the same point from the same secret. */
static void
test_points(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 50; n++) {
		uint8_t point[TLS_POINT_SIZE];
		struct tls_pair pair;

		fill(&pair, n);
		if (n % 2 == 0)
			memset(pair.secret, n == 0 ? 0xff : 0, 16);
		tls_group_make(&pair, TLS_GROUP_P256);
		assert_int_equal(pair.point_len, TLS_POINT_SIZE);
		assert_int_equal(
		    br_ec_prime_i31.mulgen(point, pair.secret, 32, 23), 65);
		assert_memory_equal(pair.point, point, sizeof(point));
	}
}

static void
test_both_sides_agree(void **state)
{
	(void)state;
	for (size_t g = 0; g < ARRAY_LENGTH(groups); g++)
		for (unsigned int n = 0; n < 20; n++) {
			uint8_t here[TLS_SECRET_SIZE], there[TLS_SECRET_SIZE];
			struct tls_pair a, b;

			fill(&a, n);
			fill(&b, n + 100);
			tls_group_make(&a, groups[g]);
			tls_group_make(&b, groups[g]);
			assert_int_equal(
			    a.point_len, tls_group_point_size(groups[g]));
			assert_int_equal(
			    tls_group_share(&a, point_of(&b), here), 0);
			assert_int_equal(
			    tls_group_share(&b, point_of(&a), there), 0);
			assert_memory_equal(here, there, sizeof(here));
		}
}

static void
test_lengths(void **state)
{
	(void)state;
	for (size_t g = 0; g < ARRAY_LENGTH(groups); g++) {
		uint8_t shared[TLS_SECRET_SIZE], long_one[100] = {0};
		struct tls_pair a;

		fill(&a, 3);
		tls_group_make(&a, groups[g]);
		memcpy(long_one, a.point, a.point_len);
		for (size_t n = 0; n < sizeof(long_one); n++)
			assert_int_equal(
			    tls_group_share(
				&a, (struct span){long_one, n}, shared),
			    n == a.point_len ? 0 : -1);
	}
}

/* 0, 1, one of order 8, p - 1, p, p + 1: all give 0. */
static const uint8_t small[][32] = {
    {0},
    {1},
    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa,
	0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
	0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static void
test_small_order(void **state)
{
	uint8_t shared[TLS_SECRET_SIZE];
	struct tls_pair a;

	(void)state;
	fill(&a, 9);
	tls_group_make(&a, TLS_GROUP_X25519);
	for (size_t i = 0; i < ARRAY_LENGTH(small); i++)
		assert_int_equal(
		    tls_group_share(&a, (struct span){small[i], 32}, shared),
		    -1);
}

static void
test_off_the_curve(void **state)
{
	uint8_t shared[TLS_SECRET_SIZE], p[TLS_POINT_SIZE];
	struct tls_pair a, b;

	(void)state;
	fill(&a, 9);
	fill(&b, 10);
	tls_group_make(&a, TLS_GROUP_P256);
	tls_group_make(&b, TLS_GROUP_P256);
	for (size_t i = 0; i < sizeof(p); i++) {
		memcpy(p, b.point, sizeof(p));
		p[i] ^= 2;
		assert_int_equal(
		    tls_group_share(&a, (struct span){p, sizeof(p)}, shared),
		    -1);
	}
	memset(p, 0, sizeof(p));
	assert_int_equal(
	    tls_group_share(&a, (struct span){p, sizeof(p)}, shared), -1);
	p[0] = 4;
	assert_int_equal(
	    tls_group_share(&a, (struct span){p, sizeof(p)}, shared), -1);
	memset(p + 1, 0xff, sizeof(p) - 1);
	assert_int_equal(
	    tls_group_share(&a, (struct span){p, sizeof(p)}, shared), -1);
}

static int
setup(void **state)
{
	(void)state;
	return tls_group_init();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_answer),
	    cmocka_unit_test(test_points),
	    cmocka_unit_test(test_both_sides_agree),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_small_order),
	    cmocka_unit_test(test_off_the_curve),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
