/*
 * number_test.c - numbers, durations and sizes in text
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/number.h"

static void
test_number(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
	    {"0", 0},
	    {"1", 1},
	    {"007", 7},
	    {"42", 42},
	    {"18446744073709551615", UINT64_MAX},
	};
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1x", "x",
	    "0x10", "1.5", "18446744073709551616", "99999999999999999999",
	    "184467440737095516150"};
	uint64_t value = 4711;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		if (number_parse(span_of(bad[i]), 0, UINT64_MAX, &value) != -1)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(value, 4711);
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		assert_int_equal(
		    number_parse(span_of(good[i].text), 0, UINT64_MAX, &value),
		    0);
		assert_true(value == good[i].value);
	}
}

static void
test_number_range(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(number_parse(span_of("4"), 5, 7, &value), -1);
	assert_int_equal(number_parse(span_of("5"), 5, 7, &value), 0);
	assert_int_equal(number_parse(span_of("7"), 5, 7, &value), 0);
	assert_int_equal(number_parse(span_of("8"), 5, 7, &value), -1);
	assert_int_equal(
	    number_parse((struct span){NULL, 0}, 0, 7, &value), -1);
	/* Only the span counts, not what lies behind it. */
	assert_int_equal(number_parse((struct span){(const uint8_t *)"123", 2},
			     0, 99, &value),
	    0);
	assert_int_equal(value, 12);
}

struct row {
	const char *text;
	uint64_t value;
	const char *shown; /* NULL: as text */
};

static const struct row durations[] = {
    {"0", 0, "0ms"},
    {"0s", 0, "0ms"},
    {"1ms", 1, NULL},
    {"250ms", 250, NULL},
    {"1000ms", 1000, "1s"},
    {"10s", 10000, NULL},
    {"90s", 90000, NULL},
    {"5m", 300000, NULL},
    {"60m", 3600000, "1h"},
    {"2h", 7200000, NULL},
    {"36h", 129600000, NULL},
    {"30d", 2592000000, NULL},
    {"213503982334d", UINT64_C(213503982334) * 86400000, NULL},
    {"18446744073709551615ms", UINT64_MAX, NULL},
};

static const struct row sizes[] = {
    {"0", 0, NULL},
    {"512", 512, NULL},
    {"1023", 1023, NULL},
    {"1024", 1024, "1k"},
    {"16k", 16384, NULL},
    {"1025k", 1025 * 1024, NULL},
    {"64M", UINT64_C(64) << 20, NULL},
    {"1024M", UINT64_C(1) << 30, "1G"},
    {"2G", UINT64_C(2) << 30, NULL},
    {"17179869183G", UINT64_C(17179869183) << 30, NULL},
    {"18446744073709551615", UINT64_MAX, NULL},
};

static const char *const bad_durations[] = {"", "5", "00", "ms", "5x", "5S",
    "5 s", "-5s", "5ss", "5sec", "1h30m", "1.5h", "18446744073709551616ms",
    "18446744073709551615s", "213503982335d"};

static const char *const bad_sizes[] = {"", "k", "5K", "5m", "5kB", "5 k",
    "-5k", "5T", "1.5G", "18446744073709551616", "17179869184G",
    "18446744073709551615k"};

static void
check_rows(const struct row *rows, size_t n,
    int (*parse)(struct span text, uint64_t *value),
    void (*format)(uint64_t value, char text[NUMBER_TEXT_SIZE]))
{
	for (size_t i = 0; i < n; i++) {
		char text[NUMBER_TEXT_SIZE];
		uint64_t value = 4711;

		if (parse(span_of(rows[i].text), &value) != 0)
			fail_msg("%s was refused", rows[i].text);
		assert_true(value == rows[i].value);
		format(value, text);
		assert_string_equal(
		    text, rows[i].shown ? rows[i].shown : rows[i].text);
		assert_int_equal(parse(span_of(text), &value), 0);
		assert_true(value == rows[i].value);
	}
}

static void
check_refused(const char *const *texts, size_t n,
    int (*parse)(struct span text, uint64_t *value))
{
	uint64_t value = 4711;

	for (size_t i = 0; i < n; i++)
		if (parse(span_of(texts[i]), &value) != -1)
			fail_msg("\"%s\" was taken", texts[i]);
	assert_int_equal(value, 4711);
}

static void
test_duration(void **state)
{
	(void)state;
	check_rows(durations, ARRAY_LENGTH(durations), duration_parse,
	    duration_format);
	check_refused(
	    bad_durations, ARRAY_LENGTH(bad_durations), duration_parse);
}

static void
test_size(void **state)
{
	(void)state;
	check_rows(sizes, ARRAY_LENGTH(sizes), size_parse, size_format);
	check_refused(bad_sizes, ARRAY_LENGTH(bad_sizes), size_parse);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_number),
	    cmocka_unit_test(test_number_range),
	    cmocka_unit_test(test_duration),
	    cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
