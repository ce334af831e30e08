/*
 * target.c - what a request to the admin listener asks for
 *
 * Pure; run by admin on what anyone sends who reaches its port.
 */
#include "admin/target.h"

#include <stdbool.h>
#include <string.h>

#include "base/array.h"
#include "http/target.h"

static const struct {
	const char *path;
	enum admin_route route;
} routes[] = {
    {"/health", ADMIN_HEALTH},
    {"/ready", ADMIN_READY},
    {"/metrics", ADMIN_METRICS},
    {"/tls-permission", ADMIN_PERMISSION},
};

/* --- the query --------------------------------------------------------- */

/* 16: none. */
static unsigned int
hex_digit(uint8_t c)
{
	c = ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10u;
	return 16;
}

/* Takes one character, percent-decoded, off the front; -1 when it is broken. */
static int
take_character(struct span *s, uint8_t *c)
{
	unsigned int high, low;
	size_t used = 1;

	*c = s->p[0];
	if (*c == '%') {
		if (s->len < 3)
			return -1;
		high = hex_digit(s->p[1]);
		low = hex_digit(s->p[2]);
		if (high > 15 || low > 15)
			return -1;
		*c = (uint8_t)(high << 4 | low);
		used = 3;
	}
	s->p += used;
	s->len -= used;
	return 0;
}

static bool
is_of_name(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.';
}

/* Leaves name_len at 0 when it is no name. */
static void
read_name(struct span value, struct admin_target *t)
{
	size_t len = 0;
	uint8_t c;

	while (value.len > 0) {
		if (take_character(&value, &c) != 0)
			return;
		c = ascii_lower(c);
		if (c == '.' && value.len == 0)
			break;
		if (len == sizeof(t->name) || !is_of_name(c))
			return;
		t->name[len++] = c;
	}
	t->name_len = len;
}

/* The part in front of the first `end`, which is taken off with it. */
static struct span
take_until(struct span *s, uint8_t end)
{
	const uint8_t *at = s->len == 0 ? NULL : memchr(s->p, end, s->len);
	struct span part = *s;

	if (at == NULL) {
		*s = (struct span){NULL, 0};
		return part;
	}
	part.len = (size_t)(at - s->p);
	s->p += part.len + 1;
	s->len -= part.len + 1;
	return part;
}

/* Two names are none: whoever asks so means to be misread. */
static void
read_query(struct span query, struct admin_target *t)
{
	unsigned int n = 0;

	while (query.len > 0) {
		struct span pair = take_until(&query, '&');
		struct span key = take_until(&pair, '=');

		if (!span_equal(key, span_of("domain")))
			continue;
		read_name(pair, t);
		n++;
	}
	if (n != 1)
		t->name_len = 0;
}

struct admin_target
admin_target_decode(struct span target)
{
	struct admin_target t = {.route = ADMIN_OTHER};
	struct span query, path = http_target_path(target, &query);

	for (size_t i = 0; i < ARRAY_LENGTH(routes); i++)
		if (span_equal(path, span_of(routes[i].path)))
			t.route = routes[i].route;
	if (t.route == ADMIN_PERMISSION)
		read_query(query, &t);
	return t;
}
