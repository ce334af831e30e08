/*
 * arena.h - memory for one page or one transaction, given back as a whole
 */
#ifndef FORWARD_ARENA_H
#define FORWARD_ARENA_H

#include <stddef.h>

#include "base/span.h"

struct arena_block;

/* All zeroes is an empty one. */
struct arena {
	struct arena_block *blocks; /* the newest first */
	size_t used;		    /* of the newest */
};

/* n bytes, aligned for anything; NULL when there is no memory. Valid until
 * arena_reset. */
void *arena_take(struct arena *a, size_t n);
/* A copy; p stays NULL when it was NULL (SQL NULL). -1: no memory. */
int arena_copy(struct arena *a, struct span from, struct span *to);
/* Gives up what was taken; keeps one block for the next use. */
void arena_reset(struct arena *a);
void arena_clear(struct arena *a);

#endif
