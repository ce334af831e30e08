/*
 * arena.c - memory for one page or one transaction, given back as a whole
 */
#include "forward/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)256 << 10)

struct arena_block {
	struct arena_block *next;
	size_t size;
	alignas(max_align_t) uint8_t bytes[];
};

void *
arena_take(struct arena *a, size_t n)
{
	size_t rounded =
	    (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct arena_block *b = a->blocks;
	void *p;

	if (rounded < n)
		return NULL;
	if (b == NULL || rounded > b->size - a->used) {
		size_t size = rounded > BLOCK_SIZE ? rounded : BLOCK_SIZE;

		b = malloc(sizeof(*b) + size);
		if (b == NULL)
			return NULL;
		b->next = a->blocks;
		b->size = size;
		a->blocks = b;
		a->used = 0;
	}
	p = b->bytes + a->used;
	a->used += rounded;
	return p;
}

int
arena_copy(struct arena *a, struct span from, struct span *to)
{
	uint8_t *p;

	*to = (struct span){NULL, 0};
	if (from.p == NULL)
		return 0;
	p = arena_take(a, from.len > 0 ? from.len : 1);
	if (p == NULL)
		return -1;
	if (from.len > 0)
		memcpy(p, from.p, from.len);
	*to = (struct span){p, from.len};
	return 0;
}

static void
free_blocks(struct arena_block *b)
{
	while (b != NULL) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
}

void
arena_reset(struct arena *a)
{
	if (a->blocks != NULL) {
		free_blocks(a->blocks->next);
		a->blocks->next = NULL;
	}
	a->used = 0;
}

void
arena_clear(struct arena *a)
{
	free_blocks(a->blocks);
	*a = (struct arena){NULL, 0};
}
