/*
 * keeper_sign_test.c - which keys are taken, and what they sign
 */
#include "tests/unit/test.h"

#include <bearssl.h>

#include "base/array.h"
#include "keeper/internal.h"
#include "keeper/sign.h"
#include "tests/unit/tls_fixtures.h"
#include "tls/hello.h"
#include "tls/pem.h"

static uint8_t memory[65536];

static struct tls_public_key
public_of(const char *pem)
{
	struct tls_certificate c;
	struct err e;

	assert_int_equal(
	    tls_certificate_parse(&c, span_of(pem), memory, sizeof(memory), &e),
	    0);
	return c.key;
}

static const struct {
	const char *certificate, *key;
	const char *reason; /* NULL: taken */
} pairs[] = {
    {FIXTURE_EC, FIXTURE_EC_KEY, NULL},
    {FIXTURE_EC, FIXTURE_EC_SEC1_KEY, NULL},
    {FIXTURE_RSA, FIXTURE_RSA_KEY, NULL},
    {FIXTURE_RSA, FIXTURE_RSA_PKCS1_KEY, NULL},
    {FIXTURE_RSA3072, FIXTURE_RSA3072_KEY, NULL},
    {FIXTURE_RSA4096, FIXTURE_RSA4096_KEY, NULL},
    {FIXTURE_EC,
	"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
	"-----END EC PARAMETERS-----\n" FIXTURE_EC_SEC1_KEY,
	NULL},
    {FIXTURE_RSA, FIXTURE_RSA_LONG_KEY,
	"the private key has longer numbers than an RSA key needs"},
    {FIXTURE_EC, FIXTURE_OTHER_EC_KEY,
	"the private key does not belong to the certificate"},
    {FIXTURE_RSA, FIXTURE_OTHER_RSA_KEY,
	"the private key does not belong to the certificate"},
    {FIXTURE_RSA, FIXTURE_RSA3072_KEY,
	"the private key does not belong to the certificate"},
    {FIXTURE_RSA, FIXTURE_EC_KEY, "an EC key for a certificate with RSA"},
    {FIXTURE_EC, FIXTURE_RSA_KEY, "an RSA key for a certificate with EC"},
    {FIXTURE_EC, FIXTURE_P384_KEY, "the EC key is not on the curve P-256"},
    {FIXTURE_EC, FIXTURE_ENCRYPTED_KEY,
	"the private key is encrypted; store it without a passphrase"},
    {FIXTURE_EC, FIXTURE_EC, "there is no private key in it"},
    {FIXTURE_EC, "", "there is no private key in it"},
    {FIXTURE_EC,
	"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
	"the private key cannot be read"},
    {FIXTURE_EC, "-----BEGIN PRIVATE KEY-----\nMAA=\n",
	"broken or encrypted PEM"},
};

static void
test_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
		struct tls_public_key public = public_of(pairs[i].certificate);
		struct err e = {0};
		struct keeper_key *k =
		    keeper_key_new(span_of(pairs[i].key), &public, &e);

		if (pairs[i].reason == NULL) {
			assert_non_null(k);
			assert_int_equal(keeper_key_kind(k), public.kind);
		} else {
			assert_null(k);
			assert_string_equal(e.text, pairs[i].reason);
		}
		keeper_key_free(k);
	}
}

/* Every byte of a key damaged: never taken, unless it is the same key. */
static void
test_damaged_keys(void **state)
{
	struct tls_public_key public = public_of(FIXTURE_RSA);
	char pem[] = FIXTURE_RSA_KEY;

	(void)state;
	/* Within the primes and exponents. */
	for (size_t at = 800; at < sizeof(pem) - 60; at += 41) {
		struct keeper_key *k;
		char was = pem[at];
		struct err e;

		if (was == '\n')
			continue;
		pem[at] = was == 'A' ? 'B' : 'A';
		k = keeper_key_new(span_of(pem), &public, &e);
		assert_null(k);
		pem[at] = was;
	}
}

static size_t
exchange(uint8_t *out, uint8_t group, uint8_t point_len, uint8_t first)
{
	for (int i = 0; i < 64; i++)
		out[i] = (uint8_t)i;
	out[64] = 3;
	out[65] = 0;
	out[66] = group;
	out[67] = point_len;
	memset(out + 68, 0x55, point_len);
	out[68] = first;
	return 68u + point_len;
}

static void
test_shape(void **state)
{
	uint8_t b[400] = {0};
	size_t len = exchange(b, 29, 32, 9);

	(void)state;
	assert_true(keeper_is_key_exchange((struct span){b, len}));
	for (size_t n = 0; n < sizeof(b); n++)
		assert_int_equal(
		    keeper_is_key_exchange((struct span){b, n}), n == len);
	/* The bytes that are fixed: no other value will do. */
	for (size_t at = 64; at < 68; at++)
		for (unsigned int v = 0; v < 256; v++) {
			uint8_t was = b[at];

			b[at] = (uint8_t)v;
			assert_int_equal(
			    keeper_is_key_exchange((struct span){b, len}),
			    v == was);
			b[at] = was;
		}
	len = exchange(b, 23, 65, 4);
	assert_true(keeper_is_key_exchange((struct span){b, len}));
	for (size_t n = 0; n < sizeof(b); n++)
		assert_int_equal(
		    keeper_is_key_exchange((struct span){b, n}), n == len);
	for (unsigned int v = 0; v < 256; v++) {
		b[68] = (uint8_t)v;
		assert_int_equal(
		    keeper_is_key_exchange((struct span){b, len}), v == 4);
	}
	len = exchange(b, 23, 32, 4);
	assert_false(keeper_is_key_exchange((struct span){b, len}));
	len = exchange(b, 29, 65, 4);
	assert_false(keeper_is_key_exchange((struct span){b, len}));
	len = exchange(b, 24, 97, 4);
	assert_false(keeper_is_key_exchange((struct span){b, len}));
}

static const struct {
	const br_hash_class *table;
	const unsigned char *oid;
	size_t len;
} hashes[] = {
    {&br_sha256_vtable, BR_HASH_OID_SHA256, 32},
    {&br_sha384_vtable, BR_HASH_OID_SHA384, 48},
    {&br_sha512_vtable, BR_HASH_OID_SHA512, 64},
};

/* By BearSSL, which had no part in making it. */
static int
holds(const struct tls_public_key *public, unsigned int hash, struct span bytes,
    struct span signature)
{
	br_hash_compat_context c;
	uint8_t value[64], got[64];

	hashes[hash].table->init(&c.vtable);
	hashes[hash].table->update(&c.vtable, bytes.p, bytes.len);
	hashes[hash].table->out(&c.vtable, value);
	if (public->kind == TLS_KEY_EC) {
		br_ec_public_key k = {BR_EC_secp256r1,
		    (unsigned char *)(uintptr_t) public->point.p, 65};

		return (int)br_ecdsa_i31_vrfy_asn1(&br_ec_prime_i31, value,
		    hashes[hash].len, &k, signature.p, signature.len);
	}
	br_rsa_public_key k = {(unsigned char *)(uintptr_t) public->modulus.p,
	    public->modulus.len,
	    (unsigned char *)(uintptr_t) public->exponent.p,
	    public->exponent.len};

	return br_rsa_i31_pkcs1_vrfy(signature.p, signature.len,
		   hashes[hash].oid, hashes[hash].len, &k, got) &&
	       memcmp(got, value, hashes[hash].len) == 0;
}

static void
test_signatures(void **state)
{
	uint8_t out[TLS_SIGNATURE_MAX], b[200];
	size_t n = exchange(b, 23, 65, 4);

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct tls_public_key public = public_of(pairs[i].certificate);
		struct err e;
		struct keeper_key *k =
		    keeper_key_new(span_of(pairs[i].key), &public, &e);

		for (unsigned int hash = 0; hash < TLS_HASHES; hash++)
			for (uint8_t round = 0; round < 20; round++) {
				size_t len = 0;

				b[0] = round;
				assert_int_equal(
				    keeper_sign(k, hash, (struct span){b, n},
					out, &len),
				    KEEPER_SIGNED);
				assert_true(len <= tls_signature_size(&public));
				assert_true(
				    holds(&public, hash, (struct span){b, n},
					(struct span){out, len}));
			}
		keeper_key_free(k);
	}
}

/* Signs with the key of this DER as it is. 0 or -1. */
static int
sign_with(struct span der, const struct tls_public_key *public,
    struct span bytes, uint8_t *out, size_t *len)
{
	uint8_t value[KEEPER_HASH_MAX];
	br_skey_decoder_context d;
	struct keeper_parts k = {.kind = TLS_KEY_RSA,
	    .der = der,
	    .n = public->modulus,
	    .e = public->exponent};
	struct keeper_signer *s;
	int result = -1;

	br_skey_decoder_init(&d);
	br_skey_decoder_push(&d, der.p, der.len);
	k.rsa = br_skey_decoder_get_rsa(&d);
	assert_non_null(k.rsa);
	s = keeper_signer_new(&k);
	if (s != NULL)
		result = keeper_signer_sign(s, TLS_SHA256,
		    keeper_hash(TLS_SHA256, bytes, value), out, len);
	keeper_signer_free(s);
	return result;
}

/*
 * A part of the key spoilt, as by a fault of the memory, behind the checks of
 * keeper_key_new: a wrong result would give the key away, and none comes.
 */
static void
test_faults(void **state)
{
	struct tls_public_key public = public_of(FIXTURE_RSA);
	struct span pem = span_of(FIXTURE_RSA_KEY), der;
	static uint8_t bytes[4096];
	struct writer w = writer_of(bytes, sizeof(bytes));
	char label[PEM_LABEL_SIZE];
	uint8_t out[TLS_SIGNATURE_MAX];
	struct span text = span_of("a text");
	br_skey_decoder_context d;
	size_t len = 0;

	(void)state;
	assert_int_equal(pem_next(&pem, &w, label, &der), PEM_OBJECT);
	assert_int_equal(sign_with(der, &public, text, out, &len), 0);
	assert_true(holds(&public, TLS_SHA256, text, (struct span){out, len}));
	br_skey_decoder_init(&d);
	br_skey_decoder_push(&d, der.p, der.len);
	const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(&d);
	const struct span parts[] = {{rsa->p, rsa->plen}, {rsa->q, rsa->qlen},
	    {rsa->dp, rsa->dplen}, {rsa->dq, rsa->dqlen},
	    {rsa->iq, rsa->iqlen}};

	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		uint8_t *part =
		    memmem(bytes, der.len, parts[i].p, parts[i].len);

		assert_non_null(part);
		part[parts[i].len / 2] ^= 4;
		if (sign_with(der, &public, text, out, &len) == 0)
			assert_true(holds(&public, TLS_SHA256, text,
			    (struct span){out, len}));
		part[parts[i].len / 2] ^= 4;
	}
}

static void
test_refusals(void **state)
{
	struct tls_public_key public = public_of(FIXTURE_EC);
	uint8_t out[TLS_SIGNATURE_MAX], b[200];
	size_t n = exchange(b, 29, 32, 4), len = 77;
	struct err e;
	struct keeper_key *k =
	    keeper_key_new(span_of(FIXTURE_EC_KEY), &public, &e);

	(void)state;
	assert_int_equal(
	    keeper_sign(k, TLS_HASHES, (struct span){b, n}, out, &len),
	    KEEPER_NO_HASH);
	assert_int_equal(
	    keeper_sign(k, 4000000000u, (struct span){b, n}, out, &len),
	    KEEPER_NO_HASH);
	assert_int_equal(
	    keeper_sign(k, TLS_SHA256, (struct span){b, n - 1}, out, &len),
	    KEEPER_MALFORMED);
	assert_int_equal(
	    keeper_sign(k, TLS_SHA256, (struct span){0}, out, &len),
	    KEEPER_MALFORMED);
	assert_int_equal(len, 77);
	keeper_key_free(k);
	keeper_key_free(NULL);
}

static int
setup(void **state)
{
	struct err e;

	(void)state;
	return keeper_key_init(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_damaged_keys),
	    cmocka_unit_test(test_shape),
	    cmocka_unit_test(test_signatures),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
