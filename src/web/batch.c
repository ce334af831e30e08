/*
 * batch.c - events on their way to the store
 *
 * Runs in the web worker. At most one batch is under way; the next ones
 * gather meanwhile, so that group commit forms by itself. A batch that was
 * sent to a store that died is sent again, with its number, to the next one,
 * which knows whether it had committed. The ring is bounded: when the store
 * does not answer for long, events are counted as lost and visitors served.
 */
#include "web/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A batch of this size goes at once. */
#define GATHER_EVENTS 256

int
batches_open(struct web *w)
{
	w->batches.ring = calloc(BATCHES, sizeof(w->batches.ring[0]));
	return w->batches.ring == NULL ? -1 : 0;
}

static struct batch *
batch_at(struct batches *b, unsigned int i)
{
	return &b->ring[(b->first + i) % BATCHES];
}

/* Room for the message's own fields in front of the records. */
static void
begin(struct batch *batch)
{
	batch->records = writer_of(batch->bytes + BATCH_HEADER_SIZE,
	    sizeof(batch->bytes) - BATCH_HEADER_SIZE);
	batch->count = 0;
	batch->number = 0;
	batch->late_at_ms = 0;
}

/*
 * The batch that gathers; NULL when the ring is full. One that has a number is
 * closed for good: the store may have it already, and will take what comes
 * again under this number for the same.
 */
static struct batch *
gathering(struct batches *b, bool fresh)
{
	if (b->n == 0 || batch_at(b, b->n - 1)->number != 0 || fresh) {
		if (b->n == BATCHES)
			return NULL;
		begin(batch_at(b, b->n));
		b->n++;
	}
	return batch_at(b, b->n - 1);
}

static bool
has_taken(struct batch *batch, const struct ipc_event *event)
{
	if (batch == NULL || batch->count == IPC_BATCH_EVENTS_MAX ||
	    ipc_put(&batch->records, &ipc_event_record, event) != 0)
		return false;
	batch->count++;
	return true;
}

/* NULL: the ring is full. A batch without events is none. */
static struct batch *
put_record(struct batches *b, const struct ipc_event *event)
{
	struct batch *batch = gathering(b, false);

	if (has_taken(batch, event))
		return batch;
	if (batch != NULL && batch->count > 0)
		batch = gathering(b, true);
	if (has_taken(batch, event))
		return batch;
	if (batch != NULL)
		b->n--;
	return NULL;
}

static void
count_lost(struct web *w)
{
	uint64_t held_back;

	w->counters[COUNTER_EVENTS_LOST]++;
	if (log_limit_pass(&w->log_lost, w->loop.now_ms, &held_back))
		log_err("lost event reason=\"the store does not answer and "
			"the queue is full\" more=%" PRIu64,
		    held_back);
}

bool
batches_put(struct web *w, struct conn *c, const struct ipc_event *event)
{
	struct batch *batch = put_record(&w->batches, event);

	if (batch == NULL) {
		count_lost(w);
		access_event(c, HTTP_ACCESS_NONE, HTTP_ACCESS_LOST);
		return false;
	}
	if (w->settings.durability == IPC_DURABILITY_RELAXED)
		return false;
	if (batch->waiting.first == NULL) {
		batch->late_at_ms = w->loop.now_ms + w->settings.max_wait_ms;
		loop_wake_at(&w->loop, batch->late_at_ms);
	}
	conn_list_remove(c);
	conn_list_append(&batch->waiting, c);
	c->state = CONN_STORING;
	return true;
}

/* Writes type, number and count into the room that begin left. */
static struct span
seal(struct batch *batch)
{
	struct writer w = writer_of(batch->bytes, BATCH_HEADER_SIZE);

	writer_u16(&w, IPC_EVENTS);
	writer_u64(&w, batch->number);
	writer_u16(&w, batch->count);
	assert(w.len == BATCH_HEADER_SIZE && !w.full);
	return (struct span){
	    batch->bytes, BATCH_HEADER_SIZE + batch->records.len};
}

/*
 * While more requests are there to be read, they join: a larger batch costs
 * the store and the disk less. When none is there, whoever else wants this
 * core may run once, and may bring some; on an idle machine that is nobody.
 */
static bool
may_grow(struct web *w, const struct batch *batch)
{
	struct batches *b = &w->batches;

	if (batch->count >= GATHER_EVENTS)
		return false;
	if (w->loop.n_events > 0) {
		b->yielded = false;
		return true;
	}
	if (b->yielded)
		return false;
	b->yielded = true;
	(void)sched_yield();
	return true;
}

void
batches_flush(struct web *w)
{
	struct batches *b = &w->batches;
	struct batch *batch;

	if (b->under_way || b->n == 0 || w->store.fd < 0)
		return;
	batch = batch_at(b, 0);
	if (batch->number == 0 && b->n == 1 && may_grow(w, batch)) {
		w->loop.poll_once = true;
		return;
	}
	b->yielded = false;
	if (batch->number == 0)
		batch->number = ++b->last_number;
	/* No room or no peer: it goes later, with the same number. */
	b->under_way = ipc_send_record(&w->store, seal(batch), -1) == IPC_OK;
}

void
batches_resend(struct web *w)
{
	w->batches.under_way = false;
	batches_flush(w);
}

/*
 * Answers all connections that wait on a batch. They move to a list of their
 * own first: an answered one may put its next request on the same batch.
 */
static size_t
answer_waiting(struct web *w, struct batch *batch, enum http_access_event event)
{
	struct conn_list due = {NULL, NULL};
	struct conn *c;
	size_t n = 0;

	while ((c = batch->waiting.first) != NULL) {
		conn_list_remove(c);
		conn_list_append(&due, c);
	}
	for (; (c = due.first) != NULL; n++) {
		access_event(c, HTTP_ACCESS_NONE, event);
		conn_reply(w, c, c->reply);
		conn_advance(w, c);
	}
	return n;
}

void
batches_stored(struct web *w, const struct ipc_stored *stored)
{
	struct batches *b = &w->batches;
	struct batch *batch = batch_at(b, 0);

	if (!b->under_way || stored->number != batch->number) {
		log_err("stop reason=\"the store acknowledged a batch that is "
			"not under way\"");
		exit(1);
	}
	/* First out of the ring: the answers may put new events into it. */
	b->first = (b->first + 1) % BATCHES;
	b->n--;
	b->under_way = false;
	(void)answer_waiting(w, batch,
	    stored->status == IPC_STORED_YES ? HTTP_ACCESS_STORED
					     : HTTP_ACCESS_LOST);
}

/* Those that waited for max_wait are answered; their events go on. */
uint64_t
batches_due(struct web *w)
{
	struct batches *b = &w->batches;
	uint64_t next = 0, held_back;
	size_t late = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct batch *batch = batch_at(b, i);

		if (batch->waiting.first == NULL)
			continue;
		if (w->loop.now_ms >= batch->late_at_ms)
			late += answer_waiting(w, batch, HTTP_ACCESS_LATE);
		else if (next == 0 || batch->late_at_ms < next)
			next = batch->late_at_ms;
	}
	w->counters[COUNTER_EVENTS_LATE] += late;
	if (late > 0 &&
	    log_limit_pass(&w->log_late, w->loop.now_ms, &held_back))
		log_warn("late events=%zu: answered before they were stored "
			 "(max_wait=%" PRIu32 "ms) more=%" PRIu64,
		    late, w->settings.max_wait_ms, held_back);
	return next;
}

bool
batches_empty(const struct web *w)
{
	return w->batches.n == 0;
}
