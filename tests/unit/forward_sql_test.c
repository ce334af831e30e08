/*
 * forward_sql_test.c - kinds of failures, names of databases, numbers
 */
#include "tests/unit/test.h"

#include <limits.h>

#include "base/array.h"
#include "forward/failure.h"
#include "forward/sql_text.h"

/* --- failures ---------------------------------------------------------- */

static void
test_the_table_is_sorted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sql_n_failures; i++) {
		assert_true(i == 0 || sql_failures[i - 1].number <
					  sql_failures[i].number);
		assert_int_equal(sql_classify(sql_failures[i].number),
		    sql_failures[i].failure);
		assert_int_not_equal(sql_failures[i].failure, SQL_OK);
		assert_true(strlen(sql_failures[i].meaning) > 5);
	}
}

/* What the drain relies on; the numbers as the servers' references have
 * them. */
static const struct {
	unsigned int number;
	enum sql_failure failure;
} known[] = {
    {0, SQL_OK},
    {1, SQL_OTHER},
    {UINT_MAX, SQL_OTHER},
    {1064, SQL_OTHER},
    {2002, SQL_LOST},
    {2003, SQL_LOST},
    {2005, SQL_LOST},
    {2006, SQL_LOST},
    {2013, SQL_LOST},
    {2026, SQL_LOST},
    {2055, SQL_LOST},
    {1927, SQL_LOST},
    {1053, SQL_LOST},
    {1040, SQL_LOST},
    {4031, SQL_LOST},
    {1205, SQL_RETRY},
    {1213, SQL_RETRY},
    {1969, SQL_RETRY},
    {1049, SQL_GONE},
    {1054, SQL_GONE},
    {1146, SQL_GONE},
    {1044, SQL_DENIED},
    {1045, SQL_DENIED},
    {1142, SQL_DENIED},
    {1143, SQL_DENIED},
    {1227, SQL_DENIED},
    {2059, SQL_DENIED},
    {1048, SQL_DATA},
    {1062, SQL_DATA},
    {1264, SQL_DATA},
    {1265, SQL_DATA},
    {1292, SQL_DATA},
    {1366, SQL_DATA},
    {1406, SQL_DATA},
    {1021, SQL_FULL},
    {1114, SQL_FULL},
    {1290, SQL_READONLY},
    {1792, SQL_READONLY},
    {1836, SQL_READONLY},
};

static void
test_known_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (sql_classify(known[i].number) != known[i].failure)
			fail_msg("%u is %s", known[i].number,
			    sql_failure_name(sql_classify(known[i].number)));
}

static void
test_names_of_failures(void **state)
{
	(void)state;
	assert_string_equal(sql_failure_name(SQL_OK), "ok");
	assert_string_equal(sql_failure_name(SQL_READONLY), "read-only");
	assert_string_equal(sql_failure_name(SQL_OTHER), "other");
	assert_string_equal(
	    sql_failure_name((enum sql_failure)(SQL_OTHER + 1)), "unknown");
}

/* --- names ------------------------------------------------------------- */

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct {
	const char *name;
	size_t len;	    /* 0: a C string */
	const char *quoted; /* NULL: refused */
} names[] = {
    {"postal-server-1", 0, "`postal-server-1`"}, {"a`b", 0, "`a``b`"},
    {"`", 0, "````"}, {"a.b", 0, "`a.b`"}, {" a", 0, "` a`"},
    {"'\"\\;--", 0, "`'\"\\;--`"},
    {"\xc3\xa9\xe2\x82\xac", 0, "`\xc3\xa9\xe2\x82\xac`"},
    {SIXTY "abcd", 0, "`" SIXTY "abcd`"},
    {SIXTY "abc\xe2\x82\xac", 0, "`" SIXTY "abc\xe2\x82\xac`"},
    {SIXTY "abcde", 0, NULL}, {"", 0, NULL}, {"a ", 0, NULL}, {"a\0b", 3, NULL},
    {"\0", 1, NULL}, {"\xc3", 0, NULL}, {"a\xff", 0, NULL},
    {"\xe2\x82", 0, NULL},
    {"\xf0\x9f\x98\x80", 0, NULL}, /* a character of 4 bytes */
    {"\xed\xa0\x80", 0, NULL},	   /* a surrogate */
    {"\xc0\x80", 0, NULL},	   /* NUL in disguise */
};

static void
test_quoting(void **state)
{
	char text[SQL_QUOTED_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		struct span name = span_of(names[i].name);
		int done;

		if (names[i].len > 0)
			name.len = names[i].len;
		done = sql_quote_name(name, text);
		if (done != (names[i].quoted == NULL ? -1 : 0) ||
		    (done == 0 && strcmp(text, names[i].quoted) != 0))
			fail_msg(
			    "row %zu: %d %s", i, done, done == 0 ? text : "");
	}
}

/* 64 back-ticks fit, doubled, and not one byte more is written. */
static void
test_the_longest_name(void **state)
{
	uint8_t name[SQL_NAME_MAX];
	char text[SQL_QUOTED_SIZE];

	(void)state;
	memset(name, '`', sizeof(name));
	assert_int_equal(
	    sql_quote_name((struct span){name, sizeof(name)}, text), 0);
	assert_int_equal(strlen(text), 2 * SQL_NAME_MAX + 2);
}

/* --- numbers ----------------------------------------------------------- */

static const struct {
	const char *text;
	int64_t value;
	int result;
} numbers[] = {
    {"0", 0, 0},
    {"7", 7, 0},
    {"007", 7, 0},
    {"-1", -1, 0},
    {"-0", 0, 0},
    {"9223372036854775807", INT64_MAX, 0},
    {"-9223372036854775808", INT64_MIN, 0},
    {"9223372036854775808", 0, -1},
    {"-9223372036854775809", 0, -1},
    {"18446744073709551616", 0, -1},
    {"", 0, -1},
    {"-", 0, -1},
    {"--1", 0, -1},
    {"+1", 0, -1},
    {" 1", 0, -1},
    {"1 ", 0, -1},
    {"1.0", 0, -1},
    {"0x1", 0, -1},
};

static void
test_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
		int64_t value = 0;
		int result = sql_parse_int64(span_of(numbers[i].text), &value);

		if (result != numbers[i].result || value != numbers[i].value)
			fail_msg("%s: %d", numbers[i].text, result);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_table_is_sorted),
	    cmocka_unit_test(test_known_numbers),
	    cmocka_unit_test(test_names_of_failures),
	    cmocka_unit_test(test_quoting),
	    cmocka_unit_test(test_the_longest_name),
	    cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
