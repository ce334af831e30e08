/*
 * http_access_test.c - lines of the access log: form, escapes, limits
 */
#include "tests/unit/test.h"

#include <limits.h>

#include "base/array.h"
#include "http/access.h"
#include "tests/unit/address.h"

/* 2026-11-25 18:00:00.000042 UTC */
#define AT_US INT64_C(1795629600000042)

static struct http_access_clock clocks[3];
static uint8_t line[HTTP_ACCESS_LINE_MAX + 1];

static const char *
render(enum http_access_format format, const struct http_access_request *r,
    const struct http_access_answer *a)
{
	struct writer w = writer_of(line, sizeof(line) - 1);
	struct http_access_part part;

	http_access_begin(format, &clocks[format], r, &part);
	http_access_end(format, &part, a, &w);
	assert_false(w.full);
	assert_true(http_access_are_lines(writer_span(&w)));
	line[w.len] = '\0';
	return (const char *)line;
}

static void
test_text(void **state)
{
	struct addr client = address("192.0.2.7");
	struct http_access_request r = {.at_us = AT_US,
	    .client = &client,
	    .line = span_of("GET /path HTTP/1.1"),
	    .has_referer = true,
	    .referer = span_of("referer"),
	    .has_agent = true,
	    .agent = span_of("user agent")};
	struct http_access_answer a = {.status = 200, .bytes = 68};

	(void)state;
	assert_string_equal(render(HTTP_ACCESS_TEXT, &r, &a),
	    "192.0.2.7 - - [25/Nov/2026:18:00:00 +0000] \"GET /path HTTP/1.1\" "
	    "200 68 \"referer\" \"user agent\"\n");
	/* Absent is not empty; another second is written anew. */
	client = address("2001:db8::1");
	r.at_us += 59 * 1000000;
	r.has_referer = false;
	r.agent.len = 0;
	r.line.len = 0;
	a.bytes = 0;
	assert_string_equal(render(HTTP_ACCESS_TEXT, &r, &a),
	    "2001:db8::1 - - [25/Nov/2026:18:00:59 +0000] \"\" 200 0 \"-\" "
	    "\"\"\n");
}

static void
test_json(void **state)
{
	struct addr client = address("192.0.2.7");
	struct http_access_request r = {.at_us = AT_US,
	    .client = &client,
	    .line = span_of("GET /img/a/b HTTP/1.1"),
	    .has_agent = true,
	    .agent = span_of("say \"hi\" \\ \xc3\xa9"),
	    .server = span_of("a"),
	    .token = span_of("b"),
	    .tls_suite = "ECDHE-ECDSA-CHACHA20-POLY1305",
	    .tls_name = span_of("track.example.com"),
	    .worker = 2};
	struct http_access_answer a = {.status = 200,
	    .bytes = 68,
	    .kind = HTTP_ACCESS_OPEN,
	    .event = HTTP_ACCESS_STORED,
	    .took_us = 1234};

	(void)state;
	assert_string_equal(render(HTTP_ACCESS_JSON, &r, &a),
	    "{\"time\":\"2026-11-25T18:00:00.000042Z\",\"address\":"
	    "\"192.0.2.7\",\"method\":\"GET\",\"target\":\"/img/a/b\","
	    "\"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":68,"
	    "\"referer\":null,\"user_agent\":\"say \\\"hi\\\" \\\\ \xc3\xa9\","
	    "\"server\":\"a\",\"token\":\"b\",\"tls_version\":\"TLSv1.2\","
	    "\"tls_suite\":\"ECDHE-ECDSA-CHACHA20-POLY1305\",\"tls_name\":"
	    "\"track.example.com\",\"worker\":2,\"kind\":\"open\",\"event\":"
	    "\"stored\",\"took_us\":1234}\n");
	r.tls_suite = NULL;
	r.line = span_of("nonsense");
	a = (struct http_access_answer){
	    .status = 400, .took_us = UINT64_MAX, .bytes = SIZE_MAX};
	(void)render(HTTP_ACCESS_JSON, &r, &a);
	assert_non_null(strstr((char *)line,
	    "\"method\":\"nonsense\",\"target\":null,\"version\":null,"));
	assert_non_null(strstr((char *)line, "\"tls_version\":null,"));
	assert_non_null(strstr((char *)line, "\"tls_name\":null,"));
	assert_non_null(
	    strstr((char *)line, "\"kind\":\"none\",\"event\":\"none\","
				 "\"took_us\":18446744073709551615}"));
}

/* The request line in parts, also where it is none. */
static void
test_parts_of_the_request_line(void **state)
{
	static const struct {
		const char *line, *json;
	} rows[] = {
	    {"", "\"method\":null,\"target\":null,\"version\":null,"},
	    {"GET", "\"method\":\"GET\",\"target\":null,\"version\":null,"},
	    {"GET ", "\"method\":\"GET\",\"target\":\"\",\"version\":null,"},
	    {" / x", "\"method\":null,\"target\":\"/\",\"version\":\"x\","},
	    {"GET /a",
		"\"method\":\"GET\",\"target\":\"/a\",\"version\":null,"},
	    {"GET /a b HTTP/9", "\"method\":\"GET\",\"target\":\"/a "
				"b\",\"version\":\"HTTP/9\","},
	    {"  ", "\"method\":null,\"target\":\"\",\"version\":null,"},
	};
	struct addr client = address("::1");
	struct http_access_answer a = {.status = 400};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct http_access_request r = {
		    .client = &client, .line = span_of(rows[i].line)};

		if (strstr(render(HTTP_ACCESS_JSON, &r, &a), rows[i].json) ==
		    NULL)
			fail_msg("row %zu: %s", i, (char *)line);
	}
}

static void
test_escapes(void **state)
{
	static const struct {
		const char *agent, *text, *json;
	} rows[] = {
	    {"a\nb\r\tc", "a\\x0Ab\\x0D\\x09c", "a\\u000Ab\\u000D\\u0009c"},
	    {"\"\\", "\\x22\\x5C", "\\\"\\\\"},
	    {"\x1b[31m\x7f", "\\x1B[31m\\x7F", "\\u001B[31m\\u007F"},
	    /* A control character behind ASCII, and the first that is none. */
	    {"\xc2\x9b\xc2\xa0", "\\xC2\\x9B\\xC2\\xA0", "\\u009B\xc2\xa0"},
	    {"\xf0\x9f\x98\x80", "\\xF0\\x9F\\x98\\x80", "\xf0\x9f\x98\x80"},
	    /* No UTF-8: a lone byte, an overlong form, a surrogate. */
	    {"\xff", "\\xFF", "\xef\xbf\xbd"},
	    {"\xc0\xaf", "\\xC0\\xAF", "\xef\xbf\xbd\xef\xbf\xbd"},
	    {"\xed\xa0\x80!", "\\xED\\xA0\\x80!",
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!"},
	    {"\xe2\x82", "\\xE2\\x82", "\xef\xbf\xbd"},
	};
	struct addr client = address("::1");
	struct http_access_answer a = {.status = 200};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct http_access_request r = {.client = &client,
		    .has_agent = true,
		    .agent = span_of(rows[i].agent)};
		char wanted[128];

		(void)snprintf(
		    wanted, sizeof(wanted), " \"%s\"\n", rows[i].text);
		if (strstr(render(HTTP_ACCESS_TEXT, &r, &a), wanted) == NULL)
			fail_msg("row %zu: %s", i, (char *)line);
		(void)snprintf(wanted, sizeof(wanted), "\"user_agent\":\"%s\",",
		    rows[i].json);
		if (strstr(render(HTTP_ACCESS_JSON, &r, &a), wanted) == NULL)
			fail_msg("row %zu: %s", i, (char *)line);
	}
}

/* Everything as long as it can be, of the bytes that take the most room. */
static void
test_the_longest_line(void **state)
{
	static uint8_t most[20000];
	static const uint8_t fillers[] = {'a', '"', 0x01, 0xff};
	struct addr client = address("1111:1111:1111:1111:1111:1111:1111:1111");
	struct span all = {most, sizeof(most)};
	struct http_access_answer a = {.status = 499,
	    .bytes = SIZE_MAX,
	    .took_us = UINT64_MAX,
	    .kind = HTTP_ACCESS_CLICK,
	    .event = HTTP_ACCESS_QUEUED};
	struct http_access_request r = {.at_us = AT_US,
	    .client = &client,
	    .line = all,
	    .has_referer = true,
	    .referer = all,
	    .has_agent = true,
	    .agent = all,
	    .server = all,
	    .token = all,
	    .tls_suite = "ECDHE-ECDSA-CHACHA20-POLY1305",
	    .tls_name = all,
	    .worker = UINT_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(fillers); i++) {
		memset(most, fillers[i], sizeof(most));
		/* A method, a target and a version, each too long. */
		most[100] = most[19000] = ' ';
		assert_non_null(
		    strstr(render(HTTP_ACCESS_JSON, &r, &a), "..."));
		assert_true(strlen((char *)line) < HTTP_ACCESS_LINE_MAX);
		(void)render(HTTP_ACCESS_TEXT, &r, &a);
	}
	/* With "<6>" in front. */
	assert_true(HTTP_ACCESS_LINE_MAX + 3 <= PIPE_BUF);
}

static void
test_values_are_cut_at_their_limits(void **state)
{
	static uint8_t agent[HTTP_ACCESS_AGENT_MAX + 1];
	struct addr client = address("::1");
	struct http_access_answer a = {.status = 200};
	struct http_access_request r = {.client = &client, .has_agent = true};
	size_t fits = HTTP_ACCESS_AGENT_MAX - 3;

	(void)state;
	memset(agent, 'u', sizeof(agent));
	r.agent = (struct span){agent, fits};
	assert_null(strstr(render(HTTP_ACCESS_TEXT, &r, &a), "..."));
	assert_int_equal(strspn(strchr((char *)line, 'u'), "u"), fits);
	r.agent.len = fits + 1;
	assert_non_null(strstr(render(HTTP_ACCESS_TEXT, &r, &a), "u...\"\n"));
	assert_int_equal(strspn(strchr((char *)line, 'u'), "u"), fits);
	/* Never inside an escape or a character. */
	agent[fits - 1] = '\n';
	assert_non_null(strstr(render(HTTP_ACCESS_TEXT, &r, &a), "u...\"\n"));
	assert_non_null(
	    strstr(render(HTTP_ACCESS_JSON, &r, &a), "u...\",\"server\""));
	agent[fits - 1] = 0xc3;
	agent[fits] = 0xa9;
	assert_non_null(
	    strstr(render(HTTP_ACCESS_JSON, &r, &a), "u...\",\"server\""));
}

static void
test_no_room_writes_nothing(void **state)
{
	struct addr client = address("::1");
	struct http_access_request r = {.client = &client};
	struct http_access_answer a = {.status = 200};
	struct http_access_part part;
	size_t len;

	(void)state;
	len = strlen(render(HTTP_ACCESS_TEXT, &r, &a));
	http_access_begin(
	    HTTP_ACCESS_TEXT, &clocks[HTTP_ACCESS_TEXT], &r, &part);
	for (size_t room = 0; room <= len; room++) {
		struct writer w = writer_of(line, 5 + room);

		writer_text(&w, "five\n");
		http_access_end(HTTP_ACCESS_TEXT, &part, &a, &w);
		assert_int_equal(w.full, room < len);
		assert_int_equal(w.len, room < len ? 5 : 5 + len);
	}
}

static void
test_first_line(void **state)
{
	static const struct {
		const char *head, *line;
	} rows[] = {
	    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1"},
	    {"\r\nGET / HTTP/1.1\r\n", "GET / HTTP/1.1"},
	    {"\r\n\r\nGET", ""},
	    {"GE", "GE"},
	    {"", ""},
	    {"\r", ""},
	    {"a\nb", "a"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		assert_true(
		    span_equal(http_access_first_line(span_of(rows[i].head)),
			span_of(rows[i].line)));
}

static void
test_are_lines(void **state)
{
	static const struct {
		const char *text;
		bool are;
	} rows[] = {
	    {"a\n", true},
	    {"a\nb \xc3\xa9\n", true},
	    {"", false},
	    {"a", false},
	    {"a\nb", false},
	    {"a\r\n", false},
	    {"\x1b[2J\n", false},
	    {"a\x7f\n", false},
	    {"\xc2\x9b"
	     "2J\n",
		false},
	    {"\xff\n", false},
	    {"\x9b\n", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		assert_int_equal(
		    http_access_are_lines(span_of(rows[i].text)), rows[i].are);
	assert_false(
	    http_access_are_lines((struct span){(const uint8_t *)"\0\n", 2}));
}

static void
test_times(void **state)
{
	static const struct {
		int64_t at_us;
		const char *text, *json;
	} rows[] = {
	    {0, "[01/Jan/1970:00:00:00 +0000]", "1970-01-01T00:00:00.000000Z"},
	    {-1, "[31/Dec/1969:23:59:59 +0000]", "1969-12-31T23:59:59.999999Z"},
	    {INT64_C(1709164800999999), "[29/Feb/2024:00:00:00 +0000]",
		"2024-02-29T00:00:00.999999Z"},
	    {INT64_C(1709164801000001), "[29/Feb/2024:00:00:01 +0000]",
		"2024-02-29T00:00:01.000001Z"},
	};
	struct addr client = address("::1");
	struct http_access_answer a = {.status = 200};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct http_access_request r = {
		    .client = &client, .at_us = rows[i].at_us};

		assert_non_null(
		    strstr(render(HTTP_ACCESS_TEXT, &r, &a), rows[i].text));
		assert_non_null(
		    strstr(render(HTTP_ACCESS_JSON, &r, &a), rows[i].json));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_parts_of_the_request_line),
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_the_longest_line),
	    cmocka_unit_test(test_values_are_cut_at_their_limits),
	    cmocka_unit_test(test_no_room_writes_nothing),
	    cmocka_unit_test(test_first_line),
	    cmocka_unit_test(test_are_lines),
	    cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
