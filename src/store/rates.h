/*
 * rates.h - how fast the counters of the workers grow
 *
 * Pure. A sample of all counters every second, the last ten seconds of them.
 */
#ifndef STORE_RATES_H
#define STORE_RATES_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/counter.h"

/* Ten seconds, and where they begin. */
#define RATES_SAMPLES 11

/* Zeroed before the first sample. */
struct rates {
	size_t n; /* samples ever taken */
	uint64_t at_ms[RATES_SAMPLES];
	uint64_t totals[RATES_SAMPLES][COUNTER_N];
};

void rates_note(
    struct rates *r, uint64_t now_ms, const uint64_t totals[COUNTER_N]);
/* The next total of this counter has n more that did not come just now. */
void rates_skip(struct rates *r, enum counter c, uint64_t n);
/* What each counter grew by between the oldest and the newest sample, and the
 * milliseconds between these; 0: there are not two yet. */
uint32_t rates_grown(const struct rates *r, uint64_t grown[COUNTER_N]);

#endif
