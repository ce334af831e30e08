/*
 * loop_test.c - the event loop
 */
#include "tests/unit/test.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"

static struct loop loop;
static struct loop_watch watches[2];
static int events_seen, rounds, dues;

static void
remove_the_other(struct loop_watch *w, uint32_t events)
{
	struct loop_watch *other = w == &watches[0] ? &watches[1] : &watches[0];

	assert_true((events & EPOLLIN) != 0);
	events_seen++;
	(void)loop_remove(&loop, other);
}

static void
stop_after_round(void *owner)
{
	assert_ptr_equal(owner, &loop);
	rounds++;
	loop_stop(&loop);
}

/* Both are ready in one round; the first callback removes the second. */
static void
test_a_removed_watch_is_not_called(void **state)
{
	struct err e;
	int pipes[2][2];

	(void)state;
	assert_int_equal(loop_open(&loop, &loop, &e), 0);
	loop.after_round = stop_after_round;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		assert_int_equal(write(pipes[i][1], "x", 1), 1);
		watches[i] = (struct loop_watch){pipes[i][0], remove_the_other};
		assert_int_equal(loop_add(&loop, &watches[i], EPOLLIN), 0);
	}
	events_seen = rounds = 0;
	assert_int_equal(loop_run(&loop, &e), 0);
	assert_int_equal(events_seen, 1);
	assert_int_equal(rounds, 1);
	assert_int_equal(loop.n_events, 2);
	loop_close(&loop);
	for (int i = 0; i < 2; i++) {
		fd_close(&pipes[i][0]);
		fd_close(&pipes[i][1]);
	}
}

static void
on_due(void *owner)
{
	(void)owner;
	dues++;
	assert_true(loop.now_ms >= 1);
	if (dues == 3)
		loop_stop(&loop);
	else
		loop_wake_at(&loop, loop.now_ms + 1);
}

static void
test_due(void **state)
{
	uint64_t start = clock_mono_ms();
	struct err e;

	(void)state;
	assert_int_equal(loop_open(&loop, NULL, &e), 0);
	loop.on_due = on_due;
	loop_wake_at(&loop, start + 160000);
	/* The earlier one wins, whatever is asked for later. */
	loop_wake_at(&loop, start + 5);
	loop_wake_at(&loop, start + 50000);
	dues = 0;
	assert_int_equal(loop_run(&loop, &e), 0);
	assert_int_equal(dues, 3);
	assert_true(clock_mono_ms() >= start + 7);
	loop_close(&loop);
}

static void
take_long(struct loop_watch *w, uint32_t events)
{
	(void)events;
	(void)usleep(1500000);
	(void)loop_remove(&loop, w);
}

static void
stop_when_due(void *owner)
{
	(void)owner;
	loop_stop(&loop);
}

/* What a callback takes of the time is not waited for once more. */
static void
test_due_behind_a_long_round(void **state)
{
	uint64_t start = clock_mono_ms();
	struct err e;
	int ends[2];

	(void)state;
	assert_int_equal(loop_open(&loop, NULL, &e), 0);
	loop.on_due = stop_when_due;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	watches[0] = (struct loop_watch){ends[0], take_long};
	assert_int_equal(loop_add(&loop, &watches[0], EPOLLIN), 0);
	loop_wake_at(&loop, start + 1600);
	assert_int_equal(loop_run(&loop, &e), 0);
	assert_true(clock_mono_ms() >= start + 1600);
	assert_true(clock_mono_ms() < start + 2500);
	loop_close(&loop);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_removed_watch_is_not_called),
	    cmocka_unit_test(test_due),
	    cmocka_unit_test(test_due_behind_a_long_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
