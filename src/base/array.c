/*
 * array.c - arrays: room for one element more
 *
 * Used by all. A list of n elements has room for the next power of two, and
 * for ROOM_LEAST at first.
 */
#include "base/array.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define ROOM_LEAST 64

void *
array_with_room(void *list, size_t n, size_t size)
{
	bool full = n == 0 || (n >= ROOM_LEAST && (n & (n - 1)) == 0);
	size_t room = n == 0 ? ROOM_LEAST : 2 * n;

	if (!full)
		return list;
	if (n > SIZE_MAX / 2 / size)
		return NULL;
	return realloc(list, room * size);
}
