/*
 * http_reply_test.c - replies on the wire, dates, locations
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "http/reply.h"

static struct http_replies replies;

static char *
wire(enum http_reply reply, struct http_reply_options *o)
{
	struct iovec parts[HTTP_REPLY_PARTS];
	int n = http_reply_render(&replies, reply, o, parts);
	size_t used = 0;
	char *text = calloc(1, 4096);

	assert_non_null(text);
	assert_in_range(n, 1, HTTP_REPLY_PARTS);
	for (int i = 0; i < n; i++) {
		if (parts[i].iov_len > 0)
			memcpy(
			    text + used, parts[i].iov_base, parts[i].iov_len);
		used += parts[i].iov_len;
	}
	return text;
}

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static void
test_hello(void **state)
{
	struct http_reply_options o = {
	    .keep_alive = true, .minor = 1, .date = DATE};
	char *text = wire(HTTP_REPLY_HELLO, &o);

	(void)state;
	assert_string_equal(text, "HTTP/1.1 200 OK\r\n"
				  "Content-Type: text/plain; charset=utf-8\r\n"
				  "X-Robots-Tag: noindex\r\n"
				  "X-Content-Type-Options: nosniff\r\n"
				  "Content-Length: 6\r\n"
				  "Date: " DATE "\r\n\r\nHello.");
	free(text);
}

static void
test_rest_of_what_was_sent(void **state)
{
	char first[] = "ab", last[] = "cde";
	const struct iovec parts[] = {{first, 2}, {NULL, 0}, {last, 3}};
	static const char all[] = "abcde";

	(void)state;
	for (size_t sent = 0; sent <= 5; sent++) {
		uint8_t rest[8] = {0};

		assert_int_equal(
		    http_reply_rest(parts, 3, sent, NULL), 5 - sent);
		assert_int_equal(
		    http_reply_rest(parts, 3, sent, rest), 5 - sent);
		assert_string_equal((char *)rest, all + sent);
	}
}

static void
test_connection_header(void **state)
{
	struct http_reply_options o = {.minor = 0, .date = DATE};
	char *text = wire(HTTP_REPLY_HELLO, &o);

	(void)state;
	assert_non_null(strstr(text, "\r\nConnection: close\r\n\r\n"));
	free(text);
	o.keep_alive = true;
	text = wire(HTTP_REPLY_HELLO, &o);
	assert_non_null(strstr(text, "\r\nConnection: keep-alive\r\n\r\n"));
	free(text);
}

static void
test_redirect(void **state)
{
	struct http_reply_options o = {.keep_alive = true,
	    .minor = 1,
	    .date = DATE,
	    .location = span_of("https://example.com/x")};
	char *text = wire(HTTP_REPLY_REDIRECT, &o), *body;

	(void)state;
	assert_non_null(strstr(text, "HTTP/1.1 307 Temporary Redirect\r\n"));
	assert_non_null(
	    strstr(text, "\r\nLocation: https://example.com/x\r\n"));
	assert_non_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
	body = strstr(text, "\r\n\r\n");
	assert_non_null(body);
	assert_null(strstr(body, "example.com"));
	free(text);
}

static void
test_challenge(void **state)
{
	struct http_reply_options o = {.keep_alive = true,
	    .minor = 1,
	    .date = DATE,
	    .content = span_of("token.thumbprint")};
	char *text = wire(HTTP_REPLY_CHALLENGE, &o);

	(void)state;
	assert_string_equal(text, "HTTP/1.1 200 OK\r\n"
				  "Content-Type: text/plain; charset=utf-8\r\n"
				  "Cache-Control: no-store\r\n"
				  "X-Robots-Tag: noindex\r\n"
				  "X-Content-Type-Options: nosniff\r\n"
				  "Date: " DATE "\r\n"
				  "Content-Length: 16\r\n\r\ntoken.thumbprint");
	free(text);
}

static void
test_head_has_no_body(void **state)
{
	struct http_reply_options o = {
	    .head = true, .keep_alive = true, .minor = 1, .date = DATE};

	(void)state;
	for (int i = 0; i < HTTP_REPLY_N; i++) {
		char *text = wire((enum http_reply)i, &o), *end;

		end = strstr(text, "\r\n\r\n");
		assert_non_null(end);
		assert_int_equal(strlen(end), 4);
		assert_non_null(strstr(text, "Content-Length: "));
		free(text);
	}
}

static void
test_statuses(void **state)
{
	static const int statuses[] = {400, 405, 408, 414, 431, 501, 505};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(statuses); i++)
		assert_int_equal(
		    http_reply_status(http_reply_of_status(statuses[i])),
		    statuses[i]);
	assert_int_equal(http_reply_of_status(999), HTTP_REPLY_BAD_REQUEST);
	assert_int_equal(http_reply_status(HTTP_REPLY_PICTURE), 200);
	assert_int_equal(http_reply_status(HTTP_REPLY_UNAVAILABLE), 503);
}

static void
test_dates(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
	    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
	    {784111777, DATE},
	    {951827696, "Tue, 29 Feb 2000 12:34:56 GMT"},
	    {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char date[HTTP_DATE_SIZE];

		http_date_format(rows[i].seconds, date);
		assert_string_equal(date, rows[i].text);
	}
}

static const struct {
	const char *url;
	enum http_location result;
	const char *location;
} locations[] = {
    {"https://example.com/a?b=c&d=%20#e", HTTP_LOCATION_OK,
	"https://example.com/a?b=c&d=%20#e"},
    {"HTTP://example.com", HTTP_LOCATION_OK, "HTTP://example.com"},
    {"http://a/ \"<>\\^`{|}", HTTP_LOCATION_OK,
	"http://a/%20%22%3C%3E%5C%5E%60%7B%7C%7D"},
    {"http://a/\r\nSet-Cookie: x", HTTP_LOCATION_OK,
	"http://a/%0D%0ASet-Cookie:%20x"},
    {"http://a/\xc3\xa9\x7f\x01", HTTP_LOCATION_OK, "http://a/%C3%A9%7F%01"},
    {"", HTTP_LOCATION_SCHEME, ""},
    {"javascript:alert(1)", HTTP_LOCATION_SCHEME, ""},
    {"ftp://a/", HTTP_LOCATION_SCHEME, ""},
    {"//example.com/", HTTP_LOCATION_SCHEME, ""},
    {" https://example.com/", HTTP_LOCATION_SCHEME, ""},
    {"https:example.com", HTTP_LOCATION_SCHEME, ""},
};

static void
test_locations(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(locations); i++) {
		uint8_t bytes[256];
		struct writer w = writer_of(bytes, sizeof(bytes));

		assert_int_equal(
		    http_location_encode(span_of(locations[i].url), &w),
		    locations[i].result);
		assert_int_equal(w.len, strlen(locations[i].location));
		assert_memory_equal(bytes, locations[i].location, w.len);
	}
}

static void
test_nul_and_space_in_location(void **state)
{
	static const uint8_t url[] = "http://a/\0x";
	uint8_t bytes[13];
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(
	    http_location_encode((struct span){url, sizeof(url) - 1}, &w),
	    HTTP_LOCATION_OK);
	assert_memory_equal(bytes, "http://a/%00x", 13);
	w = writer_of(bytes, 12);
	assert_int_equal(
	    http_location_encode((struct span){url, sizeof(url) - 1}, &w),
	    HTTP_LOCATION_SPACE);
}

/* What the caller has, as the admin listener answers. */
static void
test_given_contents(void **state)
{
	struct http_reply_options o = {
	    .minor = 1, .date = DATE, .content = span_of("x 1\n")};
	char *text = wire(HTTP_REPLY_METRICS, &o);

	(void)state;
	assert_string_equal(text, "HTTP/1.1 200 OK\r\n"
				  "Content-Type: text/plain; version=0.0.4; "
				  "charset=utf-8\r\n"
				  "Cache-Control: no-store\r\n"
				  "X-Robots-Tag: noindex\r\n"
				  "X-Content-Type-Options: nosniff\r\n"
				  "Date: " DATE "\r\nContent-Length: 4\r\n"
				  "Connection: close\r\n\r\nx 1\n");
	free(text);
	assert_int_equal(http_reply_status(HTTP_REPLY_FINE), 200);
	assert_int_equal(http_reply_status(HTTP_REPLY_NOT_FOUND), 404);
	assert_int_equal(http_reply_status(HTTP_REPLY_NOT_READY), 503);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hello),
	    cmocka_unit_test(test_given_contents),
	    cmocka_unit_test(test_connection_header),
	    cmocka_unit_test(test_rest_of_what_was_sent),
	    cmocka_unit_test(test_redirect),
	    cmocka_unit_test(test_challenge),
	    cmocka_unit_test(test_head_has_no_body),
	    cmocka_unit_test(test_statuses),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_locations),
	    cmocka_unit_test(test_nul_and_space_in_location),
	};

	http_replies_init(&replies);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
