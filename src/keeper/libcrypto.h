/*
 * libcrypto.h - OpenSSL's library of cryptography, opened by the keeper
 *
 * Only here are private keys used with it. No other role needs it, so the
 * binary is not linked with it. Only in builds with CRYPTO=fast.
 */
#ifndef KEEPER_LIBCRYPTO_H
#define KEEPER_LIBCRYPTO_H

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/err.h"

/* The series whose functions are called. */
#define LIBCRYPTO_SONAME "libcrypto.so.3"

/* Every function that is called: (result, name, parameters). */
#define LIBCRYPTO_FUNCTIONS(X)                                                 \
	X(int, CRYPTO_set_mem_functions,                                       \
	    (CRYPTO_malloc_fn, CRYPTO_realloc_fn, CRYPTO_free_fn))             \
	X(int, OPENSSL_init_crypto, (uint64_t, const OPENSSL_INIT_SETTINGS *)) \
	X(void, ERR_clear_error, (void))                                       \
	X(const EVP_MD *, EVP_sha256, (void))                                  \
	X(const EVP_MD *, EVP_sha384, (void))                                  \
	X(const EVP_MD *, EVP_sha512, (void))                                  \
	X(EVP_PKEY *, d2i_AutoPrivateKey,                                      \
	    (EVP_PKEY **, const unsigned char **, long))                       \
	X(void, EVP_PKEY_free, (EVP_PKEY *))                                   \
	X(EVP_PKEY_CTX *, EVP_PKEY_CTX_new, (EVP_PKEY *, ENGINE *))            \
	X(void, EVP_PKEY_CTX_free, (EVP_PKEY_CTX *))                           \
	X(int, EVP_PKEY_sign_init, (EVP_PKEY_CTX *))                           \
	X(int, EVP_PKEY_CTX_set_signature_md,                                  \
	    (EVP_PKEY_CTX *, const EVP_MD *))                                  \
	X(int, EVP_PKEY_CTX_set_rsa_padding, (EVP_PKEY_CTX *, int))            \
	X(int, EVP_PKEY_sign,                                                  \
	    (EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, \
		size_t))

struct libcrypto {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration. */
#define LIBCRYPTO_POINTER(result, name, parameters) result(*name) parameters;
	LIBCRYPTO_FUNCTIONS(LIBCRYPTO_POINTER)
#undef LIBCRYPTO_POINTER
};

/*
 * Opens the library and makes it wipe all memory that it gives back. It reads
 * no configuration and leaves no handler behind. Once in a process, before the
 * jail; it is never closed. -1 when there is none; the error names the package.
 */
int libcrypto_open(struct libcrypto *l, struct err *e);

#endif
