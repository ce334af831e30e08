/*
 * json.c - values as JSON
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "cli/internal.h"

static void
put_character(FILE *out, uint8_t c)
{
	if (c == '"' || c == '\\')
		(void)fprintf(out, "\\%c", c);
	else if (c < 0x20 || c == 0x7f)
		(void)fprintf(out, "\\u%04x", c);
	else
		(void)fputc(c, out);
}

void
json_string(FILE *out, struct span text)
{
	/* A byte becomes at most three. */
	size_t cap = text.len * 3 + 1, len = 0;
	uint8_t *valid = malloc(cap);

	if (valid != NULL)
		len = utf8_repair(text, text.len, valid, cap);
	(void)fputc('"', out);
	for (size_t i = 0; i < len; i++)
		put_character(out, valid[i]);
	(void)fputc('"', out);
	free(valid);
}

void
json_time(FILE *out, int64_t us)
{
	(void)fprintf(
	    out, "%" PRId64 ".%06d", us / 1000000, (int)(us % 1000000));
}
