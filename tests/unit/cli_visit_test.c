/*
 * cli_visit_test.c - where selftest asks, and how it reads what is answered
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "cli/visit.h"

static void
test_urls(void **state)
{
	static const struct {
		const char *url, *host, *shown;
		uint16_t port;
		bool https;
	} good[] = {
	    {"http://a.example", "a.example", "http://a.example", 80, false},
	    {"http://a.example/", "a.example", "http://a.example", 80, false},
	    {"https://a.example:443", "a.example", "https://a.example", 443,
		true},
	    {"https://a-1.example:8443/", "a-1.example",
		"https://a-1.example:8443", 8443, true},
	    {"http://192.0.2.1:80", "192.0.2.1", "http://192.0.2.1", 80, false},
	    {"http://[2001:db8::1]:81", "[2001:db8::1]",
		"http://[2001:db8::1]:81", 81, false},
	};
	char shown[VISIT_URL_SIZE];
	struct visit_place place;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		assert_int_equal(visit_parse(good[i].url, &place, &e), 0);
		assert_string_equal(place.host, good[i].host);
		assert_int_equal(place.port, good[i].port);
		assert_int_equal(place.https, good[i].https);
		visit_format(&place, shown);
		assert_string_equal(shown, good[i].shown);
	}
}

static void
test_wrong_urls(void **state)
{
	static const char *const wrong[] = {"", "http://", "https://", "a",
	    "a.example", "ftp://a", "HTTP://a", "http://a b", "http://a/b",
	    "http://a?b", "http://a:", "http://a:0", "http://a:65536",
	    "http://a:80x", "http://a@b", "http://[::1", "http://[]",
	    "http://[a]b", "http://[g::1]", "http://a\r\nb"};
	char text[600] = "http://";
	struct visit_place place;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_int_equal(visit_parse(wrong[i], &place, &e), -1);
	memset(text + strlen(text), 'a', VISIT_HOST_SIZE);
	assert_int_equal(visit_parse(text, &place, &e), -1);
}

static int
read_head(const char *text, struct visit_answer *a)
{
	*a = (struct visit_answer){.status = 0};
	return visit_read_head(span_of(text), a);
}

static void
test_heads(void **state)
{
	struct visit_answer a;

	(void)state;
	assert_int_equal(read_head("HTTP/1.1 200 OK\r\nContent-Type: image/png"
				   "\r\nX: y\r\n\r\nLocation: /body\r\n",
			     &a),
	    0);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.type, "image/png");
	assert_string_equal(a.location, "");
	/* As curl shows HTTP/2, and one in between. */
	assert_int_equal(read_head("HTTP/2 103 \r\nlocation: /no\r\n\r\n"
				   "HTTP/2 307 \r\nlocation:  http://b/ \r\n",
			     &a),
	    0);
	assert_int_equal(a.status, 307);
	assert_string_equal(a.location, "http://b/");
	/* Bare line ends, a name without a value, one that only begins so. */
	assert_int_equal(
	    read_head("HTTP/1.0 404 x\nContent-Typed: a\nLocation:\n", &a), 0);
	assert_int_equal(a.status, 404);
	assert_string_equal(a.type, "");
	assert_string_equal(a.location, "");
}

static void
test_what_is_no_head(void **state)
{
	static const char *const wrong[] = {"", "\n", "HTTP/1.1", "HTTP/1.1 ",
	    "HTTP/1.1 20", "HTTP/1.1 abc", "HTTP/1.1 999 x", "SSH-2.0-x\r\n",
	    "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 y"};
	char long_value[2 * VISIT_VALUE_SIZE] = "HTTP/1.1 200 x\r\nlocation: ";
	struct visit_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_int_equal(read_head(wrong[i], &a), -1);
	/* A value that does not fit is none. */
	memset(long_value + strlen(long_value), 'a', VISIT_VALUE_SIZE);
	assert_int_equal(read_head(long_value, &a), 0);
	assert_string_equal(a.location, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_wrong_urls),
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_what_is_no_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
