/*
 * libcrypto_fast.c - OpenSSL's library of cryptography, opened by the keeper
 *
 * Runs in the keeper, before its jail. dlopen finds the library where the
 * system's linker looks and nowhere else.
 */
#include "keeper/libcrypto.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/library.h"

LIBRARY_NOTE(
    "[{\"feature\":\"https\",\"description\":\"Signs with the private "
    "keys of "
    "certificates\",\"priority\":\"required\",\"soname\":[\"" LIBCRYPTO_SONAME
    "\"]}]");

static const struct library_symbol symbols[] = {
#define LIBCRYPTO_SYMBOL(result, name, parameters) \
	{#name, offsetof(struct libcrypto, name)},
    LIBCRYPTO_FUNCTIONS(LIBCRYPTO_SYMBOL)
#undef LIBCRYPTO_SYMBOL
};

/* --- its memory: numbers made of keys live there ----------------------- */

static void *
take(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(size);
}

static void
give_back(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *
resize(void *p, size_t size, const char *file, int line)
{
	size_t was = malloc_usable_size(p);
	void *q = take(size, file, line);

	if (q == NULL)
		return NULL;
	if (p != NULL)
		memcpy(q, p, was < size ? was : size);
	give_back(p, file, line);
	return q;
}

int
libcrypto_open(struct libcrypto *l, struct err *e)
{
	void *handle = dlopen(LIBCRYPTO_SONAME, RTLD_NOW | RTLD_LOCAL);

	if (handle == NULL)
		return err_set(e,
		    "OpenSSL's library is missing; install libssl3 (Debian, "
		    "Ubuntu) or openssl-libs (Fedora, RHEL) (%.200s)",
		    dlerror());
	if (library_find(handle, LIBCRYPTO_SONAME, symbols,
		ARRAY_LENGTH(symbols), l, e) != 0)
		return -1;
	if (l->CRYPTO_set_mem_functions(take, resize, give_back) != 1 ||
	    l->OPENSSL_init_crypto(
		OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) !=
		1)
		return err_set(
		    e, "%s cannot initialize itself", LIBCRYPTO_SONAME);
	return 0;
}
