/*
 * forward_payload_test.c - the YAML of the payload column
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "forward/payload.h"

#define BYTES(text)                                       \
	{                                                 \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}
#define NONE            \
	{               \
		NULL, 0 \
	}

/* An open that every test changes as it needs. */
static const struct forward_payload plain = {
    .kind = IPC_EVENT_OPEN,
    .message = {.id = 5,
	.token = BYTES("AbCdEfGhIjKlMnOp"),
	.scope = BYTES("outgoing"),
	.message_id = BYTES("m1@example.com"),
	.rcpt_to = BYTES("anna@example.net"),
	.mail_from = BYTES("news@example.com"),
	.subject = BYTES("Hello Anna"),
	.timestamp = BYTES("1712345678.123456"),
	.tag = NONE},
    .url = BYTES("https://example.com/landing?a=1&b=2"),
    .token = BYTES("H0zoVR7I"),
    .ip = BYTES("198.51.100.7"),
    .user_agent = BYTES("Test/1.0"),
};

static char out[FORWARD_PAYLOAD_MAX + 2];

/* The payload as a C string; the result has to be OK. */
static const char *
written(const struct forward_payload *p)
{
	struct writer w = writer_of(out, FORWARD_PAYLOAD_MAX);

	assert_int_equal(forward_payload_write(p, &w), FORWARD_PAYLOAD_OK);
	assert_null(memchr(out, '\0', w.len));
	out[w.len] = '\0';
	return out;
}

#define MESSAGE                                                             \
	"--- {\"message\": {\"id\": 5, \"token\": \"AbCdEfGhIjKlMnOp\", "   \
	"\"direction\": \"outgoing\", \"message_id\": \"m1@example.com\", " \
	"\"to\": \"anna@example.net\", \"from\": \"news@example.com\", "    \
	"\"subject\": \"Hello Anna\", \"timestamp\": 1712345678.123456, "   \
	"\"spam_status\": \"NotChecked\", \"tag\": null}, "

static void
test_open(void **state)
{
	(void)state;
	assert_string_equal(written(&plain),
	    MESSAGE "\"ip_address\": \"198.51.100.7\", "
		    "\"user_agent\": \"Test/1.0\"}");
}

static void
test_click(void **state)
{
	struct forward_payload p = plain;

	(void)state;
	p.kind = IPC_EVENT_CLICK;
	assert_string_equal(written(&p),
	    MESSAGE "\"url\": \"https://example.com/landing?a=1&b=2\", "
		    "\"token\": \"H0zoVR7I\", "
		    "\"ip_address\": \"198.51.100.7\", "
		    "\"user_agent\": \"Test/1.0\"}");
}

static void
test_all_null(void **state)
{
	struct forward_payload p = {.kind = IPC_EVENT_CLICK};

	(void)state;
	assert_string_equal(written(&p),
	    "--- {\"message\": {\"id\": 0, \"token\": null, "
	    "\"direction\": null, \"message_id\": null, \"to\": null, "
	    "\"from\": null, \"subject\": null, \"timestamp\": 0.0, "
	    "\"spam_status\": \"NotChecked\", \"tag\": null}, \"url\": null, "
	    "\"token\": null, \"ip_address\": null, \"user_agent\": null}");
}

static void
test_all_empty(void **state)
{
	static const struct span empty = BYTES("");
	struct forward_payload p = {
	    .kind = IPC_EVENT_CLICK,
	    .message = {.id = 1,
		.token = empty,
		.scope = empty,
		.message_id = empty,
		.rcpt_to = empty,
		.mail_from = empty,
		.subject = empty,
		.tag = empty},
	    .url = empty,
	    .token = empty,
	    .ip = empty,
	    .user_agent = empty,
	};

	(void)state;
	assert_string_equal(written(&p),
	    "--- {\"message\": {\"id\": 1, \"token\": \"\", "
	    "\"direction\": \"\", \"message_id\": \"\", \"to\": \"\", "
	    "\"from\": \"\", \"subject\": \"\", \"timestamp\": 0.0, "
	    "\"spam_status\": \"NotChecked\", \"tag\": \"\"}, \"url\": \"\", "
	    "\"token\": \"\", \"ip_address\": \"\", \"user_agent\": \"\"}");
}

static void
test_numbers(void **state)
{
	static const struct {
		int64_t id;
		const char *text;
	} rows[] = {
	    {0, "{\"id\": 0, "},
	    {2147483647, "{\"id\": 2147483647, "},
	    {INT64_MAX, "{\"id\": 9223372036854775807, "},
	    {INT64_MIN, "{\"id\": -9223372036854775808, "},
	};
	struct forward_payload p = plain;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		p.message.id = rows[i].id;
		assert_non_null(strstr(written(&p), rows[i].text));
	}
}

static void
test_spam(void **state)
{
	struct forward_payload p = plain;

	(void)state;
	p.message.spam = true;
	assert_non_null(strstr(written(&p), "\"spam_status\": \"NotChecked\""));
	p.message.inspected = true;
	assert_non_null(strstr(written(&p), "\"spam_status\": \"Spam\""));
	p.message.spam = false;
	assert_non_null(strstr(written(&p), "\"spam_status\": \"NotSpam\""));
}

#define TEN "1234567890"
#define SIXTY TEN TEN TEN TEN TEN TEN

static void
test_timestamps(void **state)
{
	/* the column's text, what is written; NULL: refused */
	static const struct {
		const char *column, *text;
	} rows[] = {
	    {"1712345678.123456", "1712345678.123456"},
	    {"1712345678.500000", "1712345678.5"},
	    {"1712345678.000001", "1712345678.000001"},
	    {"1700000000.100000", "1700000000.1"},
	    {"1700000000.000000", "1700000000.0"},
	    {"1700000000", "1700000000.0"},
	    {"1700000000.", "1700000000.0"},
	    {"99999999999.999999", "99999999999.999999"},
	    {"0.000001", "0.000001"},
	    {"0.000000", "0.0"},
	    {"0", "0.0"},
	    {"00012.500", "12.5"},
	    {"0000.0", "0.0"},
	    {"-1.500000", "-1.5"},
	    {SIXTY "12345", SIXTY "12345.0"},
	    {SIXTY "123456", NULL},
	    {SIXTY ".123456", NULL},
	    {"", NULL},
	    {"-", NULL},
	    {".", NULL},
	    {".5", NULL},
	    {"--1", NULL},
	    {"+1", NULL},
	    {" 1", NULL},
	    {"1 ", NULL},
	    {"1.5 ", NULL},
	    {"1.2.3", NULL},
	    {"1712345678,5", NULL},
	    {"1.7e9", NULL},
	    {"1:30", NULL},
	    {"0x10", NULL},
	    {"1_000", NULL},
	    {"nan", NULL},
	    {"1.0, \"x\": 1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct forward_payload p = plain;
		struct writer w = writer_of(out, FORWARD_PAYLOAD_MAX);
		char text[128];

		p.message.timestamp = span_of(rows[i].column);
		if (rows[i].text == NULL) {
			assert_int_equal(forward_payload_write(&p, &w),
			    FORWARD_PAYLOAD_NUMBER);
			assert_int_equal(w.len, 0);
			continue;
		}
		(void)snprintf(text, sizeof(text), "\"timestamp\": %s, \"spam",
		    rows[i].text);
		assert_non_null(strstr(written(&p), text));
	}
}

static const struct {
	struct span in;
	const char *quoted;
} strings[] = {
    {BYTES("\"}],\"x\": {{ !!ruby/hash: &a *b | > % @ `"),
	"\"\\\"}],\\\"x\\\": {{ !!ruby/hash: &a *b | > % @ `\""},
    {BYTES("\\"), "\"\\\\\""},
    {BYTES("\\u0041\\/"), "\"\\\\u0041\\\\/\""},
    {BYTES("https://a/b"), "\"https://a/b\""},
    {BYTES("null"), "\"null\""},
    {BYTES("2023-02-29"), "\"2023-02-29\""},
    {BYTES("~"), "\"~\""},
    {BYTES("<<"), "\"<<\""},
    {BYTES(":sym"), "\":sym\""},
    {BYTES("--- :a: 1"), "\"--- :a: 1\""},
    {BYTES(" # "), "\" # \""},
    {BYTES("a\0b"), "\"a\\u0000b\""},
    {BYTES("\b\t\n\v\f\r\x1b\x1f"),
	"\"\\u0008\\u0009\\u000a\\u000b\\u000c\\u000d\\u001b\\u001f\""},
    {BYTES(" ~\x7f"), "\" ~\\u007f\""},
    {BYTES("\xc2\x80\xc2\x85\xc2\x9f\xc2\xa0\xc2\xa1"),
	"\"\\u0080\\u0085\\u009f\\u00a0\xc2\xa1\""},
    {BYTES("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"),
	"\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\""},
    {BYTES("\xef\xbb\xbe\xef\xbb\xbf\xef\xbc\x80"),
	"\"\xef\xbb\xbe\\ufeff\xef\xbc\x80\""},
    {BYTES("\xef\xbf\xbc\xef\xbf\xbd\xef\xbf\xbe\xef\xbf\xbf"),
	"\"\xef\xbf\xbc\xef\xbf\xbd\\ufffe\\uffff\""},
    {BYTES("\xf0\x90\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"),
	"\"\xf0\x90\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\""},
    /* U+1FEFF and U+12028: only the low half looks like one to escape. */
    {BYTES("\xf0\x9f\xbb\xbf\xf0\x92\x80\xa8"),
	"\"\xf0\x9f\xbb\xbf\xf0\x92\x80\xa8\""},
    {BYTES("\xed\x9f\xbf\xed\xa0\x80"),
	"\"\xed\x9f\xbf\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {BYTES("\xed\xa0\xbd\xed\xb8\x80"), /* a pair, as CESU-8 has it */
	"\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {BYTES("\xc0\xa2\xc1\x9c"), /* quote and backslash, overlong */
	"\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {BYTES("\xe2\x82\""), "\"\xef\xbf\xbd\\\"\""},
    {BYTES("\xf4\x90\x80\x80"),
	"\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {BYTES("\xff\xfe\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
};

/* Every string obeys the same rules, whoever wrote it. */
static void
test_strings(void **state)
{
	static const struct {
		const char *key;
		size_t offset;
	} places[] = {
	    {"direction", offsetof(struct forward_payload, message.scope)},
	    {"message_id",
		offsetof(struct forward_payload, message.message_id)},
	    {"to", offsetof(struct forward_payload, message.rcpt_to)},
	    {"from", offsetof(struct forward_payload, message.mail_from)},
	    {"subject", offsetof(struct forward_payload, message.subject)},
	    {"tag", offsetof(struct forward_payload, message.tag)},
	    {"url", offsetof(struct forward_payload, url)},
	    {"token", offsetof(struct forward_payload, token)},
	    {"token", offsetof(struct forward_payload, message.token)},
	    {"ip_address", offsetof(struct forward_payload, ip)},
	    {"user_agent", offsetof(struct forward_payload, user_agent)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(strings); i++)
		for (size_t j = 0; j < ARRAY_LENGTH(places); j++) {
			struct forward_payload p = plain;
			char text[256];

			p.kind = IPC_EVENT_CLICK;
			memcpy((uint8_t *)&p + places[j].offset, &strings[i].in,
			    sizeof(strings[i].in));
			(void)snprintf(text, sizeof(text), "\"%s\": %s",
			    places[j].key, strings[i].quoted);
			assert_non_null(strstr(written(&p), text));
		}
}

/* A span of n times the character, in memory of exactly that size. */
static struct span
repeated(const char *character, size_t n)
{
	size_t len = strlen(character);
	uint8_t *bytes = malloc(len * n + 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		memcpy(bytes + i * len, character, len);
	return (struct span){bytes, len * n};
}

static void
drop(struct span s)
{
	free((void *)(uintptr_t)s.p);
}

static void
test_agent_is_cut(void **state)
{
	static const struct {
		const char *character;
		size_t n, len; /* how often it is sent, bytes written */
	} rows[] = {
	    {"u", 1023, 1023},
	    {"u", 1024, 1024},
	    {"u", 1025, 1024},
	    {"u", 4096, 1024},
	    {"\"", 2000, 2 * 1024},
	    {"\x01", 2000, 6 * 1024},
	    {"\xf0\x9f\x98\x80", 2000, 4 * 1024},
	    {"\xff", 2000, 3 * 1024},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct forward_payload p = plain;
		struct span agent = repeated(rows[i].character, rows[i].n);
		const char *text, *at;

		p.user_agent = agent;
		text = written(&p);
		at = strstr(text, "\"user_agent\": \"");
		assert_non_null(at);
		at += strlen("\"user_agent\": \"");
		assert_int_equal(strlen(at), rows[i].len + 2);
		assert_string_equal(at + rows[i].len, "\"}");
		drop(agent);
	}
}

/* The user agent gives way, character by character, then nothing fits. */
static void
test_space(void **state)
{
	/* By space: characters of 1, 2, 4 and 6 bytes, then two of 1. */
	static const size_t fits[] = {
	    0, 1, 1, 3, 3, 3, 3, 7, 7, 7, 7, 7, 7, 13, 14, 15, 15};
	struct forward_payload p = plain;
	size_t rest; /* all but the URL, with an empty agent */
	struct span none = BYTES(""), null = NONE;

	(void)state;
	p.kind = IPC_EVENT_CLICK;
	p.url = p.user_agent = none;
	rest = strlen(written(&p));
	for (size_t left = 0; left < ARRAY_LENGTH(fits); left++) {
		struct span url =
		    repeated("u", FORWARD_PAYLOAD_MAX - rest - left);

		p.url = url;
		p.user_agent = (struct span)BYTES("a\"\xf0\x9f\x98\x80\x01zz");
		(void)written(&p);
		assert_int_equal(
		    strlen(out), FORWARD_PAYLOAD_MAX - left + fits[left]);
		p.user_agent = null; /* two bytes more than "" */
		if (left >= 2) {
			(void)written(&p);
			assert_string_equal(
			    out + strlen(out) - strlen("null}"), "null}");
		}
		drop(url);
	}
}

static void
test_too_long(void **state)
{
	struct forward_payload p = plain;
	struct span none = BYTES("");
	struct span url;
	size_t rest;
	struct writer w = writer_of(out, sizeof(out));

	(void)state;
	p.kind = IPC_EVENT_CLICK;
	p.url = p.user_agent = none;
	rest = strlen(written(&p));
	url = repeated("u", FORWARD_PAYLOAD_MAX - rest + 1);
	p.url = url;
	/* Also when the caller's memory has space for more. */
	assert_int_equal(forward_payload_write(&p, &w), FORWARD_PAYLOAD_LONG);
	assert_int_equal(w.len, 0);
	p.url.len--;
	assert_int_equal(forward_payload_write(&p, &w), FORWARD_PAYLOAD_OK);
	assert_int_equal(w.len, FORWARD_PAYLOAD_MAX);
	drop(url);
	/* Escapes count. */
	url = repeated("\n", FORWARD_PAYLOAD_MAX / 6);
	p.url = url;
	w.len = 0;
	assert_int_equal(forward_payload_write(&p, &w), FORWARD_PAYLOAD_LONG);
	drop(url);
}

/* Appends; says when the caller's own memory is too small. */
static void
test_writer(void **state)
{
	struct forward_payload p = plain;
	struct writer w = writer_of(out, sizeof(out));
	uint8_t *bytes;
	size_t len;

	(void)state;
	writer_text(&w, "before");
	assert_int_equal(forward_payload_write(&p, &w), FORWARD_PAYLOAD_OK);
	assert_memory_equal(out, "before--- {", 11);
	len = w.len - strlen("before");
	p.user_agent.len = 0;
	len -= strlen("Test/1.0");
	for (size_t size = 1; size <= len; size++) {
		bytes = malloc(size);
		assert_non_null(bytes);
		w = writer_of(bytes, size);
		assert_int_equal(forward_payload_write(&p, &w),
		    size < len ? FORWARD_PAYLOAD_LONG : FORWARD_PAYLOAD_OK);
		assert_int_equal(w.len, size < len ? 0 : len);
		free(bytes);
	}
	w = writer_of(out, 3);
	writer_text(&w, "full");
	assert_int_equal(forward_payload_write(&p, &w), FORWARD_PAYLOAD_LONG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_open),
	    cmocka_unit_test(test_click),
	    cmocka_unit_test(test_all_null),
	    cmocka_unit_test(test_all_empty),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_spam),
	    cmocka_unit_test(test_timestamps),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_agent_is_cut),
	    cmocka_unit_test(test_space),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
