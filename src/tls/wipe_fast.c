/*
 * wipe_fast.c - memory of GMP and Nettle, wiped when it is given back
 *
 * Runs in web workers and the keeper.
 */
#include "tls/wipe.h"

#include <gmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static void *
take(size_t size)
{
	void *p = malloc(size);

	if (p == NULL)
		abort();
	return p;
}

static void
give_back(void *p, size_t size)
{
	explicit_bzero(p, size);
	free(p);
}

static void *
resize(void *p, size_t old, size_t new)
{
	void *q = take(new);

	memcpy(q, p, old < new ? old : new);
	give_back(p, old);
	return q;
}

void
wipe_what_is_freed(void)
{
	mp_set_memory_functions(take, resize, give_back);
}
