/*
 * clock.c - the two clocks: one for waiting, one for the record
 *
 * Both are answered by the vDSO on the machines that matter.
 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

uint64_t
clock_mono_ms(void)
{
	struct timespec t;
	int failed = clock_gettime(CLOCK_MONOTONIC, &t);

	assert(failed == 0);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t
clock_mono_us(void)
{
	struct timespec t;
	int failed = clock_gettime(CLOCK_MONOTONIC, &t);

	assert(failed == 0);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t
clock_earlier(uint64_t a_ms, uint64_t b_ms)
{
	return a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms;
}

int64_t
clock_wall_us(void)
{
	struct timespec t;
	int failed = clock_gettime(CLOCK_REALTIME, &t);

	assert(failed == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
