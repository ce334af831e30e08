/*
 * drain.c - events on their way to Postal: handed out, settled, set aside
 *
 * Runs in the store. Only committed events are handed out, and what the
 * forwarder says of them is on stable storage before the answer leaves.
 */
#include "store/internal.h"

#include <string.h>

#include "base/clock.h"

/* Events that become due again with one RETRY at most. */
#define RETRY_EVENTS 500
/* Room for a message's own fields in front of its rows. */
#define ROWS_SIZE (IPC_RECORD_MAX - 16)

/* --- the spool --------------------------------------------------------- */

bool
drain_have_spool(struct store *s)
{
	keep_commit(s);
	if (spool_is_open(&s->spool))
		return true;
	forwarder_refuse(s, s->reason);
	return false;
}

/* Nothing half done; a damaged spool is put aside, which ends the channel. */
static void
spool_failed(struct store *s, enum database_result r, const struct err *e)
{
	char reason[256];

	spool_rollback(&s->spool);
	keep_describe(s, e, reason, sizeof(reason));
	forwarder_refuse(s, reason);
	if (r == DATABASE_DAMAGED)
		keep_replace_spool(s, e);
}

void
drain_welcome(struct store *s)
{
	struct ipc_welcome body = {
	    .start_seq = s->spool.start_seq, .last_seq = s->spool.handed_seq};

	memcpy(body.node, s->spool.node, sizeof(body.node));
	forwarder_answer(s, IPC_WELCOME, &body);
}

struct due {
	struct writer rows;
	uint16_t count;
	uint64_t last_seq;
};

static bool
put_due(void *owner, const struct spool_row *row)
{
	struct ipc_due_row out = {row->seq, row->event};
	struct due *due = owner;

	if (ipc_put(&due->rows, &ipc_due_row_record, &out) != 0)
		return false;
	due->count++;
	due->last_seq = row->seq;
	return true;
}

/* Answers with what is due; false: nothing is, and nothing was said. */
static bool
send_due(struct store *s, const struct ipc_due_get *get, bool may_be_empty)
{
	struct due due = {writer_of(s->page, ROWS_SIZE), 0, 0};
	struct ipc_due body;
	enum database_result r;
	struct err e = {0};

	r = spool_page(&s->spool, get->after_seq, get->most, put_due, &due, &e);
	if (r != DATABASE_OK) {
		spool_failed(s, r, &e);
		return true;
	}
	if (due.count == 0 && !may_be_empty)
		return false;
	if (due.last_seq > s->spool.handed_seq)
		s->spool.handed_seq = due.last_seq;
	body.rows = (struct ipc_list){due.count, writer_span(&due.rows)};
	forwarder_answer(s, IPC_DUE, &body);
	return true;
}

unsigned int
drain_due_get(struct store *s, const union ipc_body *body)
{
	struct forwarder *f = &s->forwarder;

	/* The last question counts; one that waited gets no answer. */
	f->waits = false;
	if (!drain_have_spool(s))
		return 0;
	f->waits_for = body->due_get;
	f->waits = !send_due(s, &f->waits_for, body->due_get.wait == 0);
	return 0;
}

void
drain_committed(struct store *s)
{
	struct forwarder *f = &s->forwarder;

	if (!forwarder_is_connected(s) || !f->waits ||
	    !spool_is_open(&s->spool) || s->spool.in_transaction)
		return;
	if (send_due(s, &f->waits_for, false))
		f->waits = false;
}

/* Only events that there are, or were. */
static unsigned int
check_settle(const struct store *s, const struct ipc_settle *settle)
{
	struct cursor c = cursor_of(settle->rows.records);
	uint64_t last = s->spool.now.last_seq;
	struct ipc_settle_row row;

	for (size_t i = 0; i < settle->rows.count; i++) {
		ipc_next(&c, &ipc_settle_row_record, &row);
		if (row.seq > last || row.n > last - row.seq + 1)
			return IPC_BREACH_FORM;
	}
	return 0;
}

static enum database_result
settle_rows(struct store *s, const struct ipc_settle *settle, struct err *e)
{
	struct spool_aside aside = {.reason = settle->reason,
	    .retry = settle->retry != IPC_RETRY_NEVER,
	    .row_written = settle->retry == IPC_RETRY_HOOKS,
	    .at_us = clock_wall_us()};
	struct cursor c = cursor_of(settle->rows.records);
	struct ipc_settle_row row;
	enum database_result r = spool_begin(&s->spool, e);

	if (aside.reason.len == 0)
		aside.reason = span_of("");
	for (size_t i = 0; r == DATABASE_OK && i < settle->rows.count; i++) {
		ipc_next(&c, &ipc_settle_row_record, &row);
		r = spool_settle(&s->spool, row.seq, row.n,
		    (enum ipc_outcome)settle->outcome, &aside, e);
	}
	if (r == DATABASE_OK)
		r = spool_commit(&s->spool, e);
	return r;
}

unsigned int
drain_settle(struct store *s, const union ipc_body *body)
{
	enum database_result r;
	unsigned int breach;
	struct err e = {0};

	if (!drain_have_spool(s))
		return 0;
	breach = check_settle(s, &body->settle);
	if (breach != 0)
		return breach;
	r = settle_rows(s, &body->settle, &e);
	if (r == DATABASE_OK)
		selftest_settled(s, &body->settle);
	if (r == DATABASE_OK)
		forwarder_done(s, body->settle.rows.count);
	else
		spool_failed(s, r, &e);
	return 0;
}

/* --- set aside --------------------------------------------------------- */

struct asides {
	struct writer rows;
	struct ipc_list *list;
};

static void
put_aside_sum(void *owner, const struct spool_aside_sum *sum)
{
	struct asides *a = owner;
	struct ipc_aside_row row = {
	    sum->server_id, sum->n, sum->retry, sum->reason};

	if (row.reason.len > IPC_REASON_MAX)
		row.reason.len = IPC_REASON_MAX;
	if (ipc_put(&a->rows, &ipc_aside_row_record, &row) == 0)
		a->list->count++;
}

enum database_result
drain_list_asides(
    struct store *s, uint16_t most, struct ipc_list *list, struct err *e)
{
	struct asides a = {writer_of(s->page, ROWS_SIZE), list};
	enum database_result r;

	*list = (struct ipc_list){0, {NULL, 0}};
	r = spool_aside_sums(&s->spool, most, put_aside_sum, &a, e);
	list->records = writer_span(&a.rows);
	return r;
}

/* False: the rest is of the next page. */
static bool
put_aside_server(void *owner, uint32_t server_id)
{
	struct ipc_aside_server_row row = {server_id};
	struct asides *a = owner;

	if (ipc_put(&a->rows, &ipc_aside_server_row_record, &row) != 0)
		return false;
	a->list->count++;
	return true;
}

unsigned int
drain_aside_get(struct store *s, const union ipc_body *body)
{
	struct ipc_aside out = {{0, {NULL, 0}}};
	struct asides a = {writer_of(s->page, ROWS_SIZE), &out.rows};
	enum database_result r;
	struct err e = {0};

	if (!drain_have_spool(s))
		return 0;
	r = spool_aside_servers(
	    &s->spool, body->aside_get.after_server, put_aside_server, &a, &e);
	out.rows.records = writer_span(&a.rows);
	if (r == DATABASE_OK)
		forwarder_answer(s, IPC_ASIDE, &out);
	else
		spool_failed(s, r, &e);
	return 0;
}

unsigned int
drain_retry(struct store *s, const union ipc_body *body)
{
	enum database_result r;
	unsigned int most = body->retry.most;
	struct err e = {0};
	uint64_t n = 0;

	if (!drain_have_spool(s))
		return 0;
	if (most > RETRY_EVENTS)
		most = RETRY_EVENTS;
	r = spool_begin(&s->spool, &e);
	if (r == DATABASE_OK)
		r = spool_retry(&s->spool, body->retry.server_id, most, &n, &e);
	if (r == DATABASE_OK)
		r = spool_commit(&s->spool, &e);
	if (r != DATABASE_OK) {
		spool_failed(s, r, &e);
		return 0;
	}
	forwarder_done(s, n);
	if (n > 0)
		drain_committed(s);
	return 0;
}

unsigned int
drain_new_node(struct store *s, const union ipc_body *body)
{
	uint8_t node[IPC_NODE_SIZE];
	enum database_result r;
	struct err e = {0};

	(void)body;
	if (!drain_have_spool(s))
		return 0;
	memcpy(node, s->spool.node, sizeof(node));
	r = spool_begin(&s->spool, &e);
	if (r == DATABASE_OK)
		r = spool_new_node(&s->spool, &e);
	if (r == DATABASE_OK)
		r = spool_commit(&s->spool, &e);
	if (r == DATABASE_OK) {
		log_notice("the spool has a new node: the ledger knew more of "
			   "the old one");
		drain_welcome(s);
		return 0;
	}
	memcpy(s->spool.node, node, sizeof(node));
	spool_failed(s, r, &e);
	return 0;
}
