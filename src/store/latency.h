/*
 * latency.h - how long something took, in sums that are cheap to keep
 *
 * Pure. So many took no longer than so much; the limits are fixed, so that
 * numbers of one day compare with those of another.
 */
#ifndef STORE_LATENCY_H
#define STORE_LATENCY_H

#include "ipc/message.h"

#define LATENCY_ROWS 16

struct latency {
	uint64_t sum_us;
	uint64_t n[LATENCY_ROWS]; /* by row: longer than the one before it */
};

void latency_count(struct latency *l, uint64_t us);

/* As COMMITS, whose rows are in bytes of the caller. */
#define LATENCY_BYTES (LATENCY_ROWS * 16)
struct ipc_commits latency_report(
    const struct latency *l, uint8_t bytes[LATENCY_BYTES]);

#endif
