/*
 * der.c - the few forms of DER that certificates and keys are made of
 *
 * Pure.
 */
#include "tls/der.h"

#include <time.h>

bool
der_is(const struct cursor *c, uint8_t tag)
{
	return !c->bad && c->left > 0 && c->p[0] == tag;
}

/* The length behind the tag; the long form only where it is needed. */
static size_t
take_length(struct cursor *c)
{
	size_t n = cursor_u8(c);
	size_t len = 0;
	size_t bytes;

	if (n < 0x80)
		return n;
	bytes = n & 0x7f;
	if (bytes == 0 || bytes > 3) {
		c->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++) {
		len = len << 8 | cursor_u8(c);
		if (len == 0)
			c->bad = true;
	}
	if (len < 0x80)
		c->bad = true;
	return len;
}

uint8_t
der_take_any(struct cursor *c, struct span *content)
{
	uint8_t tag = cursor_u8(c);
	size_t len = take_length(c);

	if ((tag & 0x1f) == 0x1f)
		c->bad = true;
	*content = cursor_bytes(c, len);
	return c->bad ? 0 : tag;
}

struct span
der_take(struct cursor *c, uint8_t tag)
{
	struct span content = {c->p, 0};

	if (!der_is(c, tag)) {
		c->bad = true;
		return content;
	}
	(void)der_take_any(c, &content);
	return content;
}

struct span
der_take_whole(struct cursor *c, uint8_t tag)
{
	struct span whole = {c->p, 0};

	(void)der_take(c, tag);
	if (!c->bad)
		whole.len = (size_t)(c->p - whole.p);
	return whole;
}

struct span
der_take_unsigned(struct cursor *c)
{
	struct span n = der_take(c, DER_INTEGER);

	if (n.len == 0 || n.p[0] >= 0x80) {
		c->bad = true;
		return (struct span){c->p, 0};
	}
	if (n.p[0] == 0 && n.len > 1) {
		n.p++;
		n.len--;
		/* A leading zero that was not needed. */
		if (n.p[0] < 0x80)
			c->bad = true;
	}
	return n;
}

struct span
der_take_bits(struct cursor *c)
{
	struct span bits = der_take(c, DER_BIT_STRING);

	if (bits.len == 0 || bits.p[0] != 0) {
		c->bad = true;
		return (struct span){c->p, 0};
	}
	bits.p++;
	bits.len--;
	return bits;
}

/* Two decimal digits. */
static int
take_two(struct cursor *c)
{
	int tens = cursor_u8(c) - '0';
	int ones = cursor_u8(c) - '0';

	if (tens < 0 || tens > 9 || ones < 0 || ones > 9)
		c->bad = true;
	return tens * 10 + ones;
}

int64_t
der_take_time(struct cursor *c)
{
	bool utc = der_is(c, DER_UTC_TIME);
	struct cursor t =
	    cursor_of(der_take(c, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME));
	struct tm tm = {0};
	int year = take_two(&t);

	if (utc)
		year += year < 50 ? 2000 : 1900;
	else
		year = year * 100 + take_two(&t);
	tm.tm_year = year - 1900;
	tm.tm_mon = take_two(&t) - 1;
	tm.tm_mday = take_two(&t);
	tm.tm_hour = take_two(&t);
	tm.tm_min = take_two(&t);
	tm.tm_sec = take_two(&t);
	if (cursor_u8(&t) != 'Z' || cursor_end(&t) != 0 || tm.tm_mon < 0 ||
	    tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
	    tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		c->bad = true;
	return c->bad ? 0 : (int64_t)timegm(&tm);
}
