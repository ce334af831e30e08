/*
 * key.c - private keys, decoded
 *
 * Runs in the keeper. Pure but for the heap; every copy is wiped.
 */
#include "keeper/key.h"

#include <bearssl.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/internal.h"
#include "tls/pem.h"

/* Several times what decoding and a signature use. */
#define STACK_WIPED 65536
/* Of the DER of an RSA key: what is no long number. */
#define RSA_DER_OTHER 256

int
keeper_key_init(struct err *e)
{
	return keeper_signer_init(e);
}

enum tls_key_kind
keeper_key_kind(const struct keeper_key *k)
{
	return k->kind;
}

void
keeper_key_free(struct keeper_key *k)
{
	if (k == NULL)
		return;
	keeper_signer_free(k->signer);
	free(k);
}

/* --- does a signature hold under the certificate ----------------------- */

/* BearSSL wants what it only reads without const: so copies are made. */
static bool
verifies_ec(const struct tls_public_key *public, struct span value,
    struct span signature)
{
	uint8_t point[TLS_POINT_SIZE];
	const br_ec_public_key k = {BR_EC_secp256r1, point, sizeof(point)};

	memcpy(point, public->point.p, sizeof(point));
	return br_ecdsa_vrfy_asn1_get_default()(&br_ec_p256_m31, value.p,
		   value.len, &k, signature.p, signature.len) == 1;
}

static bool
verifies_rsa(const struct tls_public_key *public, struct span value,
    struct span signature)
{
	uint8_t n[TLS_RSA_BITS_MAX / 8], e[8], got[KEEPER_HASH_MAX];
	const br_rsa_public_key k = {
	    n, public->modulus.len, e, public->exponent.len};

	if (k.nlen > sizeof(n) || k.elen > sizeof(e))
		return false;
	memcpy(n, public->modulus.p, k.nlen);
	memcpy(e, public->exponent.p, k.elen);
	return br_rsa_pkcs1_vrfy_get_default()(signature.p, signature.len,
		   BR_HASH_OID_SHA256, value.len, &k, got) == 1 &&
	       memcmp(got, value.p, value.len) == 0;
}

static bool
verifies(const struct tls_public_key *public, struct span value,
    struct span signature)
{
	return public->kind == TLS_KEY_EC
		   ? verifies_ec(public, value, signature)
		   : verifies_rsa(public, value, signature);
}

/* --- decoding ---------------------------------------------------------- */

static struct span
without_zeroes(const unsigned char *p, size_t len)
{
	while (len > 0 && *p == 0) {
		p++;
		len--;
	}
	return (struct span){p, len};
}

/*
 * Whether the parts that make RSA fast belong together: signs with them alone.
 * libcrypto would not say so: where they are wrong it takes the slow way.
 */
static bool
fits(const br_rsa_private_key *k, const struct tls_public_key *public)
{
	uint8_t value[KEEPER_HASH_MAX], signature[TLS_SIGNATURE_MAX];
	struct span hash = keeper_hash(TLS_SHA256, span_of("a trial"), value);
	size_t len = (k->n_bitlen + 7) / 8;

	return len == public->modulus.len &&
	       br_rsa_pkcs1_sign_get_default()(
		   BR_HASH_OID_SHA256, hash.p, hash.len, k, signature) == 1 &&
	       verifies_rsa(public, hash, (struct span){signature, len});
}

/* secret: 32 bytes, into which a shorter number is put. */
static int
take_ec(struct keeper_parts *parts, const br_ec_private_key *k,
    uint8_t secret[32], struct err *e)
{
	struct span x = without_zeroes(k->x, k->xlen);

	if (k->curve != BR_EC_secp256r1)
		return err_set(e, "the EC key is not on the curve P-256");
	if (x.len == 0 || x.len > 32)
		return err_set(e, "the EC key is no number of P-256");
	memset(secret, 0, 32);
	memcpy(secret + 32 - x.len, x.p, x.len);
	parts->secret = (struct span){secret, 32};
	return 0;
}

/* The DER of the first object that is a private key. */
static int
find_key(
    struct span pem, struct writer *memory, struct span *der, struct err *e)
{
	char label[PEM_LABEL_SIZE];
	enum pem_result got;

	while ((got = pem_next(&pem, memory, label, der)) == PEM_OBJECT) {
		if (strcmp(label, "PRIVATE KEY") == 0 ||
		    strcmp(label, "RSA PRIVATE KEY") == 0 ||
		    strcmp(label, "EC PRIVATE KEY") == 0)
			return 0;
		if (strcmp(label, "ENCRYPTED PRIVATE KEY") == 0)
			return err_set(e,
			    "the private key is encrypted; store it without "
			    "a passphrase");
	}
	return err_set(e, got == PEM_END ? "there is no private key in it"
					 : "broken or encrypted PEM");
}

static int
try(struct keeper_key *k, const struct tls_public_key *public)
{
	uint8_t value[KEEPER_HASH_MAX], signature[TLS_SIGNATURE_MAX];
	struct span hash = keeper_hash(TLS_SHA256, span_of("a trial"), value);
	size_t len = 0;

	if (k->signer == NULL || keeper_signer_sign(k->signer, TLS_SHA256, hash,
				     signature, &len) != 0)
		return -1;
	return verifies(public, hash, (struct span){signature, len}) ? 0 : -1;
}

/* --- the whole --------------------------------------------------------- */

static struct keeper_key *
make(const struct keeper_parts *parts, const struct tls_public_key *public,
    struct err *e)
{
	struct keeper_key *k;

	if (parts->kind != public->kind) {
		(void)err_set(e, "an %s key for a certificate with %s",
		    parts->kind == TLS_KEY_EC ? "EC" : "RSA",
		    public->kind == TLS_KEY_EC ? "EC" : "RSA");
		return NULL;
	}
	k = calloc(1, sizeof(*k));
	if (k == NULL) {
		(void)err_set(e, "no memory");
		return NULL;
	}
	k->kind = parts->kind;
	if (parts->rsa == NULL || fits(parts->rsa, public))
		k->signer = keeper_signer_new(parts);
	if (try(k, public) == 0)
		return k;
	(void)err_set(e, "the private key does not belong to the certificate");
	keeper_key_free(k);
	return NULL;
}

/*
 * Numbers that are right, and longer than they have to be: libcrypto checks
 * each signature with the key's own public exponent, and one of thousands of
 * bits keeps us from all other keys for as long. An RSA key holds nine numbers
 * that are four and a half times as long as its modulus together.
 */
static bool
is_too_long(struct span der, const br_rsa_private_key *k)
{
	size_t modulus_len = ((size_t)k->n_bitlen + 7) / 8;

	return der.len > 5 * modulus_len + RSA_DER_OTHER;
}

static struct keeper_key *
decode(struct span der, const struct tls_public_key *public, struct err *e)
{
	br_skey_decoder_context d;
	struct keeper_parts parts = {
	    .der = der, .n = public->modulus, .e = public->exponent};
	uint8_t secret[32];
	struct keeper_key *k = NULL;

	br_skey_decoder_init(&d);
	br_skey_decoder_push(&d, der.p, der.len);
	parts.rsa = br_skey_decoder_get_rsa(&d);
	parts.kind = parts.rsa != NULL ? TLS_KEY_RSA : TLS_KEY_EC;
	if (br_skey_decoder_last_error(&d) != 0)
		(void)err_set(e, "the private key cannot be read");
	else if (parts.rsa != NULL && is_too_long(der, parts.rsa))
		(void)err_set(e, "the private key has longer numbers than an "
				 "RSA key needs");
	else if (parts.rsa != NULL ||
		 take_ec(&parts, br_skey_decoder_get_ec(&d), secret, e) == 0)
		k = make(&parts, public, e);
	explicit_bzero(&d, sizeof(d));
	explicit_bzero(secret, sizeof(secret));
	return k;
}

/*
 * What the functions that we called left on the stack; and the dynamic linker,
 * which saves the vector registers there when it binds one, with what a copy
 * of the key had put into them.
 */
static void __attribute__((noinline)) wipe_stack(void)
{
	uint8_t below[STACK_WIPED];

	explicit_bzero(below, sizeof(below));
}

struct keeper_key *
keeper_key_new(
    struct span pem, const struct tls_public_key *public, struct err *e)
{
	struct keeper_key *k = NULL;
	struct writer w;
	struct span der;
	uint8_t *memory;

	if (pem.len > KEEPER_PEM_MAX) {
		(void)err_set(e, "longer than a key can be");
		return NULL;
	}
	memory = malloc(pem.len + 1);
	if (memory == NULL) {
		(void)err_set(e, "no memory");
		return NULL;
	}
	w = writer_of(memory, pem.len);
	if (find_key(pem, &w, &der, e) == 0)
		k = decode(der, public, e);
	explicit_bzero(memory, pem.len + 1);
	free(memory);
	wipe_stack();
	return k;
}
