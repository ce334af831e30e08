/*
 * worker.c - the store's channels to web workers
 *
 * Runs in the store, the stronger side: a worker that breaks a rule is named,
 * parted from, and the monitor asked to replace it; the others do not notice.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/array.h"
#include "base/fd.h"

/* Messages of one worker in a round; the rest waits in the socket. */
#define MESSAGES_A_ROUND 64
/* Of those, before the store ends: more is not in a socket. */
#define LAST_ROUNDS 16

/* --- life -------------------------------------------------------------- */

void
worker_end(struct worker *w)
{
	struct store *s = w->store;

	/* A batch that came before the end of the channel still counts; it
	 * is stored now, because nobody will send it again. */
	if (w->under_way)
		keep_round(s);
	searches_forget(&s->searches, w->instance);
	spool_forget_worker(&s->spool, w->instance);
	for (size_t i = 0; i < COUNTER_N; i++)
		s->ended_counters[i] += w->counters[i];
	(void)loop_remove(&s->loop, &w->watch);
	fd_close(&w->channel.fd);
	free(w->bytes);
	free(w->names);
	*w = (struct worker){.watch = {.fd = -1}, .channel = {.fd = -1}};
}

static void
part_from(struct worker *w, const struct ipc_message *m, unsigned int breach)
{
	struct store *s = w->store;
	struct ipc_replace body = {w->instance, (uint8_t)breach};

	log_err("replace peer=web[%u] message=%s reason=\"%s\"", w->index,
	    m == NULL ? "?" : m->name, ipc_breach_text(breach));
	w->under_way = false;
	(void)ipc_send(&s->role.monitor, s->scratch, IPC_REPLACE, &body, -1);
	worker_end(w);
}

/* --- what a worker is told --------------------------------------------- */

static void
wait_for_room(struct worker *w, bool wait)
{
	if (wait == w->waits_for_room)
		return;
	w->waits_for_room = wait;
	if (loop_change(&w->store->loop, &w->watch,
		wait ? EPOLLIN | EPOLLOUT : EPOLLIN) != 0)
		log_err("channel peer=web[%u]: no memory", w->index);
}

/* A peer that is gone has nothing to be told; the next event says so. */
static void
send_stored(struct worker *w)
{
	if (ipc_send(&w->channel, w->store->scratch, IPC_STORED, &w->stored,
		-1) == IPC_AGAIN)
		wait_for_room(w, true);
	else
		w->stored.number = 0;
}

void
worker_tell_stored(
    struct worker *w, uint64_t number, enum ipc_stored_status status)
{
	w->stored = (struct ipc_stored){number, (uint8_t)status};
	send_stored(w);
}

/* One thing at a time: the next when there is room again. */
static void
on_room(struct worker *w)
{
	if (w->stored.number != 0)
		send_stored(w);
	else if (w->table_due)
		worker_table_send(w);
	else
		wait_for_room(w, false);
}

/* --- what a worker may say --------------------------------------------- */

/* 0, or the breach. */
typedef unsigned int worker_handler(
    struct worker *w, const union ipc_body *body);

/* Notes the token of an event's server, once in a batch; -1 when there is no
 * such server. */
static int
note_server(struct worker *w, struct writer *names, uint32_t id)
{
	struct server_name *name = known_server(w->store, id);
	const struct selftest *own = selftest_own_server(w->store);
	struct ipc_server_row row;

	if (name == NULL && own != NULL && own->server_id == id) {
		row = (struct ipc_server_row){id, {own->server, own->len}};
		(void)ipc_put(names, &ipc_server_row_record, &row);
		return 0;
	}
	if (name == NULL)
		return known_may_be(w->store, id) ? 0 : -1;
	if (name->noted_in == w->store->batches_taken)
		return 0;
	name->noted_in = w->store->batches_taken;
	row = (struct ipc_server_row){id, {name->token, name->len}};
	(void)ipc_put(names, &ipc_server_row_record, &row);
	return 0;
}

/* Who asks: when all are one private address, it is a proxy's. */
static void
note_client(struct store *s, const uint8_t ip[16])
{
	if (s->clients.n > 0 &&
	    memcmp(s->clients.ip, ip, sizeof(s->clients.ip)) == 0) {
		s->clients.n++;
		return;
	}
	memcpy(s->clients.ip, ip, sizeof(s->clients.ip));
	s->clients.n = 1;
}

/* Copies the rows, which lie in the receive buffer, as they are. */
static unsigned int
take_rows(struct worker *w, const struct ipc_list *rows)
{
	struct cursor c = cursor_of(rows->records);
	struct writer names = writer_of(w->names, BATCH_NAMES_SIZE);
	struct ipc_event event;
	uint32_t last_server = 0;

	w->store->batches_taken++;
	w->batch.newest_us = INT64_MIN;
	for (size_t i = 0; i < rows->count; i++) {
		ipc_next(&c, &ipc_event_record, &event);
		if ((event.flags & IPC_EVENT_ROW_WRITTEN) != 0)
			return IPC_BREACH_FORM;
		note_client(w->store, event.ip);
		if (event.at_us > w->batch.newest_us)
			w->batch.newest_us = event.at_us;
		if (event.server_id == last_server)
			continue;
		last_server = event.server_id;
		if (note_server(w, &names, last_server) != 0)
			return IPC_BREACH_FORM;
	}
	memcpy(w->bytes, rows->records.p, rows->records.len);
	w->batch.n_events = rows->count;
	w->batch.events = (struct span){w->bytes, rows->records.len};
	w->batch.servers = writer_span(&names);
	return 0;
}

static unsigned int
on_events(struct worker *w, const union ipc_body *body)
{
	const struct ipc_events *batch = &body->events;
	unsigned int breach;

	if (w->under_way)
		return IPC_BREACH_FLOOD;
	/* Over a fresh channel the store may have forgotten refused batches,
	 * never stored ones. */
	if (w->is_new ? batch->number < w->last_number
		      : batch->number != w->last_number + 1)
		return IPC_BREACH_ORDER;
	if (batch->number == w->last_number) {
		/* Committed before the store that took it ended. */
		w->is_new = false;
		worker_tell_stored(w, batch->number, IPC_STORED_YES);
		return 0;
	}
	breach = take_rows(w, &batch->rows);
	if (breach != 0)
		return breach;
	w->is_new = false;
	w->batch.number = batch->number;
	w->under_way = true;
	return 0;
}

static unsigned int
on_link(struct worker *w, const union ipc_body *body)
{
	lookup_link(w, &body->link);
	return 0;
}

static unsigned int
on_challenge(struct worker *w, const union ipc_body *body)
{
	return challenge_answer(w, &body->challenge);
}

static unsigned int
on_counters(struct worker *w, const union ipc_body *body)
{
	struct cursor c = cursor_of(body->counters.rows.records);
	struct ipc_counter_row row;

	for (size_t i = 0; i < body->counters.rows.count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		/* Totals only grow; less is nonsense. */
		if (row.value < w->counters[row.counter])
			return IPC_BREACH_ORDER;
		/* A worker that an earlier store knew counted most of it
		 * before. */
		if (!w->counted)
			rates_skip(&w->store->rates, (enum counter)row.counter,
			    row.value);
		w->counters[row.counter] = row.value;
	}
	w->counted = true;
	spool_count_worker(&w->store->spool, w->instance,
	    w->counters[COUNTER_EVENTS_LOST], w->counters[COUNTER_EVENTS_LATE]);
	return 0;
}

static const struct {
	enum ipc_type type;
	worker_handler *handle;
} handlers[] = {
    {IPC_EVENTS, on_events},
    {IPC_LINK, on_link},
    {IPC_COUNTERS, on_counters},
    {IPC_CHALLENGE, on_challenge},
};

static unsigned int
handle(struct worker *w, const struct ipc_received *in)
{
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++)
		if (handlers[i].type == in->message->type)
			return handlers[i].handle(w, &in->body);
	return IPC_BREACH_TYPE;
}

static void
on_channel(struct loop_watch *watch, uint32_t events)
{
	struct worker *w = (struct worker *)watch;
	struct store *s = w->store;
	struct ipc_received in;
	unsigned int breach;

	if ((events & EPOLLOUT) != 0)
		on_room(w);
	/* A handler may have parted from the worker. */
	for (int i = 0; i < MESSAGES_A_ROUND && w->channel.fd >= 0; i++) {
		switch (ipc_receive(&w->channel, s->buffer, &in)) {
		case IPC_AGAIN:
			return;
		case IPC_CLOSED:
			worker_end(w);
			return;
		case IPC_BREACH:
			part_from(w, in.message, in.breach);
			return;
		default:
			breach = handle(w, &in);
			if (breach == 0)
				break;
			part_from(w, in.message, breach);
			return;
		}
	}
}

void
workers_hear_out(struct store *s)
{
	for (size_t i = 0; i < WORKERS_MAX; i++)
		for (int n = 0;
		     n < LAST_ROUNDS && s->workers[i].channel.fd >= 0; n++)
			on_channel(&s->workers[i].watch, EPOLLIN);
}

void
worker_add(struct store *s, const struct ipc_channel_offer *o, int fd)
{
	struct worker *w = NULL;

	for (size_t i = 0; i < WORKERS_MAX && w == NULL; i++)
		if (s->workers[i].channel.fd < 0)
			w = &s->workers[i];
	if (w == NULL) {
		log_err("channel peer=web[%u]: too many workers", o->index);
		fd_close(&fd);
		return;
	}
	*w = (struct worker){.watch = {fd, on_channel},
	    .store = s,
	    .channel = {fd, IPC_STORE, IPC_WEB},
	    .index = o->index,
	    .instance = o->instance,
	    .is_new = true,
	    .batch = {.instance = o->instance},
	    .bytes = malloc(IPC_BATCH_BYTES_MAX),
	    .names = malloc(BATCH_NAMES_SIZE)};
	w->last_number = spool_worker(&s->spool, o->instance).number;
	if (w->bytes == NULL || w->names == NULL ||
	    loop_add(&s->loop, &w->watch, EPOLLIN) != 0) {
		log_err("channel peer=web[%u]: no memory", o->index);
		worker_end(w);
		return;
	}
	workers_send_servers(s, w);
}

void
workers_send_servers(struct store *s, struct worker *only)
{
	/* Without a table a worker answers 503, not 404. */
	if (!s->servers_known && s->settings.mode == IPC_MODE_MYSQL)
		return;
	for (size_t i = 0; i < WORKERS_MAX; i++) {
		struct worker *w = &s->workers[i];

		if (w->channel.fd < 0 || (only != NULL && only != w))
			continue;
		w->table_due = true;
		w->table_sent = 0;
		if (w->waits_for_room)
			continue;
		worker_table_send(w);
		wait_for_room(w, true);
	}
}

uint64_t
workers_counter(const struct store *s, enum counter c)
{
	uint64_t n = s->ended_counters[c];

	for (size_t i = 0; i < WORKERS_MAX; i++)
		n += s->workers[i].counters[c];
	return n;
}
