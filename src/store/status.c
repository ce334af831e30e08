/*
 * status.c - all that is known of this daemon, as STATUS
 *
 * Runs in the store. Asked for by commands on store.sock and, again and again,
 * by admin.
 */
#include "store/internal.h"

/* Rows of what is set aside in one STATUS. */
#define STATUS_ASIDES 64

static struct ipc_list
list_counters(const struct store *s, uint8_t *bytes, size_t size)
{
	struct writer w = writer_of(bytes, size);

	for (int i = 0; i < COUNTER_N; i++) {
		struct ipc_counter_row row = {
		    (uint8_t)i, workers_counter(s, (enum counter)i)};

		(void)ipc_put(&w, &ipc_counter_row_record, &row);
	}
	return (struct ipc_list){COUNTER_N, writer_span(&w)};
}

static struct ipc_list
list_rates(const struct store *s, uint32_t *in_ms, uint8_t *bytes, size_t size)
{
	struct writer w = writer_of(bytes, size);
	struct ipc_list list = {0, {NULL, 0}};
	uint64_t grown[COUNTER_N];

	*in_ms = rates_grown(&s->rates, grown);
	for (int i = 0; *in_ms > 0 && i < COUNTER_N; i++) {
		struct ipc_counter_row row = {(uint8_t)i, grown[i]};

		if (row.value > 0 &&
		    ipc_put(&w, &ipc_counter_row_record, &row) == 0)
			list.count++;
	}
	list.records = writer_span(&w);
	return list;
}

static bool
note_time(void *owner, const struct spool_row *row)
{
	int64_t *at_us = owner;

	*at_us = row->event.at_us;
	return false;
}

/* 0: there is none, or it cannot be read. */
static int64_t
oldest_event(struct store *s)
{
	int64_t at_us = 0;
	struct err e;

	if (spool_is_open(&s->spool) && s->spool.now.pending > 0)
		(void)spool_page(&s->spool, 0, 1, note_time, &at_us, &e);
	return at_us;
}

enum ipc_result
status_send(struct store *s, const struct ipc_channel *to)
{
	const struct spool_counts *c = &s->spool.now;
	uint8_t counters[COUNTER_N * 16], rates[COUNTER_N * 16];
	struct err e;
	struct ipc_status status = {
	    .mode = s->settings.mode,
	    .ready = s->ready,
	    .reason = span_of(s->reason),
	    .started_us = s->started_us,
	    .accepted = c->accepted,
	    .written = c->written,
	    .unmatched = c->unmatched,
	    .duplicates = c->duplicates,
	    .set_aside = c->set_aside,
	    .expired = c->expired,
	    .pending = c->pending,
	    .lost = c->lost,
	    .late = c->late,
	    .last_seq = c->last_seq,
	    .spool_bytes = spool_size(&s->spool),
	    .max_size = s->settings.max_size,
	    .servers = known_count(s),
	    .links = s->links.now.n_links,
	    .domains = s->links.now.n_domains,
	    .searches = s->n_searches,
	    .searches_limited = s->n_searches_limited,
	    .forwarder = forwarder_is_connected(s),
	    .forwarder_pid = (uint32_t)s->forwarder.pid,
	    .forwarder_since_us = s->forwarder.since_us,
	    .forwarder_state = s->forwarder.state,
	    .counters = list_counters(s, counters, sizeof(counters)),
	    .roles = s->role_rows,
	    .oldest_us = oldest_event(s),
	    .listeners = s->listener_rows,
	};

	for (size_t i = 0; i < sizeof(status.node); i++)
		status.node[i] = s->spool.node[i];
	status.rates = list_rates(s, &status.rates_ms, rates, sizeof(rates));
	/* Reading them all is of use only when there are some, and to a person:
	 * admin asks again and again. */
	if (to->peer != IPC_ADMIN && spool_is_open(&s->spool) &&
	    c->set_aside > 0)
		(void)drain_list_asides(s, STATUS_ASIDES, &status.asides, &e);
	return ipc_send(to, s->scratch, IPC_STATUS, &status, -1);
}
