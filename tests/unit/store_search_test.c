/*
 * store_search_test.c - links that are being looked for, and who waits
 */
#include "tests/unit/test.h"

#include "store/search.h"

static struct searches t;

static int
begin(void **state)
{
	const struct hash_key key = {1, 2};

	(void)state;
	searches_init(&t, &key);
	return 0;
}

static struct search *
add(uint32_t server_id, const char *token, uint64_t due_ms)
{
	struct search *s = searches_add(&t, server_id, span_of(token), due_ms);

	assert_non_null(s);
	return s;
}

static void
test_same(void **state)
{
	struct search *s = add(3, "Abc", 10);

	(void)state;
	assert_ptr_equal(searches_same(&t, 3, span_of("Abc")), s);
	assert_null(searches_same(&t, 3, span_of("abc")));
	assert_null(searches_same(&t, 4, span_of("Abc")));
	assert_ptr_equal(searches_of(&t, s->ask), s);
	assert_true(searches_had(&t, s->ask));
	assert_false(searches_had(&t, s->ask + 1));
	assert_false(searches_had(&t, 0));
	searches_end(&t, s);
	assert_null(searches_same(&t, 3, span_of("Abc")));
	assert_null(searches_of(&t, 1));
	assert_null(searches_of(&t, 0));
	assert_true(searches_had(&t, 1));
}

static void
test_full(void **state)
{
	char token[16];

	(void)state;
	for (int i = 0; i < SEARCHES_MAX; i++) {
		(void)snprintf(token, sizeof(token), "t%d", i);
		(void)add(1, token, 10);
	}
	assert_null(searches_add(&t, 1, span_of("more"), 10));
	searches_end(&t, searches_same(&t, 1, span_of("t500")));
	(void)add(1, "more", 10);
	assert_null(searches_add(&t, 1, span_of("again"), 10));
}

static void
test_sending_in_order(void **state)
{
	struct search *first = add(1, "a", 10), *s;
	char token[16];

	(void)state;
	searches_end(&t, first);
	for (int i = 0; i < SEARCHES_SENT_MAX + 2; i++) {
		(void)snprintf(token, sizeof(token), "t%d", i);
		(void)add(1, token, 10);
	}
	for (uint64_t i = 0; i < SEARCHES_SENT_MAX; i++) {
		s = searches_to_send(&t);
		assert_non_null(s);
		assert_int_equal(s->ask, i + 2);
		searches_sent(&t, s);
		searches_sent(&t, s);
	}
	assert_null(searches_to_send(&t));
	searches_end(&t, searches_of(&t, 5));
	s = searches_to_send(&t);
	assert_int_equal(s->ask, SEARCHES_SENT_MAX + 2);
	/* One that was never sent makes no room. */
	searches_sent(&t, s);
	searches_end(&t, searches_of(&t, SEARCHES_SENT_MAX + 3));
	assert_null(searches_to_send(&t));
}

static void
test_waiters(void **state)
{
	struct search *a = add(1, "a", 10), *b = add(1, "b", 10);
	struct search_waiter w;
	uint64_t sum = 0;

	(void)state;
	for (uint64_t i = 0; i < SEARCH_WAITERS_MAX; i++)
		assert_int_equal(
		    searches_wait(&t, i % 2 ? a : b, 7, i % 3, i), 0);
	assert_int_equal(searches_wait(&t, a, 7, 1, 1), -1);
	searches_forget(&t, 1);
	while (searches_take_waiter(&t, a, &w)) {
		assert_int_equal(w.worker, 7);
		assert_int_not_equal(w.instance, 1);
		assert_int_equal(w.ask % 2, 1);
		sum++;
	}
	while (searches_take_waiter(&t, b, &w)) {
		assert_int_equal(w.ask % 2, 0);
		sum++;
	}
	assert_int_equal(
	    sum, SEARCH_WAITERS_MAX - (SEARCH_WAITERS_MAX + 1) / 3);
	/* None leaked. */
	for (uint64_t i = 0; i < SEARCH_WAITERS_MAX; i++)
		assert_int_equal(searches_wait(&t, a, 7, 9, i), 0);
	searches_forget(&t, 9);
	assert_false(searches_take_waiter(&t, a, &w));
}

static void
test_late(void **state)
{
	struct search *sent = add(1, "a", 10), *unsent = add(1, "b", 20);

	(void)state;
	searches_sent(&t, sent);
	assert_int_equal(searches_due(&t), 10);
	assert_null(searches_late(&t, 9));
	assert_ptr_equal(searches_late(&t, 10), sent);
	searches_passed(&t, sent, 10);
	assert_int_equal(searches_due(&t), 20);
	assert_ptr_equal(searches_late(&t, 20), unsent);
	searches_passed(&t, unsent, 20);
	assert_null(searches_same(&t, 1, span_of("b")));
	/* What was sent is still there for an answer, but not for ever. */
	assert_ptr_equal(searches_same(&t, 1, span_of("a")), sent);
	assert_true(sent->late);
	assert_int_equal(searches_due(&t), 10 + SEARCH_LATE_MS);
	assert_ptr_equal(searches_late(&t, 10 + SEARCH_LATE_MS), sent);
	searches_passed(&t, sent, 10 + SEARCH_LATE_MS);
	assert_int_equal(searches_due(&t), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(t.n_sent, 0);
}

static void
test_misses(void **state)
{
	(void)state;
	assert_false(searches_missed(&t, 1, span_of("a"), 0));
	searches_miss(&t, 1, span_of("a"), 100);
	assert_true(searches_missed(&t, 1, span_of("a"), 100));
	assert_false(searches_missed(&t, 1, span_of("A"), 100));
	assert_false(searches_missed(&t, 2, span_of("a"), 100));
	assert_true(searches_missed(&t, 1, span_of("a"), 99 + SEARCH_MISS_MS));
	assert_false(
	    searches_missed(&t, 1, span_of("a"), 100 + SEARCH_MISS_MS));
}

static void
test_bucket(void **state)
{
	struct search_bucket b = {0, 0};
	unsigned int n = 0;

	(void)state;
	while (search_bucket_take(&b, 1000))
		n++;
	assert_int_equal(n, SEARCH_BURST);
	assert_false(search_bucket_take(&b, 1000 + 1000 / SEARCH_RATE - 1));
	assert_true(search_bucket_take(&b, 1000 + 1000 / SEARCH_RATE));
	assert_false(search_bucket_take(&b, 1000 + 1000 / SEARCH_RATE));
	for (n = 0; search_bucket_take(&b, 3020);)
		n++;
	assert_int_equal(n, 2 * SEARCH_RATE);
	/* However long it was: no more than the burst. */
	for (n = 0; search_bucket_take(&b, UINT64_C(1) << 40);)
		n++;
	assert_int_equal(n, SEARCH_BURST);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
	    TEST(test_same),
	    TEST(test_full),
	    TEST(test_sending_in_order),
	    TEST(test_waiters),
	    TEST(test_late),
	    TEST(test_misses),
	    TEST(test_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
