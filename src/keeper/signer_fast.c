/*
 * signer_fast.c - signatures by OpenSSL's libcrypto
 *
 * Runs in the keeper. Asks the kernel for random numbers, uses the heap. What
 * comes here was decoded and tried by BearSSL before. The library blinds RSA,
 * and checks each of its results before it leaves, so that a fault in the
 * computation does not give the key away.
 */
#include "keeper/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/libcrypto.h"

struct keeper_signer {
	EVP_PKEY *key;
	EVP_PKEY_CTX *context; /* ready to sign hashes of the kind `hash` */
	enum tls_hash hash;
};

static struct libcrypto lib;

int
keeper_signer_init(struct err *e)
{
	return lib.EVP_PKEY_sign != NULL ? 0 : libcrypto_open(&lib, e);
}

static const EVP_MD *
method_of(enum tls_hash hash)
{
	switch (hash) {
	case TLS_SHA384:
		return lib.EVP_sha384();
	case TLS_SHA512:
		return lib.EVP_sha512();
	default:
		return lib.EVP_sha256();
	}
}

static int
use_hash(struct keeper_signer *s, enum tls_hash hash)
{
	s->hash = hash;
	return lib.EVP_PKEY_CTX_set_signature_md(s->context, method_of(hash)) ==
		       1
		   ? 0
		   : -1;
}

void
keeper_signer_free(struct keeper_signer *s)
{
	if (s == NULL)
		return;
	lib.EVP_PKEY_CTX_free(s->context);
	lib.EVP_PKEY_free(s->key);
	free(s);
}

static int
prepare(struct keeper_signer *s, const struct keeper_parts *parts)
{
	const unsigned char *der = parts->der.p;

	if (parts->der.len > LONG_MAX)
		return -1;
	s->key = lib.d2i_AutoPrivateKey(NULL, &der, (long)parts->der.len);
	if (s->key == NULL)
		return -1;
	s->context = lib.EVP_PKEY_CTX_new(s->key, NULL);
	if (s->context == NULL || lib.EVP_PKEY_sign_init(s->context) != 1)
		return -1;
	if (parts->kind == TLS_KEY_RSA &&
	    lib.EVP_PKEY_CTX_set_rsa_padding(s->context, RSA_PKCS1_PADDING) !=
		1)
		return -1;
	return use_hash(s, TLS_SHA256);
}

struct keeper_signer *
keeper_signer_new(const struct keeper_parts *parts)
{
	struct keeper_signer *s = calloc(1, sizeof(*s));

	if (s == NULL || prepare(s, parts) == 0)
		return s;
	lib.ERR_clear_error();
	keeper_signer_free(s);
	return NULL;
}

int
keeper_signer_sign(struct keeper_signer *s, enum tls_hash hash,
    struct span value, uint8_t out[TLS_SIGNATURE_MAX], size_t *len)
{
	*len = TLS_SIGNATURE_MAX;
	if ((hash == s->hash || use_hash(s, hash) == 0) &&
	    lib.EVP_PKEY_sign(s->context, out, len, value.p, value.len) == 1)
		return 0;
	lib.ERR_clear_error();
	return -1;
}
