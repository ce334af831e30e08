/*
 * placeholders.c - statements with many placeholders
 *
 * Pure.
 */
#include "forward/group.h"

size_t
placeholders_chunk(size_t n, size_t most)
{
	size_t chunk = 1;

	while (chunk * 2 <= n && chunk * 2 <= most)
		chunk *= 2;
	return chunk;
}

size_t
placeholders_padded(size_t n)
{
	size_t padded = 1;

	while (padded < n)
		padded *= 2;
	return padded;
}

void
placeholders_write(
    struct writer *w, const char *first, const char *next, size_t n)
{
	writer_text(w, first);
	for (size_t i = 1; i < n; i++)
		writer_text(w, next);
}
