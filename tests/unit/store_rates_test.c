/*
 * store_rates_test.c - how fast counters grow: the window, jumps, few samples
 */
#include "tests/unit/test.h"

#include "store/rates.h"

static void
test_window(void **state)
{
	struct rates r = {0};
	uint64_t totals[COUNTER_N] = {0}, grown[COUNTER_N];

	(void)state;
	assert_int_equal(rates_grown(&r, grown), 0);
	for (uint64_t i = 1; i <= 40; i++) {
		totals[COUNTER_OPENS] += 3;
		totals[COUNTER_CLICKS] += i == 35 ? 100 : 0;
		rates_note(&r, 1000 * i, totals);
		if (i == 1) {
			assert_int_equal(rates_grown(&r, grown), 0);
		} else if (i <= RATES_SAMPLES) {
			assert_int_equal(
			    rates_grown(&r, grown), 1000 * (i - 1));
			assert_int_equal(grown[COUNTER_OPENS], 3 * (i - 1));
		} else {
			assert_int_equal(rates_grown(&r, grown), 10000);
			assert_int_equal(grown[COUNTER_OPENS], 30);
			assert_int_equal(
			    grown[COUNTER_CLICKS], i >= 35 ? 100 : 0);
			assert_int_equal(grown[COUNTER_REQUESTS], 0);
		}
	}
	/* It leaves the window again. */
	for (uint64_t i = 41; i <= 45; i++)
		rates_note(&r, 1000 * i, totals);
	assert_int_equal(rates_grown(&r, grown), 10000);
	assert_int_equal(grown[COUNTER_CLICKS], 0);
}

/* A worker of an earlier store tells what it counted all its life. */
static void
test_a_jump_is_no_rate(void **state)
{
	struct rates r = {0};
	uint64_t totals[COUNTER_N] = {0}, grown[COUNTER_N];

	(void)state;
	rates_note(&r, 1000, totals);
	rates_skip(&r, COUNTER_OPENS, 1000000);
	totals[COUNTER_OPENS] = 1000000;
	rates_note(&r, 2000, totals);
	totals[COUNTER_OPENS] += 7;
	rates_note(&r, 3000, totals);
	assert_int_equal(rates_grown(&r, grown), 2000);
	assert_int_equal(grown[COUNTER_OPENS], 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_a_jump_is_no_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
