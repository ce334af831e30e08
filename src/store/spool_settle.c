/*
 * spool_settle.c - the end of events: written, set aside, expired
 *
 * Runs in the store, inside a transaction of the caller. A batch whose last
 * event is settled is deleted; before that, a bitmap beside it says which of
 * its events are.
 */
#include "store/spool.h"

#include <string.h>

/* Bytes of the longest event. */
#define EVENT_MAX (IPC_TOKEN_MAX + IPC_USER_AGENT_MAX + 64)
/* Bits of the largest batch that a row can say. */
#define BITS_BYTES ((UINT16_MAX + 7) / 8)

static enum database_result
run_with(
    struct spool *s, enum spool_statement which, uint64_t value, struct err *e)
{
	sqlite3_stmt *stmt = s->statements[which];

	(void)sqlite3_bind_int64(stmt, 1, (int64_t)value);
	return database_step(&s->db, stmt, "settle events", e);
}

/* --- one batch --------------------------------------------------------- */

struct settling {
	uint64_t first_seq, n;
	struct span servers, events; /* borrow the statement's row */
	uint8_t bits[BITS_BYTES];
	uint64_t n_settled;
};

static bool
has_bit(const uint8_t *bits, uint64_t i)
{
	return (bits[i / 8] >> (i % 8) & 1) != 0;
}

/* The batch that holds seq; *there is false when it is gone. The statement
 * SPOOL_BATCH_OF has to be reset by the caller. */
static enum database_result
find_batch(struct spool *s, uint64_t seq, struct settling *b, bool *there,
    struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_BATCH_OF];
	sqlite3_stmt *bits = s->statements[SPOOL_BITS];
	int got;

	(void)sqlite3_bind_int64(stmt, 1, (int64_t)seq);
	got = sqlite3_step(stmt);
	*there = false;
	if (got == SQLITE_DONE)
		return DATABASE_OK;
	if (got != SQLITE_ROW)
		return database_failure(&s->db, "settle events", e);
	b->first_seq = database_column_u64(stmt, 0);
	b->n = database_column_u64(stmt, 1);
	b->servers = database_column(stmt, 2);
	b->events = database_column(stmt, 3);
	if (seq - b->first_seq >= b->n || b->n > UINT16_MAX)
		return DATABASE_OK;
	*there = true;
	memset(b->bits, 0, (b->n + 7) / 8);
	(void)sqlite3_bind_int64(bits, 1, (int64_t)b->first_seq);
	got = sqlite3_step(bits);
	if (got == SQLITE_ROW) {
		struct span there_bits = database_column(bits, 0);

		if (there_bits.len == (b->n + 7) / 8)
			memcpy(b->bits, there_bits.p, there_bits.len);
	}
	(void)sqlite3_reset(bits);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return database_failure(&s->db, "settle events", e);
	b->n_settled = 0;
	for (uint64_t i = 0; i < b->n; i++)
		b->n_settled += has_bit(b->bits, i);
	return DATABASE_OK;
}

/* The events from seq on that no batch has any more, at most n. */
static enum database_result
count_missing(
    struct spool *s, uint64_t seq, uint64_t n, uint64_t *missing, struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_NEXT_BATCH];
	int got;

	(void)sqlite3_bind_int64(stmt, 1, (int64_t)seq);
	got = sqlite3_step(stmt);
	*missing = n;
	if (got == SQLITE_ROW && database_column_u64(stmt, 0) - seq < n)
		*missing = database_column_u64(stmt, 0) - seq;
	(void)sqlite3_reset(stmt);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return database_failure(&s->db, "settle events", e);
	return DATABASE_OK;
}

static enum database_result
save_batch(struct spool *s, const struct settling *b, struct err *e)
{
	sqlite3_stmt *bits = s->statements[SPOOL_SET_BITS];
	enum database_result r;

	if (b->n_settled < b->n) {
		(void)sqlite3_bind_int64(bits, 1, (int64_t)b->first_seq);
		(void)database_bind_blob(
		    bits, 2, (struct span){b->bits, (b->n + 7) / 8});
		return database_step(&s->db, bits, "settle events", e);
	}
	r = run_with(s, SPOOL_DELETE_BATCH, b->first_seq, e);
	if (r == DATABASE_OK)
		r = run_with(s, SPOOL_DELETE_BITS, b->first_seq, e);
	return r;
}

/* --- set aside --------------------------------------------------------- */

/* The i-th event of the batch; its bytes into *bytes. -1: damaged. */
static int
event_at(const struct settling *b, uint64_t index, struct ipc_event *event,
    struct span *bytes)
{
	struct cursor c = cursor_of(b->events);

	for (uint64_t i = 0; i <= index; i++) {
		bytes->p = c.p;
		ipc_next(&c, &ipc_event_record, event);
	}
	bytes->len = (size_t)(c.p - bytes->p);
	return c.bad ? -1 : 0;
}

/* The event once more, with the note that its row is written. */
static struct span
note_row_written(const struct ipc_event *event, uint8_t copy[EVENT_MAX])
{
	struct ipc_event noted = *event;
	struct writer w = writer_of(copy, EVENT_MAX);

	noted.flags |= IPC_EVENT_ROW_WRITTEN;
	/* As long as it was, and that was a part of a batch. */
	(void)ipc_put(&w, &ipc_event_record, &noted);
	return writer_span(&w);
}

static enum database_result
put_aside(struct spool *s, const struct settling *b, uint64_t index,
    const struct spool_aside *aside, struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_PUT_ASIDE];
	uint8_t copy[EVENT_MAX];
	struct ipc_event event;
	struct span bytes;

	if (event_at(b, index, &event, &bytes) != 0) {
		(void)err_set(e, "settle events: a batch is damaged");
		return DATABASE_DAMAGED;
	}
	if (aside->row_written)
		bytes = note_row_written(&event, copy);
	(void)sqlite3_bind_int64(stmt, 1, (int64_t)(b->first_seq + index));
	(void)sqlite3_bind_int64(stmt, 2, event.server_id);
	(void)sqlite3_bind_int64(stmt, 3, aside->at_us);
	(void)sqlite3_bind_int(stmt, 4, aside->retry);
	(void)database_bind_text(stmt, 5, aside->reason);
	(void)database_bind_text(
	    stmt, 6, spool_server_of(b->servers, event.server_id));
	(void)database_bind_blob(stmt, 7, bytes);
	return database_step(&s->db, stmt, "set events aside", e);
}

/* --- settling ---------------------------------------------------------- */

static void
count_outcome(struct spool *s, enum ipc_outcome outcome)
{
	s->now.pending--;
	if (outcome == IPC_OUTCOME_WRITTEN)
		s->now.written++;
	else if (outcome == IPC_OUTCOME_UNMATCHED)
		s->now.unmatched++;
	else if (outcome == IPC_OUTCOME_DUPLICATE)
		s->now.duplicates++;
	else
		s->now.set_aside++;
}

static enum database_result
settle_in_batch(struct spool *s, struct settling *b, uint64_t from, uint64_t n,
    enum ipc_outcome outcome, const struct spool_aside *aside, struct err *e)
{
	enum database_result r = DATABASE_OK;

	for (uint64_t i = from; r == DATABASE_OK && i < from + n; i++) {
		if (has_bit(b->bits, i))
			continue;
		if (outcome == IPC_OUTCOME_ASIDE)
			r = put_aside(s, b, i, aside, e);
		if (r != DATABASE_OK)
			break;
		b->bits[i / 8] |= (uint8_t)(1 << (i % 8));
		b->n_settled++;
		count_outcome(s, outcome);
	}
	return r;
}

enum database_result
spool_settle(struct spool *s, uint64_t seq, uint64_t n,
    enum ipc_outcome outcome, const struct spool_aside *aside, struct err *e)
{
	enum database_result r = DATABASE_OK;
	struct settling b;
	bool there = false;

	/* Its bits are many, and set when a batch is found. */
	b.first_seq = b.n = b.n_settled = 0;
	while (r == DATABASE_OK && n > 0) {
		uint64_t here = 0;

		r = find_batch(s, seq, &b, &there, e);
		if (r == DATABASE_OK && there) {
			here = b.first_seq + b.n - seq;
			if (here > n)
				here = n;
			r = settle_in_batch(
			    s, &b, seq - b.first_seq, here, outcome, aside, e);
		} else if (r == DATABASE_OK) {
			r = count_missing(s, seq, n, &here, e);
		}
		(void)sqlite3_reset(s->statements[SPOOL_BATCH_OF]);
		if (r == DATABASE_OK && there)
			r = save_batch(s, &b, e);
		seq += here;
		n -= here;
	}
	s->state_changed = true;
	return r;
}

/* --- retry ------------------------------------------------------------- */

static enum database_result
requeue(struct spool *s, uint64_t seq, uint32_t server_id, struct span server,
    struct span bytes, struct err *e)
{
	uint8_t name[IPC_TOKEN_MAX + 8];
	struct writer w = writer_of(name, sizeof(name));
	struct ipc_server_row row = {server_id, server};
	struct spool_batch batch = {.n_events = 1, .events = bytes};
	struct cursor c = cursor_of(bytes);
	struct ipc_event event;
	enum database_result r;

	ipc_next(&c, &ipc_event_record, &event);
	if (cursor_end(&c) != 0) {
		(void)err_set(e, "retry events: one is damaged");
		return DATABASE_DAMAGED;
	}
	if (server.len > 0)
		(void)ipc_put(&w, &ipc_server_row_record, &row);
	batch.newest_us = event.at_us;
	batch.servers = w.len > 0 ? writer_span(&w) : span_of("");
	r = spool_put(s, &batch, e);
	if (r == DATABASE_OK)
		r = run_with(s, SPOOL_DELETE_ASIDE, seq, e);
	if (r != DATABASE_OK)
		return r;
	/* spool_put took it for a new one. */
	s->now.accepted--;
	s->now.set_aside--;
	return DATABASE_OK;
}

enum database_result
spool_retry(struct spool *s, uint32_t server_id, unsigned int most, uint64_t *n,
    struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_ASIDE_OF];
	enum database_result r = DATABASE_OK;
	int got = SQLITE_DONE;

	(void)sqlite3_bind_int64(stmt, 1, server_id);
	(void)sqlite3_bind_int64(stmt, 2, most);
	while (r == DATABASE_OK && (got = sqlite3_step(stmt)) == SQLITE_ROW) {
		r = requeue(s, database_column_u64(stmt, 0), server_id,
		    database_column(stmt, 1), database_column(stmt, 2), e);
		*n += r == DATABASE_OK;
	}
	if (r == DATABASE_OK && got != SQLITE_DONE)
		r = database_failure(&s->db, "retry events", e);
	(void)sqlite3_reset(stmt);
	s->state_changed = true;
	return r;
}

enum database_result
spool_aside_servers(struct spool *s, uint32_t after,
    bool (*visit)(void *owner, uint32_t server_id), void *owner, struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_ASIDE_SERVERS];
	enum database_result r = DATABASE_OK;
	int got;

	(void)sqlite3_bind_int64(stmt, 1, after);
	while ((got = sqlite3_step(stmt)) == SQLITE_ROW)
		if (!visit(owner, (uint32_t)database_column_u64(stmt, 0)))
			break;
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		r = database_failure(&s->db, "read what is set aside", e);
	(void)sqlite3_reset(stmt);
	return r;
}

enum database_result
spool_aside_sums(struct spool *s, unsigned int most,
    void (*visit)(void *owner, const struct spool_aside_sum *sum), void *owner,
    struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_ASIDE_SUMS];
	enum database_result r = DATABASE_OK;
	int got;

	(void)sqlite3_bind_int64(stmt, 1, most);
	while ((got = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct spool_aside_sum sum = {
		    .server_id = (uint32_t)database_column_u64(stmt, 0),
		    .n = database_column_u64(stmt, 1),
		    .retry = sqlite3_column_int(stmt, 2) != 0,
		    .reason = database_column(stmt, 3)};

		visit(owner, &sum);
	}
	if (got != SQLITE_DONE)
		r = database_failure(&s->db, "read what is set aside", e);
	(void)sqlite3_reset(stmt);
	return r;
}

/* --- expiry ------------------------------------------------------------ */

/* A part of the batches, in their order. */
struct expiry {
	int64_t before_us;
	unsigned int most;
	unsigned int seen, expired;
	uint64_t last_seq; /* of those that were seen */
	uint64_t n_events; /* that expired */
};

/* Of the n events of a batch, by its bits. */
static uint64_t
count_unsettled(uint64_t n, struct span bits)
{
	uint64_t unsettled = n;

	for (uint64_t i = 0; i < n && i / 8 < bits.len; i++)
		unsettled -= has_bit(bits.p, i);
	return unsettled;
}

/* n: its events that are not settled. */
static enum database_result
expire_batch(struct spool *s, uint64_t first_seq, uint64_t n, struct expiry *x,
    struct err *e)
{
	enum database_result r = run_with(s, SPOOL_DELETE_BATCH, first_seq, e);

	if (r == DATABASE_OK)
		r = run_with(s, SPOOL_DELETE_BITS, first_seq, e);
	if (r != DATABASE_OK)
		return r;
	s->now.pending -= n;
	s->now.expired += n;
	s->state_changed = true;
	x->n_events += n;
	x->expired++;
	return DATABASE_OK;
}

static enum database_result
expire_after(struct spool *s, uint64_t seq, struct expiry *x, struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_EXPIRED];
	enum database_result r = DATABASE_OK;
	int got = SQLITE_DONE;

	x->seen = 0;
	(void)sqlite3_bind_int64(stmt, 1, (int64_t)seq);
	(void)sqlite3_bind_int64(stmt, 2, x->most);
	while (r == DATABASE_OK && (got = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint64_t n = count_unsettled(
		    database_column_u64(stmt, 1), database_column(stmt, 3));

		x->seen++;
		x->last_seq = database_column_u64(stmt, 0);
		if (sqlite3_column_int64(stmt, 2) < x->before_us)
			r = expire_batch(s, x->last_seq, n, x, e);
	}
	if (r == DATABASE_OK && got != SQLITE_DONE)
		r = database_failure(&s->db, "expire events", e);
	(void)sqlite3_reset(stmt);
	return r;
}

enum database_result
spool_expire(struct spool *s, int64_t before_us, unsigned int most, uint64_t *n,
    bool *more, struct err *e)
{
	struct expiry x = {.before_us = before_us, .most = most};
	enum database_result r = expire_after(s, 0, &x, e);

	if (r == DATABASE_OK && x.expired == 0 && x.seen == most) {
		if (s->expire_after < x.last_seq)
			s->expire_after = x.last_seq;
		r = expire_after(s, s->expire_after, &x, e);
		s->expire_after = x.seen == most ? x.last_seq : 0;
	}
	*more = x.expired > 0 && x.seen == most;
	*n += x.n_events;
	return r;
}
