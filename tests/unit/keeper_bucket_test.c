/*
 * keeper_bucket_test.c - how often a worker may ask
 */
#include "tests/unit/test.h"

#include "keeper/bucket.h"

static unsigned int
take_all(struct bucket *b, uint64_t now_ms)
{
	unsigned int n = 0;

	while (bucket_take(b, now_ms))
		n++;
	return n;
}

static void
test_bucket(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 50, 1000);
	assert_int_equal(take_all(&b, 1000), 50);
	/* One for each 20 ms, and what is left of one is not lost. */
	assert_int_equal(take_all(&b, 1019), 0);
	assert_int_equal(take_all(&b, 1020), 1);
	assert_int_equal(take_all(&b, 1050), 1);
	assert_int_equal(take_all(&b, 1060), 1);
	/* Full is full, however long nobody asked. */
	assert_int_equal(take_all(&b, 1000000), 50);
	/* A clock that goes back gives nothing. */
	assert_int_equal(take_all(&b, 1), 0);
}

static void
test_large(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, UINT32_MAX, 0);
	assert_true(bucket_take(&b, UINT64_MAX));
	assert_true(bucket_take(&b, UINT64_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bucket),
	    cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
