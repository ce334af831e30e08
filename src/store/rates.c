/*
 * rates.c - how fast the counters of the workers grow
 *
 * Pure; used by the store.
 */
#include "store/rates.h"

void
rates_note(struct rates *r, uint64_t now_ms, const uint64_t totals[COUNTER_N])
{
	size_t i = r->n++ % RATES_SAMPLES;

	r->at_ms[i] = now_ms;
	for (size_t c = 0; c < COUNTER_N; c++)
		r->totals[i][c] = totals[c];
}

void
rates_skip(struct rates *r, enum counter c, uint64_t n)
{
	for (size_t i = 0; i < RATES_SAMPLES; i++)
		r->totals[i][c] += n;
}

uint32_t
rates_grown(const struct rates *r, uint64_t grown[COUNTER_N])
{
	size_t first =
	    r->n <= RATES_SAMPLES ? 0 : (r->n - RATES_SAMPLES) % RATES_SAMPLES;
	size_t last = (r->n - 1) % RATES_SAMPLES;

	if (r->n < 2)
		return 0;
	for (size_t c = 0; c < COUNTER_N; c++)
		grown[c] = r->totals[last][c] - r->totals[first][c];
	return (uint32_t)(r->at_ms[last] - r->at_ms[first]);
}
