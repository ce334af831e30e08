/*
 * http_target_test.c - the token decoder: every route that Postal knows
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "http/target.h"

#define LONG_TOKEN \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *target;
	enum http_route route;
	const char *server, *token;
} rows[] = {
    {"/", HTTP_ROUTE_OTHER, "", ""},
    {"", HTTP_ROUTE_OTHER, "", ""},
    {"*", HTTP_ROUTE_OTHER, "", ""},
    {"/?x=1", HTTP_ROUTE_OTHER, "", ""},
    {"/x", HTTP_ROUTE_OTHER, "", ""},
    {"//", HTTP_ROUTE_OTHER, "", ""},
    {"/ctqu6f", HTTP_ROUTE_OTHER, "", ""},
    {"/ctqu6f/", HTTP_ROUTE_OTHER, "", ""},
    {"/ctqu6f//H0zoVR7I", HTTP_ROUTE_OTHER, "", ""},
    {"/ctqu6f?/H0zoVR7I", HTTP_ROUTE_OTHER, "", ""},
    {"/favicon.ico", HTTP_ROUTE_OTHER, "", ""},
    {"/apple-touch-icon.png", HTTP_ROUTE_OTHER, "", ""},
    {"//img/ctqu6f/AbCdEfGhIjKlMnOp", HTTP_ROUTE_OTHER, "", ""},
    {"/ctqu6f%2FH0zoVR7I", HTTP_ROUTE_OTHER, "", ""},
    {"/%63tqu6f/H0zoVR7I", HTTP_ROUTE_OTHER, "", ""},
    {"/%69mg/ctqu6f/AbCdEfGhIjKlMnOp", HTTP_ROUTE_OTHER, "", ""},
    {"/./ctqu6f/H0zoVR7I", HTTP_ROUTE_OTHER, "", ""},
    {"/../ctqu6f/H0zoVR7I", HTTP_ROUTE_OTHER, "", ""},
    {"/ctqu6f/./H0zoVR7I", HTTP_ROUTE_OTHER, "", ""},
    {"/.well-known/acme-challenge/x", HTTP_ROUTE_CHALLENGE, "", "x"},
    {"/.well-known/acme-challenge/aZ09-_", HTTP_ROUTE_CHALLENGE, "", "aZ09-_"},
    {"/.well-known/acme-challenge/x?y/..", HTTP_ROUTE_CHALLENGE, "", "x"},
    {"http://h/.well-known/acme-challenge/x", HTTP_ROUTE_CHALLENGE, "", "x"},
    {"/.well-known/acme-challenge/" LONG_TOKEN LONG_TOKEN, HTTP_ROUTE_CHALLENGE,
	"", LONG_TOKEN LONG_TOKEN},
    {"/.well-known/acme-challenge/x" LONG_TOKEN LONG_TOKEN,
	HTTP_ROUTE_CHALLENGE, "", ""},
    {"/.well-known/acme-challenge/", HTTP_ROUTE_CHALLENGE, "", ""},
    {"/.well-known/acme-challenge/..", HTTP_ROUTE_CHALLENGE, "", ""},
    {"/.well-known/acme-challenge/x/", HTTP_ROUTE_CHALLENGE, "", ""},
    {"/.well-known/acme-challenge/../x", HTTP_ROUTE_CHALLENGE, "", ""},
    {"/.well-known/acme-challenge/x.y", HTTP_ROUTE_CHALLENGE, "", ""},
    {"/.well-known/acme-challenge/%78", HTTP_ROUTE_CHALLENGE, "", ""},
    {"/.well-known/acme-challenge", HTTP_ROUTE_OTHER, "", ""},
    {"/.well-known/ACME-challenge/x", HTTP_ROUTE_OTHER, "", ""},
    {"/.well-known/other/x", HTTP_ROUTE_OTHER, "", ""},
    {"/img//ctqu6f/AbC", HTTP_ROUTE_OTHER, "", ""},
    {"/img_x/ctqu6f/AbC", HTTP_ROUTE_OTHER, "", ""},
    {"/img%2Fctqu6f/AbC", HTTP_ROUTE_OTHER, "", ""},
    {"/robots.txt", HTTP_ROUTE_ROBOTS, "", ""},
    {"/robots.txt?x", HTTP_ROUTE_ROBOTS, "", ""},
    {"/ROBOTS.TXT", HTTP_ROUTE_OTHER, "", ""},
    {"/robots.txt/x", HTTP_ROUTE_OTHER, "", ""},
    {"/img/ctqu6f", HTTP_ROUTE_CLICK, "img", "ctqu6f"},
    {"/img/ctqu6f/", HTTP_ROUTE_CLICK, "img", "ctqu6f"},
    {"/img/ctqu6f/?x", HTTP_ROUTE_CLICK, "img", "ctqu6f"},
    {"/img/img/img", HTTP_ROUTE_OPEN, "img", "img"},
    {"/img/ctqu6f/AbC", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/IMG/CTQU6F/aBc", HTTP_ROUTE_OPEN, "CTQU6F", "aBc"},
    {"/iMg/a/b", HTTP_ROUTE_OPEN, "a", "b"},
    {"/img/ctqu6f/AbC.png", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/img/ctqu6f/AbC%20", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/img/ctqu6f/AbC/extra?x=1", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/img/ctqu6f/AbC?src=http://x/", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/img/ctqu6f/AbC_", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/img/ctqu6f/AbC\xff\xfe", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/img/ctqu6f/AbC#f", HTTP_ROUTE_OPEN, "ctqu6f", "AbC"},
    {"/imgs/ctqu6f/AbC", HTTP_ROUTE_CLICK, "imgs", "ctqu6f"},
    {"/ctqu6f/H0zoVR7I", HTTP_ROUTE_CLICK, "ctqu6f", "H0zoVR7I"},
    {"/ctqu6f/h0ZOvr7i", HTTP_ROUTE_CLICK, "ctqu6f", "h0ZOvr7i"},
    {"/ctqu6f/H0zoVR7I/../x", HTTP_ROUTE_CLICK, "ctqu6f", "H0zoVR7I"},
    {"/ctqu6f/H0zoVR7I?%", HTTP_ROUTE_CLICK, "ctqu6f", "H0zoVR7I"},
    {"/ctqu6f/H0zoVR7I)", HTTP_ROUTE_CLICK, "ctqu6f", "H0zoVR7I"},
    {"/ctqu6f/H0zoVR7I&a=1", HTTP_ROUTE_CLICK, "ctqu6f", "H0zoVR7I"},
    {"/-/-", HTTP_ROUTE_CLICK, "-", "-"},
    {"/ab-cd1/x", HTTP_ROUTE_CLICK, "ab-cd1", "x"},
    {"/wp-admin/setup.php", HTTP_ROUTE_CLICK, "wp-admin", "setup"},
    {"/a/" LONG_TOKEN, HTTP_ROUTE_CLICK, "a", LONG_TOKEN},
    {"http://host/ctqu6f/H0z", HTTP_ROUTE_CLICK, "ctqu6f", "H0z"},
    {"HTTPS://host:80/img/a/b?c", HTTP_ROUTE_OPEN, "a", "b"},
    {"http://host", HTTP_ROUTE_OTHER, "", ""},
    {"http://host?/a/b", HTTP_ROUTE_OTHER, "", ""},
    {"ftp://host/a/b", HTTP_ROUTE_OTHER, "", ""},
};

static void
assert_span(struct span s, const char *text, size_t row)
{
	if (s.len != strlen(text) ||
	    (s.len > 0 && memcmp(s.p, text, s.len) != 0))
		fail_msg("row %zu: %.*s", row, (int)s.len, (const char *)s.p);
}

static void
test_routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct http_target t =
		    http_target_decode(span_of(rows[i].target));

		if (t.route != rows[i].route)
			fail_msg("%s: route %d", rows[i].target, t.route);
		assert_span(t.server, rows[i].server, i);
		assert_span(t.token, rows[i].token, i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_routes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
