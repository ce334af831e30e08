/*
 * store_latency_test.c - how long commits took, by rows
 */
#include "tests/unit/test.h"

#include "store/latency.h"

static struct ipc_commit_row rows[LATENCY_ROWS];

static uint64_t
report(const struct latency *l)
{
	uint8_t bytes[LATENCY_BYTES];
	struct ipc_commits commits = latency_report(l, bytes);
	struct cursor c = cursor_of(commits.rows.records);

	assert_int_equal(commits.rows.count, LATENCY_ROWS);
	for (size_t i = 0; i < LATENCY_ROWS; i++)
		ipc_next(&c, &ipc_commit_row_record, &rows[i]);
	assert_int_equal(cursor_end(&c), 0);
	return commits.sum_us;
}

static void
test_rows(void **state)
{
	struct latency l = {0};

	(void)state;
	latency_count(&l, 0);
	latency_count(&l, 100);
	latency_count(&l, 101);
	latency_count(&l, 10000000);
	latency_count(&l, 10000001);
	assert_int_equal(report(&l), 20000202);
	assert_int_equal(rows[0].most_us, 100);
	assert_int_equal(rows[0].n, 2);
	assert_int_equal(rows[1].n, 1);
	assert_int_equal(rows[LATENCY_ROWS - 2].n, 1);
	assert_int_equal(rows[LATENCY_ROWS - 1].n, 1);
	assert_true(rows[LATENCY_ROWS - 1].most_us == UINT64_MAX);
	for (size_t i = 1; i < LATENCY_ROWS; i++)
		assert_true(rows[i - 1].most_us < rows[i].most_us);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
