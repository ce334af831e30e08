/*
 * json.c - values as JSON, and as text for a terminal
 */
#include <inttypes.h>

#include "base/utf8.h"
#include "cli/internal.h"

static void
put_character(FILE *out, struct span c)
{
	/* Of U+0080 to U+009F it is the number. */
	uint8_t last = c.p[c.len - 1];

	if (utf8_is_control(c))
		(void)fprintf(out, "\\u%04x", last);
	else if (c.len == 1 && (last == '"' || last == '\\'))
		(void)fprintf(out, "\\%c", last);
	else
		(void)fwrite(c.p, 1, c.len, out);
}

void
json_string(FILE *out, struct span text)
{
	(void)fputc('"', out);
	while (text.len > 0)
		put_character(out, utf8_take(&text));
	(void)fputc('"', out);
}

void
plain_text(FILE *out, struct span text)
{
	while (text.len > 0) {
		struct span c = utf8_take(&text);

		if (utf8_is_control(c))
			(void)fputc('?', out);
		else
			(void)fwrite(c.p, 1, c.len, out);
	}
}

void
json_time(FILE *out, int64_t us)
{
	(void)fprintf(
	    out, "%" PRId64 ".%06d", us / 1000000, (int)(us % 1000000));
}
