/*
 * utf8.c - text from strangers, made valid UTF-8
 *
 * Pure. The table is that of well-formed byte sequences in the Unicode
 * standard, chapter 3 (table 3-7).
 */
#include "base/utf8.h"

#include <string.h>

#include "base/array.h"

struct form {
	uint8_t first_least, first_most;
	uint8_t second_least, second_most;
	uint8_t len;
};

static const struct form forms[] = {
    {0x00, 0x7f, 0, 0, 1},
    {0xc2, 0xdf, 0x80, 0xbf, 2},
    {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3},
    {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4},
    {0xf4, 0xf4, 0x80, 0x8f, 4},
};
static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};

/*
 * How many bytes at the start of s belong together; valid says whether they
 * are a character or the longest beginning of one.
 */
static size_t
sequence(struct span s, bool *valid)
{
	const struct form *f = NULL;
	size_t have = 1;

	*valid = false;
	for (size_t i = 0; i < ARRAY_LENGTH(forms); i++)
		if (s.p[0] >= forms[i].first_least &&
		    s.p[0] <= forms[i].first_most)
			f = &forms[i];
	if (f == NULL)
		return 1;
	while (have < f->len && have < s.len) {
		uint8_t least = have == 1 ? f->second_least : 0x80;
		uint8_t most = have == 1 ? f->second_most : 0xbf;

		if (s.p[have] < least || s.p[have] > most)
			return have;
		have++;
	}
	*valid = have == f->len;
	return have;
}

struct span
utf8_take(struct span *rest)
{
	bool valid = rest->p[0] < 0x80;
	size_t len = valid ? 1 : sequence(*rest, &valid);
	struct span out = {rest->p, len};

	rest->p += len;
	rest->len -= len;
	return valid ? out : (struct span){replacement, sizeof(replacement)};
}

bool
utf8_is_control(struct span character)
{
	const uint8_t *p = character.p;

	return character.len == 1
		   ? p[0] < 0x20 || p[0] == 0x7f
		   : character.len == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

size_t
utf8_repair(struct span bytes, size_t max_chars, uint8_t *out, size_t cap)
{
	size_t used = 0;

	for (size_t chars = 0; bytes.len > 0 && chars < max_chars; chars++) {
		struct span put = utf8_take(&bytes);

		if (cap - used < put.len)
			break;
		memcpy(out + used, put.p, put.len);
		used += put.len;
	}
	return used;
}
