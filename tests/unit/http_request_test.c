/*
 * http_request_test.c - the request parser, row by row
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "http/request.h"

#define LIMIT 16384
#define OK_HEAD "GET / HTTP/1.1\r\nHost: a\r\n"

/* status 0: accepted; keep: the connection stays open. */
static const struct {
	const char *text;
	int status;
	bool keep;
} rows[] = {
    {OK_HEAD "\r\n", 0, true},
    {"GET / HTTP/1.0\r\n\r\n", 0, false},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, true},
    {OK_HEAD "Connection: close\r\n\r\n", 0, false},
    {OK_HEAD "Connection: foo, CLOSE ,bar\r\n\r\n", 0, false},
    {OK_HEAD "Connection: keep-alive\r\nConnection: close\r\n\r\n", 0, false},
    {OK_HEAD "Connection:\r\n\r\n", 0, true},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 0, true},
    {"\r\n" OK_HEAD "\r\n", 0, true},
    {"\r\n\r\n" OK_HEAD "\r\n", 400, false},
    {"\r" OK_HEAD "\r\n", 400, false},
    {"\n" OK_HEAD "\r\n", 400, false},
    {"HEAD /x?y HTTP/1.1\r\nHost: a:80\r\n\r\n", 0, true},
    {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 0, true},
    {"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 0, true},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, true},
    {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 0, true},
    {"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", 0, true},
    {"GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n", 0, true},
    {"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, false},
    {"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET /\" HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET /< HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET /> HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET /\xff|^{}'\\`#x HTTP/1.1\r\nHost: a\r\n\r\n", 0, true},
    {"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GeT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, false},
    {"GET /\r\n\r\n", 400, false},
    {"GET\r\n\r\n", 400, false},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, false},
    {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, false},
    {"GET / HTTP/11\r\nHost: a\r\n\r\n", 400, false},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400, false},
    {"GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, true},
    {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0, true},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, false},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, false},
    {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, false},
    {OK_HEAD " folded\r\n\r\n", 400, false},
    {OK_HEAD "\tfolded\r\n\r\n", 400, false},
    {OK_HEAD "X : y\r\n\r\n", 400, false},
    {OK_HEAD ": y\r\n\r\n", 400, false},
    {OK_HEAD "no colon\r\n\r\n", 400, false},
    {OK_HEAD "X\x80: y\r\n\r\n", 400, false},
    {OK_HEAD "X: a\x01\r\n\r\n", 400, false},
    {OK_HEAD "X: a\x7f\r\n\r\n", 400, false},
    {OK_HEAD "X: a\rb\r\n\r\n", 400, false},
    {OK_HEAD "X: \xff\tb\r\n\r\n", 0, true},
    {OK_HEAD "X:\r\n\r\n", 0, true},
    {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, false},
    {OK_HEAD "X: y\n\r\n", 400, false},
    {OK_HEAD "\n", 400, false},
    {OK_HEAD "Content-Length: 0\r\n\r\n", 0, true},
    {OK_HEAD "Content-Length: 1\r\n\r\n", 400, false},
    {OK_HEAD "Content-Length: +0\r\n\r\n", 400, false},
    {OK_HEAD "Content-Length: 0, 0\r\n\r\n", 400, false},
    {OK_HEAD "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, false},
    {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", 400, false},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 0, false},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
	false},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
     "Content-Length: 5\r\n\r\n",
	400, false},
};

static void
check(const struct http_request *r, enum http_parse got, size_t i)
{
	if (rows[i].status == 0) {
		if (got != HTTP_PARSE_DONE)
			fail_msg("row %zu: %d, status %d", i, got, r->status);
		assert_int_equal(r->keep_alive, rows[i].keep);
		assert_int_equal(r->head_len, strlen(rows[i].text));
	} else if (got != HTTP_PARSE_WRONG || r->status != rows[i].status) {
		fail_msg("row %zu: %d, status %d", i, got, r->status);
	}
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct http_request r;

		http_request_init(&r);
		check(&r, http_request_parse(&r, span_of(rows[i].text), LIMIT),
		    i);
	}
}

/* The same, a byte more at each call, in a buffer that moves. */
static void
test_rows_in_single_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		size_t len = strlen(rows[i].text);
		enum http_parse got = HTTP_PARSE_MORE;
		struct http_request r;
		char *moved = NULL;

		http_request_init(&r);
		for (size_t n = 1; n <= len && got == HTTP_PARSE_MORE; n++) {
			free(moved);
			moved = malloc(n);
			assert_non_null(moved);
			memcpy(moved, rows[i].text, n);
			got = http_request_parse(
			    &r, (struct span){(uint8_t *)moved, n}, LIMIT);
		}
		check(&r, got, i);
		free(moved);
	}
}

static void
assert_span(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.p, text, s.len);
}

static void
test_fields(void **state)
{
	const char *text = "GET /a?b HTTP/1.1\r\nhOST: x\r\n"
			   "User-Agent: first\r\nuser-agent: \t second \r\n"
			   "X-Forwarded-For: 1.2.3.4\r\n"
			   "x-forwarded-for: 5.6.7.8, 9.9.9.9\r\n"
			   "X_Forwarded_For: 6.6.6.6\r\n\r\nrest";
	struct http_request r;

	(void)state;
	http_request_init(&r);
	assert_int_equal(
	    http_request_parse(&r, span_of(text), LIMIT), HTTP_PARSE_DONE);
	assert_int_equal(r.method, HTTP_METHOD_GET);
	assert_int_equal(r.minor, 1);
	assert_span(r.target, "/a?b");
	assert_true(r.has_user_agent);
	assert_span(r.user_agent, "second");
	assert_int_equal(r.n_forwarded, 2);
	assert_span(r.forwarded[0], "1.2.3.4");
	assert_span(r.forwarded[1], "5.6.7.8, 9.9.9.9");
	assert_int_equal(r.head_len, strlen(text) - 4);
}

static void
test_agent_absent_and_empty(void **state)
{
	struct http_request r;

	(void)state;
	http_request_init(&r);
	(void)http_request_parse(&r, span_of(OK_HEAD "\r\n"), LIMIT);
	assert_false(r.has_user_agent);
	http_request_init(&r);
	(void)http_request_parse(
	    &r, span_of(OK_HEAD "User-Agent:  \r\n\r\n"), LIMIT);
	assert_true(r.has_user_agent);
	assert_int_equal(r.user_agent.len, 0);
}

static void
test_nul_in_value(void **state)
{
	static const char text[] = OK_HEAD "X: a\0b\r\n\r\n";
	struct http_request r;

	(void)state;
	http_request_init(&r);
	assert_int_equal(
	    http_request_parse(&r,
		(struct span){(const uint8_t *)text, sizeof(text) - 1}, LIMIT),
	    HTTP_PARSE_WRONG);
	assert_int_equal(r.status, 400);
}

/* Builds a head of a given shape in a large buffer. */
static struct span
build(char *buffer, size_t size, size_t target, size_t value, int fields)
{
	size_t n = (size_t)snprintf(buffer, size, "GET /");

	memset(buffer + n, 'x', target);
	n += target;
	n += (size_t)snprintf(buffer + n, size - n, " HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < fields; i++)
		n += (size_t)snprintf(
		    buffer + n, size - n, "X-Forwarded-For: 10.0.0.%d\r\n", i);
	n += (size_t)snprintf(buffer + n, size - n, "Y: ");
	memset(buffer + n, 'y', value);
	n += value;
	n += (size_t)snprintf(buffer + n, size - n, "\r\n\r\n");
	return (struct span){(uint8_t *)buffer, n};
}

static const struct {
	size_t target, value;
	int fields;
	size_t limit;
	int status;
} sizes[] = {
    {8191, 0, 0, LIMIT, 0},
    {8192, 0, 0, LIMIT, 414},
    {20000, 0, 0, LIMIT, 414},
    {1500, 0, 0, 1024, 414},
    {0, 2000, 0, 1024, 431},
    {0, 20000, 0, LIMIT, 431},
    {1008, 0, 0, 1024, 431},
    {1009, 0, 0, 1024, 414},
    {0, 10, 98, LIMIT, 0},
    {0, 10, 99, LIMIT, 431},
};

/* A path of so many bytes, and a query behind it; SIZE_MAX: none. */
static const struct {
	size_t path, query;
	int status;
} targets[] = {
    {HTTP_PATH_MAX, SIZE_MAX, 0},
    {HTTP_PATH_MAX + 1, SIZE_MAX, 414},
    {HTTP_PATH_MAX + 1, 1, 414},
    {100, HTTP_QUERY_MAX, 0},
    {100, HTTP_QUERY_MAX + 1, 414},
    {HTTP_PATH_MAX, HTTP_TARGET_MAX - HTTP_PATH_MAX - 1, 0},
    {HTTP_PATH_MAX, HTTP_TARGET_MAX - HTTP_PATH_MAX, 414},
};

static void
test_long_targets(void **state)
{
	static char buffer[32768];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
		struct writer w = writer_of(buffer, sizeof(buffer));
		struct http_request r;

		writer_text(&w, "GET /");
		for (size_t n = 1; n < targets[i].path; n++)
			writer_u8(&w, 'a');
		if (targets[i].query != SIZE_MAX)
			writer_u8(&w, '?');
		for (size_t n = 0;
		     targets[i].query != SIZE_MAX && n < targets[i].query; n++)
			writer_u8(&w, 'b');
		writer_text(&w, " HTTP/1.1\r\nHost: a\r\n\r\n");
		assert_false(w.full);
		http_request_init(&r);
		assert_int_equal(http_request_parse(&r, writer_span(&w), LIMIT),
		    targets[i].status == 0 ? HTTP_PARSE_DONE
					   : HTTP_PARSE_WRONG);
		assert_int_equal(r.status, targets[i].status);
	}
}

/* In one piece, in pieces and in single bytes. */
static void
check_cuts(struct span whole, size_t limit, int status)
{
	const size_t steps[] = {whole.len, 500, 1};

	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
		enum http_parse got = HTTP_PARSE_MORE;
		struct http_request r;
		size_t n = 0;

		http_request_init(&r);
		while (got == HTTP_PARSE_MORE && n < whole.len) {
			n += steps[i];
			if (n > whole.len)
				n = whole.len;
			got = http_request_parse(
			    &r, (struct span){whole.p, n}, limit);
		}
		if (r.status != status)
			fail_msg("%.20s, %zu bytes a time: status %d, not %d",
			    (const char *)whole.p, steps[i], r.status, status);
	}
}

static void
test_sizes(void **state)
{
	static char buffer[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
		check_cuts(build(buffer, sizeof(buffer), sizes[i].target,
			       sizes[i].value, sizes[i].fields),
		    sizes[i].limit, sizes[i].status);
}

/* Begin, so many times the same, and end. */
static const struct {
	const char *begin;
	size_t n;
	const char *end;
	int status;
} cuts[] = {
    {"GET /", 12500, "\n", 414},
    {"GET /", 12500, " x\r\n\r\n", 414},
    {"BREW /", 12500, " HTTP/1.1\r\n\r\n", 414},
    {"(", 12500, " HTTP/1.1\r\n\r\n", 400},
    {"\r", 12500, " HTTP/1.1\r\n\r\n", 400},
    {"(", LIMIT, " HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nX: ", LIMIT, "\n", 431},
    {"GET / HTTP/2.0\r\nX: ", LIMIT, "\r\n\r\n", 431},
    {"GET / HTTP/1.1\r\nX: ", 100, "\n", 400},
};

static void
test_a_status_does_not_depend_on_the_cuts(void **state)
{
	static char buffer[32768];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cuts); i++) {
		struct writer w = writer_of(buffer, sizeof(buffer));

		writer_text(&w, cuts[i].begin);
		for (size_t n = 0; n < cuts[i].n; n++)
			writer_u8(&w, 'x');
		writer_text(&w, cuts[i].end);
		assert_false(w.full);
		check_cuts(writer_span(&w), LIMIT, cuts[i].status);
	}
}

static void
test_last_forwarded_lines_are_kept(void **state)
{
	static char buffer[8192];
	struct span whole = build(buffer, sizeof(buffer), 1, 1, 20);
	struct http_request r;

	(void)state;
	http_request_init(&r);
	assert_int_equal(http_request_parse(&r, whole, LIMIT), HTTP_PARSE_DONE);
	assert_int_equal(r.n_forwarded, HTTP_FORWARDED_MAX);
	assert_span(r.forwarded[0], "10.0.0.4");
	assert_span(r.forwarded[15], "10.0.0.19");
}

static void
test_what_is_wrong_early_is_said_early(void **state)
{
	struct http_request r;

	(void)state;
	http_request_init(&r);
	assert_int_equal(http_request_parse(&r, span_of("\x16\x03\x01"), LIMIT),
	    HTTP_PARSE_WRONG);
	assert_int_equal(r.status, 400);
	http_request_init(&r);
	assert_int_equal(
	    http_request_parse(&r, span_of(""), LIMIT), HTTP_PARSE_MORE);
	assert_int_equal(http_request_parse(&r, span_of("GET / HT"), LIMIT),
	    HTTP_PARSE_MORE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_rows_in_single_bytes),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_agent_absent_and_empty),
	    cmocka_unit_test(test_nul_in_value),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_a_status_does_not_depend_on_the_cuts),
	    cmocka_unit_test(test_long_targets),
	    cmocka_unit_test(test_last_forwarded_lines_are_kept),
	    cmocka_unit_test(test_what_is_wrong_early_is_said_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
