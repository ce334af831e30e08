/*
 * json.c - text from strangers as it may stand in a JSON string
 *
 * Pure.
 */
#include "base/json.h"

#include <string.h>

#include "base/utf8.h"

size_t
json_escape(struct span s, uint8_t out[JSON_ESCAPED_MAX], size_t *len)
{
	static const char hex[] = "0123456789ABCDEF";
	struct span rest = s, c = utf8_take(&rest);
	uint8_t last = c.p[c.len - 1];

	if (utf8_is_control(c)) {
		out[0] = '\\';
		out[1] = 'u';
		out[2] = out[3] = '0';
		out[4] = (uint8_t)hex[last >> 4];
		out[5] = (uint8_t)hex[last & 0x0f];
		*len = 6;
	} else if (last == '"' || last == '\\') {
		out[0] = '\\';
		out[1] = last;
		*len = 2;
	} else {
		memcpy(out, c.p, c.len);
		*len = c.len;
	}
	return s.len - rest.len;
}
