/*
 * target.c - what a request target asks for: the token decoder
 *
 * Pure; run by the web worker on what strangers send, and by admin. Source: the routes of
 * Postal's tracking server, reproduced; see tests/unit/http_target_test.c for
 * every known case.
 */
#include "http/target.h"

#include <stdbool.h>
#include <string.h>

#include "base/array.h"

/* The characters of a token. */
static bool
is_word(uint8_t c)
{
	c = ascii_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Takes "/" and the longest word behind it off the front; false, and nothing
 * taken, when that is not how s begins. */
static bool
take_word(struct span *s, struct span *word)
{
	size_t end = 1;

	if (s->len < 2 || s->p[0] != '/')
		return false;
	while (end < s->len && is_word(s->p[end]))
		end++;
	if (end == 1)
		return false;
	*word = (struct span){s->p + 1, end - 1};
	s->p += end;
	s->len -= end;
	return true;
}

size_t
http_scheme_len(struct span url)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
		struct span scheme = span_of(schemes[i]);

		if (url.len >= scheme.len &&
		    span_equal_nocase((struct span){url.p, scheme.len}, scheme))
			return scheme.len;
	}
	return 0;
}

struct span
http_target_path(struct span target, struct span *query)
{
	size_t authority = http_scheme_len(target);
	const uint8_t *end;

	target.p += authority;
	target.len -= authority;
	while (authority > 0 && target.len > 0 && target.p[0] != '/' &&
	       target.p[0] != '?') {
		target.p++;
		target.len--;
	}
	if (query != NULL)
		*query = (struct span){NULL, 0};
	end = target.len == 0 ? NULL : memchr(target.p, '?', target.len);
	if (end == NULL)
		return target;
	if (query != NULL)
		*query = (struct span){
		    end + 1, target.len - (size_t)(end - target.p) - 1};
	target.len = (size_t)(end - target.p);
	return target;
}

/* The token when all of s is one, else empty. */
static struct span
challenge_token(struct span s)
{
	static const struct span none = {NULL, 0};

	if (s.len > HTTP_CHALLENGE_TOKEN_MAX || !span_is_base64url(s))
		return none;
	return s;
}

struct http_target
http_target_decode(struct span target)
{
	struct http_target t = {.route = HTTP_ROUTE_OTHER};
	const struct span challenges = span_of("/.well-known/acme-challenge/");
	struct span rest = http_target_path(target, NULL), first, second;

	if (span_equal(rest, span_of("/robots.txt"))) {
		t.route = HTTP_ROUTE_ROBOTS;
		return t;
	}
	if (rest.len >= challenges.len &&
	    memcmp(rest.p, challenges.p, challenges.len) == 0) {
		t.route = HTTP_ROUTE_CHALLENGE;
		t.token = challenge_token((struct span){
		    rest.p + challenges.len, rest.len - challenges.len});
		return t;
	}
	if (!take_word(&rest, &first) || !take_word(&rest, &second))
		return t;
	/* The picture is tried first: /img/a alone is a click of server
	 * "img", /img/a/b a picture of server "a". */
	if (span_equal_nocase(first, span_of("img")) &&
	    take_word(&rest, &t.token)) {
		t.route = HTTP_ROUTE_OPEN;
		t.server = second;
		return t;
	}
	t.route = HTTP_ROUTE_CLICK;
	t.server = first;
	t.token = second;
	return t;
}
