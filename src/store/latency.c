/*
 * latency.c - how long something took, in sums that are cheap to keep
 *
 * Pure; run by the store.
 */
#include "store/latency.h"

/* A flush takes 0.2 ms on a good disk, 10 on a turning one; what takes longer
 * than max_wait makes events late. */
static const uint64_t most_us[LATENCY_ROWS] = {100, 250, 500, 1000, 2500, 5000,
    10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000,
    UINT64_MAX};

void
latency_count(struct latency *l, uint64_t us)
{
	size_t i = 0;

	while (us > most_us[i])
		i++;
	l->n[i]++;
	l->sum_us += us;
}

struct ipc_commits
latency_report(const struct latency *l, uint8_t bytes[LATENCY_BYTES])
{
	struct writer w = writer_of(bytes, LATENCY_BYTES);

	for (size_t i = 0; i < LATENCY_ROWS; i++) {
		struct ipc_commit_row row = {most_us[i], l->n[i]};

		(void)ipc_put(&w, &ipc_commit_row_record, &row);
	}
	return (struct ipc_commits){l->sum_us, {LATENCY_ROWS, writer_span(&w)}};
}
