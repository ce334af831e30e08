/*
 * json.c - values as JSON, and as text for a terminal
 */
#include "base/json.h"

#include <inttypes.h>

#include "base/utf8.h"
#include "cli/internal.h"

void
json_string(FILE *out, struct span text)
{
	(void)fputc('"', out);
	while (text.len > 0) {
		uint8_t escaped[JSON_ESCAPED_MAX];
		size_t len, taken = json_escape(text, escaped, &len);

		(void)fwrite(escaped, 1, len, out);
		text.p += taken;
		text.len -= taken;
	}
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
