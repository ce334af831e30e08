/*
 * metrics.h - what /metrics shows
 *
 * Pure. To add a metric: a number of STATUS is a row of the table `numbers`
 * in metrics.c, a counter of a web worker shows up by itself
 * (ipc/counter.h), anything else is a function of the table `sections`.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "ipc/message.h"

/* What the store answered; all NULL: it did not. */
struct metrics_facts {
	const struct ipc_status *status;
	const struct ipc_commits *commits;
	struct ipc_list pairs; /* struct ipc_pair_state_row */
};

/* Writes all metrics; w->full when they do not fit. */
void metrics_render(struct writer *w, const struct metrics_facts *facts);

#endif
