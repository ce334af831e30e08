/*
 * sql_text.c - the two texts that are not bound values
 *
 * Pure. Run by the forwarder.
 */
#include "forward/sql_text.h"

#include "base/number.h"
#include "base/utf8.h"

/* Well-formed UTF-8 comes through the repair as it was. */
static bool
is_name(struct span name)
{
	uint8_t copy[3 * SQL_NAME_MAX];

	if (name.len == 0 || name.len > sizeof(copy) ||
	    name.p[name.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] == 0 || name.p[i] >= 0xf0)
			return false;
	if (utf8_repair(name, SQL_NAME_MAX, copy, sizeof(copy)) != name.len)
		return false;
	return span_equal(name, (struct span){copy, name.len});
}

int
sql_quote_name(struct span name, char text[SQL_QUOTED_SIZE])
{
	size_t used = 0;

	if (!is_name(name))
		return -1;
	text[used++] = '`';
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '`')
			text[used++] = '`';
		text[used++] = (char)name.p[i];
	}
	text[used++] = '`';
	text[used] = '\0';
	return 0;
}

int
sql_parse_int64(struct span text, int64_t *value)
{
	bool minus = text.len > 0 && text.p[0] == '-';
	uint64_t most = (uint64_t)INT64_MAX + (minus ? 1 : 0), magnitude;

	if (minus) {
		text.p++;
		text.len--;
	}
	if (number_parse(text, 0, most, &magnitude) != 0)
		return -1;
	if (!minus)
		*value = (int64_t)magnitude;
	else
		/* -2^63 has no positive twin. */
		*value = magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1;
	return 0;
}
