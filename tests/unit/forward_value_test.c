/*
 * forward_value_test.c - the values that go into Postal's tables
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "forward/value.h"

static const uint8_t node[IPC_NODE_SIZE] = {0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec,
    0x41, 0xd0, 0xa7, 0x65, 0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6};

static void
test_uuid_form(void **state)
{
	char text[FORWARD_UUID_SIZE];

	(void)state;
	for (uint64_t seq = 0; seq < 1000; seq++) {
		forward_uuid(node, seq, 1, text);
		assert_int_equal(strlen(text), FORWARD_UUID_SIZE - 1);
		for (size_t i = 0; i < FORWARD_UUID_SIZE - 1; i++) {
			const char *may = "0123456789abcdef";

			if (i == 8 || i == 13 || i == 18 || i == 23)
				may = "-";
			else if (i == 14)
				may = "8";
			else if (i == 19)
				may = "89ab";
			assert_non_null(strchr(may, text[i]));
		}
	}
}

/* Rows of an older version may wait in Postal's table: never change these.
 * Computed from the description in value.h by another program. */
static void
test_uuid_stays(void **state)
{
	static const struct {
		uint64_t seq, webhook_id;
		const char *text;
	} rows[] = {
	    {0, 0, "861bc7f3-7989-88c3-b889-35089d1dac7c"},
	    {1, 1, "275132b5-aa17-80bd-8c4b-0960a71dbdc4"},
	    {1, 2, "24934d78-f51d-8602-a723-d87e9887207a"},
	    {2, 1, "a3fb0703-ef65-8a23-a991-1dc57f4d8f9c"},
	    {UINT64_MAX, 2147483647, "24b3486f-9f8e-82fd-a1f0-cb0d2bc5a410"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char text[FORWARD_UUID_SIZE];

		forward_uuid(node, rows[i].seq, rows[i].webhook_id, text);
		assert_string_equal(text, rows[i].text);
	}
}

#define N_SIDE 64

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, FORWARD_UUID_SIZE);
}

/* Node, seq and webhook id all count, also when one stands for another. */
static void
test_uuid_differs(void **state)
{
	static char texts[2 * N_SIDE * N_SIDE][FORWARD_UUID_SIZE];
	uint8_t other[IPC_NODE_SIZE];
	size_t n = 0;

	(void)state;
	memcpy(other, node, sizeof(other));
	other[15] ^= 1;
	for (uint64_t seq = 0; seq < N_SIDE; seq++)
		for (uint64_t id = 0; id < N_SIDE; id++) {
			forward_uuid(node, seq, id, texts[n++]);
			forward_uuid(other, seq, id, texts[n++]);
		}
	assert_int_equal(n, ARRAY_LENGTH(texts));
	qsort(texts, n, sizeof(texts[0]), compare);
	for (size_t i = 1; i < n; i++)
		assert_string_not_equal(texts[i - 1], texts[i]);
}

static void
test_times(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = {
	    {0, "0.000000"},
	    {1, "0.000001"},
	    {999999, "0.999999"},
	    {1712345678123456, "1712345678.123456"},
	    {1712345678000000, "1712345678.000000"},
	    {1700000000100000, "1700000000.100000"},
	    {-1, "-0.000001"},
	    {-1500000, "-1.500000"},
	    {999999999999999999, "999999999999.999999"},
	    {1000000000000000000, "999999999999.999999"},
	    {INT64_MAX, "999999999999.999999"},
	    {-1000000000000000000, "-999999999999.999999"},
	    {INT64_MIN, "-999999999999.999999"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char text[FORWARD_TIME_SIZE];

		forward_time_format(rows[i].us, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void
test_addresses(void **state)
{
	static const struct {
		uint8_t ip[16];
		const char *text;
	} rows[] = {
	    {{[10] = 0xff, 0xff, 198, 51, 100, 7}, "198.51.100.7"},
	    {{[10] = 0xff, 0xff, 0, 0, 0, 0}, "0.0.0.0"},
	    {{0x20, 0x01, 0x0d, 0xb8, [15] = 5}, "2001:db8::5"},
	    {{[15] = 1}, "::1"},
	    {{0}, "::"},
	    {{0xfe, 0x80, [8] = 0xab, 0xcd, 0, 0, 0, 0, 0, 1},
		"fe80::abcd:0:0:1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char text[ADDR_TEXT_SIZE];

		forward_ip_format(rows[i].ip, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void
test_agents(void **state)
{
	static const struct {
		const char *agent, *stored; /* NULL is NULL */
	} rows[] = {
	    {NULL, NULL},
	    {"", NULL},
	    {" ", " "},
	    {"\t \t", "\t \t"},
	    {"Mozilla/5.0", "Mozilla/5.0"},
	    {"Agent \xf0\x9f\x98\x80", "Agent \xf0\x9f\x98\x80"},
	    {"\xff\xfe ua", "\xef\xbf\xbd\xef\xbf\xbd ua"},
	    {"Fran\xe7ois", "Fran\xef\xbf\xbdois"},
	    {"\xe2\x82", "\xef\xbf\xbd"},
	    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
	    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		uint8_t out[FORWARD_AGENT_SIZE];
		struct span agent = {NULL, 0}, got;

		if (rows[i].agent != NULL)
			agent = span_of(rows[i].agent);
		got = forward_user_agent(agent, out);
		if (rows[i].stored == NULL) {
			assert_null(got.p);
			assert_int_equal(got.len, 0);
			continue;
		}
		assert_non_null(got.p);
		assert_true(span_equal(got, span_of(rows[i].stored)));
	}
}

static void
test_agent_is_cut_between_characters(void **state)
{
	static const struct {
		const char *character;
		size_t n;	/* how often it is sent */
		const char *is; /* what it becomes */
		size_t stored;	/* how often it is stored */
	} rows[] = {
	    {"u", 255, "u", 255},
	    {"u", 256, "u", 255},
	    {"u", 4096, "u", 255},
	    {"\xc3\xa9", 255, "\xc3\xa9", 255},
	    {"\xc3\xa9", 256, "\xc3\xa9", 255},
	    {"\xe2\x82\xac", 300, "\xe2\x82\xac", 255},
	    {"\xf0\x9f\x98\x80", 255, "\xf0\x9f\x98\x80", 255},
	    {"\xf0\x9f\x98\x80", 300, "\xf0\x9f\x98\x80", 255},
	    {"\x80", 300, "\xef\xbf\xbd", 255},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		size_t len = strlen(rows[i].character);
		size_t is_len = strlen(rows[i].is);
		uint8_t *sent = malloc(len * rows[i].n);
		uint8_t out[FORWARD_AGENT_SIZE];
		struct span got;

		assert_non_null(sent);
		for (size_t j = 0; j < rows[i].n; j++)
			memcpy(sent + j * len, rows[i].character, len);
		got = forward_user_agent(
		    (struct span){sent, len * rows[i].n}, out);
		assert_int_equal(got.len, is_len * rows[i].stored);
		for (size_t j = 0; j < rows[i].stored; j++)
			assert_memory_equal(
			    got.p + j * is_len, rows[i].is, is_len);
		free(sent);
	}
}

static void
test_nul_in_agent_stays(void **state)
{
	static const uint8_t agent[] = "a\0b";
	uint8_t out[FORWARD_AGENT_SIZE];
	struct span got = forward_user_agent((struct span){agent, 3}, out);

	(void)state;
	assert_int_equal(got.len, 3);
	assert_memory_equal(got.p, agent, 3);
}

static void
test_events(void **state)
{
	(void)state;
	assert_string_equal(
	    forward_event_name(IPC_EVENT_OPEN), "MessageLoaded");
	assert_string_equal(
	    forward_event_name(IPC_EVENT_CLICK), "MessageLinkClicked");
}

static void
test_spam_status(void **state)
{
	(void)state;
	assert_string_equal(forward_spam_status(false, false), "NotChecked");
	assert_string_equal(forward_spam_status(false, true), "NotChecked");
	assert_string_equal(forward_spam_status(true, false), "NotSpam");
	assert_string_equal(forward_spam_status(true, true), "Spam");
}

static const struct {
	const char *text, *narrowed;
} narrow_cases[] = {
    {"", ""},
    {"abc", "abc"},
    {"\xc3\xa9 \xe2\x82\xac", "\xc3\xa9 \xe2\x82\xac"},
    {"\xf0\x9f\x98\x80", "\xef\xbf\xbd"},
    {"a\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"
     "b",
	"a\xef\xbf\xbd\xef\xbf\xbd"
	"b"},
    {"\xef\xbf\xbd\xf0\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
};

static void
test_narrow(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(narrow_cases); i++) {
		uint8_t text[64];
		size_t len = strlen(narrow_cases[i].text);

		memcpy(text, narrow_cases[i].text, len);
		len = forward_narrow(text, len);
		assert_int_equal(len, strlen(narrow_cases[i].narrowed));
		assert_memory_equal(text, narrow_cases[i].narrowed, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_narrow),
	    cmocka_unit_test(test_uuid_form),
	    cmocka_unit_test(test_uuid_stays),
	    cmocka_unit_test(test_uuid_differs),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_agents),
	    cmocka_unit_test(test_agent_is_cut_between_characters),
	    cmocka_unit_test(test_nul_in_agent_stays),
	    cmocka_unit_test(test_events),
	    cmocka_unit_test(test_spam_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
