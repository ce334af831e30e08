/*
 * names.c - a name in a list that is sorted by names
 *
 * Runs in the monitor, and in `check`. Pure.
 */
#include "monitor/names.h"

#include <assert.h>
#include <string.h>

static const char *
name_of(const void *list, size_t i, size_t size)
{
	const char *name;

	memcpy(&name, (const char *)list + i * size, sizeof(name));
	assert(name != NULL);
	return name;
}

size_t
names_place(
    const void *list, size_t n, size_t size, const char *name, bool *there)
{
	size_t low = 0, high = n;

	*there = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name_of(list, middle, size), name);

		if (order == 0) {
			*there = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
