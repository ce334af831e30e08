/*
 * tls_primitives.c - what the primitives of a handshake cost, by library
 *
 * Prints CPU time of one operation, of the candidates for each role: BearSSL
 * (CRYPTO=bearssl), libsodium, Nettle, GMP (CRYPTO=fast), and OpenSSL, to
 * know what nginx pays; and of keeper_sign as it was built. Run it on the
 * machine in question.
 */
#include <bearssl.h>
#include <gmp.h>
#include <nettle/curve25519.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <nettle/rsa.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "keeper/sign.h"
#include "tests/unit/tls_fixtures.h"

#define SECONDS 0.3

static uint8_t secret[32], point[65], out[1024];
static const uint8_t hash[32] = {1, 2, 3};
static size_t point_len;

static double
cpu_seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
measure(const char *role, const char *who, void (*once)(void *), void *arg)
{
	double start, now;
	unsigned int n = 0;

	once(arg);
	start = now = cpu_seconds();
	while (now - start < SECONDS) {
		once(arg);
		n++;
		now = cpu_seconds();
	}
	(void)printf(
	    "%-22s %-28s %8.1f us\n", role, who, (now - start) / n * 1e6);
}

static void
draw(void *ctx, size_t len, uint8_t *p)
{
	(void)ctx;
	if (getrandom(p, len, 0) != (ssize_t)len)
		abort();
}

/* --- BearSSL ----------------------------------------------------------- */

struct curve {
	const br_ec_impl *impl;
	int id;
};

static void
bear_make(void *arg)
{
	const struct curve *c = arg;

	point_len = c->impl->mulgen(point, secret, sizeof(secret), c->id);
}

static void
bear_share(void *arg)
{
	const struct curve *c = arg;

	memcpy(out, point, point_len);
	(void)c->impl->mul(out, point_len, secret, sizeof(secret), c->id);
}

static void
bear_ecdsa(void *arg)
{
	const br_ec_private_key k = {BR_EC_secp256r1, secret, sizeof(secret)};

	(void)br_ecdsa_i31_sign_asn1(arg, &br_sha256_vtable, hash, &k, out);
}

static struct {
	br_rsa_private_key key;
	uint8_t parts[5][512];
	br_rsa_pkcs1_sign sign;
} bear_rsa;

static void
bear_rsa_sign(void *arg)
{
	(void)arg;
	(void)bear_rsa.sign(
	    BR_HASH_OID_SHA256, hash, sizeof(hash), &bear_rsa.key, out);
}

static void
bear_curves(void)
{
	struct {
		const char *name;
		struct curve curve;
	} rows[] = {
	    {"BearSSL m31", {&br_ec_c25519_m31, BR_EC_curve25519}},
	    {"BearSSL i31", {&br_ec_c25519_i31, BR_EC_curve25519}},
	    {"BearSSL m31", {&br_ec_p256_m31, BR_EC_secp256r1}},
	    {"BearSSL prime i31", {&br_ec_prime_i31, BR_EC_secp256r1}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int x = rows[i].curve.id == BR_EC_curve25519;

		measure(x ? "X25519 pair" : "P-256 pair", rows[i].name,
		    bear_make, &rows[i].curve);
		measure(x ? "X25519 share" : "P-256 share", rows[i].name,
		    bear_share, &rows[i].curve);
	}
}

/* --- libsodium, Nettle, GMP -------------------------------------------- */

static void
sodium_make(void *arg)
{
	(void)arg;
	(void)crypto_scalarmult_base(point, secret);
}

static void
sodium_share(void *arg)
{
	(void)arg;
	if (crypto_scalarmult(out, secret, point) != 0)
		abort();
}

static void
nettle_make(void *arg)
{
	(void)arg;
	curve25519_mul_g(point, secret);
}

static void
nettle_share(void *arg)
{
	(void)arg;
	curve25519_mul(out, secret, point);
}

static struct ecc_point nettle_point;
static struct ecc_scalar nettle_scalar;
static struct dsa_signature nettle_signature;

static void
nettle_p256_make(void *arg)
{
	(void)arg;
	ecc_point_mul_g(&nettle_point, &nettle_scalar);
}

static void
nettle_p256_share(void *arg)
{
	ecc_point_mul(arg, &nettle_scalar, &nettle_point);
}

static void
nettle_ecdsa(void *arg)
{
	(void)arg;
	ecdsa_sign(
	    &nettle_scalar, NULL, draw, sizeof(hash), hash, &nettle_signature);
}

static struct {
	struct rsa_public_key public;
	struct rsa_private_key private;
	mpz_t signature;
} nettle_rsa;

static void
nettle_rsa_sign(void *arg)
{
	(void)arg;
	if (!rsa_sha256_sign_digest_tr(&nettle_rsa.public, &nettle_rsa.private,
		NULL, draw, hash, nettle_rsa.signature))
		abort();
}

/* The two powers that keeper/signer_fast.c spends most of its time on. */
static void
gmp_powers(void *arg)
{
	static mp_limb_t scratch[8192], r[32];
	const mp_size_t n = (mp_size_t)mpz_size(nettle_rsa.private.p);
	const mp_bitcnt_t bits = (mp_bitcnt_t)n * GMP_NUMB_BITS;

	(void)arg;
	if (mpn_sec_powm_itch(n, bits, n) > 8192)
		abort();
	for (int i = 0; i < 2; i++)
		mpn_sec_powm(r, mpz_limbs_read(nettle_rsa.private.q), n,
		    mpz_limbs_read(nettle_rsa.private.a), bits,
		    mpz_limbs_read(nettle_rsa.private.p), n, scratch);
}

static void
fast_curves(void)
{
	struct ecc_point shared;

	measure("X25519 pair", "libsodium (fast)", sodium_make, NULL);
	measure("X25519 share", "libsodium (fast)", sodium_share, NULL);
	measure("X25519 pair", "Nettle", nettle_make, NULL);
	measure("X25519 share", "Nettle", nettle_share, NULL);
	ecc_point_init(&nettle_point, nettle_get_secp_256r1());
	ecc_point_init(&shared, nettle_get_secp_256r1());
	ecc_scalar_init(&nettle_scalar, nettle_get_secp_256r1());
	ecc_scalar_random(&nettle_scalar, NULL, draw);
	dsa_signature_init(&nettle_signature);
	measure("P-256 pair", "Nettle (fast)", nettle_p256_make, NULL);
	measure("P-256 share", "Nettle (fast)", nettle_p256_share, &shared);
	measure("ECDSA P-256 sign", "Nettle (fast)", nettle_ecdsa, NULL);
	ecc_point_clear(&shared);
}

/* --- OpenSSL ----------------------------------------------------------- */

static void
openssl_make(void *arg)
{
	EVP_PKEY_free(EVP_PKEY_Q_keygen(NULL, NULL, arg, "P-256"));
}

static void
openssl_share(void *arg)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(arg, NULL);
	size_t len = sizeof(out);

	if (EVP_PKEY_derive_init(c) != 1 ||
	    EVP_PKEY_derive_set_peer(c, arg) != 1 ||
	    EVP_PKEY_derive(c, out, &len) != 1)
		abort();
	EVP_PKEY_CTX_free(c);
}

static void
openssl_sign(void *arg)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t len = sizeof(out);

	if (EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, arg) != 1 ||
	    EVP_DigestSign(c, out, &len, hash, sizeof(hash)) != 1)
		abort();
	EVP_MD_CTX_free(c);
}

static void
openssl_curves(void)
{
	char x25519[] = "X25519", ec[] = "EC";
	EVP_PKEY *x = EVP_PKEY_Q_keygen(NULL, NULL, x25519);
	EVP_PKEY *p = EVP_PKEY_Q_keygen(NULL, NULL, ec, "P-256");

	measure("X25519 pair", "OpenSSL", openssl_make, x25519);
	measure("X25519 share", "OpenSSL", openssl_share, x);
	measure("P-256 pair", "OpenSSL", openssl_make, ec);
	measure("P-256 share", "OpenSSL", openssl_share, p);
	measure("ECDSA P-256 sign", "OpenSSL", openssl_sign, p);
	EVP_PKEY_free(x);
	EVP_PKEY_free(p);
}

/* --- RSA --------------------------------------------------------------- */

static void
take_parts(unsigned int bits)
{
	mpz_t *from[5] = {&nettle_rsa.private.p, &nettle_rsa.private.q,
	    &nettle_rsa.private.a, &nettle_rsa.private.b,
	    &nettle_rsa.private.c};
	size_t len[5];

	for (int i = 0; i < 5; i++)
		mpz_export(bear_rsa.parts[i], &len[i], 1, 1, 1, 0, *from[i]);
	bear_rsa.key = (br_rsa_private_key){bits, bear_rsa.parts[0], len[0],
	    bear_rsa.parts[1], len[1], bear_rsa.parts[2], len[2],
	    bear_rsa.parts[3], len[3], bear_rsa.parts[4], len[4]};
}

static void
measure_rsa(unsigned int bits)
{
	EVP_PKEY *k = EVP_RSA_gen(bits);
	char role[32];

	(void)snprintf(role, sizeof(role), "RSA-%u sign", bits);
	rsa_public_key_init(&nettle_rsa.public);
	rsa_private_key_init(&nettle_rsa.private);
	mpz_init(nettle_rsa.signature);
	mpz_set_ui(nettle_rsa.public.e, 65537);
	if (!rsa_generate_keypair(&nettle_rsa.public, &nettle_rsa.private, NULL,
		draw, NULL, NULL, bits, 0))
		abort();
	take_parts(bits);
	bear_rsa.sign = br_rsa_i31_pkcs1_sign;
	measure(role, "BearSSL i31", bear_rsa_sign, NULL);
	bear_rsa.sign = br_rsa_i62_pkcs1_sign_get();
	if (bear_rsa.sign != 0)
		measure(role, "BearSSL i62", bear_rsa_sign, NULL);
	measure(role, "Nettle, side-channel silent", nettle_rsa_sign, NULL);
	measure(role, "GMP, two powers of (fast)", gmp_powers, NULL);
	measure(role, "OpenSSL", openssl_sign, k);
	EVP_PKEY_free(k);
	rsa_public_key_clear(&nettle_rsa.public);
	rsa_private_key_clear(&nettle_rsa.private);
	mpz_clear(nettle_rsa.signature);
}

/* --- the keeper -------------------------------------------------------- */

static void
keeper_once(void *arg)
{
	uint8_t bytes[64 + 4 + 32] = {[64] = 3, [66] = 29, [67] = 32};
	uint8_t signature[TLS_SIGNATURE_MAX];
	size_t len;

	if (keeper_sign(arg, 0, (struct span){bytes, sizeof(bytes)}, signature,
		&len) != KEEPER_SIGNED)
		abort();
}

static void
measure_keeper(const char *role, const char *chain, const char *key)
{
	static uint8_t memory[8192];
	struct tls_certificate c;
	struct keeper_key *k;
	struct err e;

	if (tls_certificate_parse(
		&c, span_of(chain), memory, sizeof(memory), &e) != 0)
		abort();
	k = keeper_key_new(span_of(key), &c.key, &e);
	if (k == NULL)
		abort();
	measure(role, "keeper_sign, as built", keeper_once, k);
	keeper_key_free(k);
}

int
main(void)
{
	struct err e;

	/* First of all: it sets how libcrypto gets its memory. */
	if (keeper_key_init(&e) != 0 || sodium_init() < 0)
		return 1;
	draw(NULL, sizeof(secret), secret);
	secret[0] &= 0x7f;
	secret[31] |= 1;
	bear_curves();
	measure("ECDSA P-256 sign", "BearSSL i31/m31", bear_ecdsa,
	    (void *)(uintptr_t)&br_ec_p256_m31);
	fast_curves();
	openssl_curves();
	measure_rsa(2048);
	measure_rsa(3072);
	measure_rsa(4096);
	measure_keeper("ECDSA P-256 sign", FIXTURE_EC, FIXTURE_EC_KEY);
	measure_keeper("RSA-2048 sign", FIXTURE_RSA, FIXTURE_RSA_KEY);
	measure_keeper("RSA-3072 sign", FIXTURE_RSA3072, FIXTURE_RSA3072_KEY);
	measure_keeper("RSA-4096 sign", FIXTURE_RSA4096, FIXTURE_RSA4096_KEY);
	return 0;
}
