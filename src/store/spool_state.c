/*
 * spool_state.c - the state row of spool.db: node, counters, workers
 *
 * Runs in the store. What is counted stands in memory, with the open
 * transaction and as of the last commit; the row follows when something else
 * than a new batch changed it.
 */
#include "store/spool.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/array.h"

#define WORKER_BYTES 32
#define WORKERS_BYTES (SPOOL_WORKERS_MAX * WORKER_BYTES)

/* --- workers ----------------------------------------------------------- */

/* Its place in the list; n when it is not there. */
static size_t
place_of(const struct spool_workers *all, uint64_t instance)
{
	size_t i = 0;

	while (i < all->n && all->list[i].instance != instance)
		i++;
	return i;
}

static struct spool_worker *
have_worker(struct spool_workers *all, uint64_t instance)
{
	size_t i = place_of(all, instance);
	struct spool_worker *w;

	if (i < all->n)
		return &all->list[i];
	if (all->n == SPOOL_WORKERS_MAX) {
		/* The oldest: its worker has long ended without a word. */
		memmove(all->list, all->list + 1,
		    (SPOOL_WORKERS_MAX - 1) * sizeof(all->list[0]));
		all->n--;
	}
	w = &all->list[all->n++];
	*w = (struct spool_worker){.instance = instance};
	return w;
}

struct spool_worker
spool_worker(const struct spool *s, uint64_t instance)
{
	size_t i = place_of(&s->now_workers, instance);

	if (i < s->now_workers.n)
		return s->now_workers.list[i];
	return (struct spool_worker){.instance = instance};
}

void
spool_forget_worker(struct spool *s, uint64_t instance)
{
	size_t i = place_of(&s->now_workers, instance);

	if (i < s->now_workers.n)
		s->now_workers.list[i] =
		    s->now_workers.list[--s->now_workers.n];
}

/* The totals of lost and late are facts, as the counts are. */
static void
keep_totals(struct spool_workers *saved, const struct spool_workers *told)
{
	for (size_t i = 0; i < told->n; i++) {
		const struct spool_worker *from = &told->list[i];
		struct spool_worker *w;

		if (from->lost == 0 && from->late == 0)
			continue;
		w = have_worker(saved, from->instance);
		w->lost = from->lost;
		w->late = from->late;
	}
}

static void
copy_workers(struct spool_workers *to, const struct spool_workers *from)
{
	to->n = from->n;
	memcpy(to->list, from->list, from->n * sizeof(from->list[0]));
}

static void
load_workers(struct spool *s, struct span bytes)
{
	struct cursor c = cursor_of(bytes);
	struct spool_workers *all = &s->now_workers;

	all->n = 0;
	while (c.left >= WORKER_BYTES && all->n < SPOOL_WORKERS_MAX) {
		struct spool_worker *w = &all->list[all->n++];

		w->instance = cursor_u64(&c);
		w->number = cursor_u64(&c);
		w->lost = cursor_u64(&c);
		w->late = cursor_u64(&c);
	}
}

/* --- reading ----------------------------------------------------------- */

/* A random UUID, version 4. */
static int
make_node(uint8_t node[IPC_NODE_SIZE])
{
	if (getrandom(node, IPC_NODE_SIZE, 0) != IPC_NODE_SIZE)
		return -1;
	node[6] = (uint8_t)((node[6] & 0x0f) | 0x40);
	node[8] = (uint8_t)((node[8] & 0x3f) | 0x80);
	return 0;
}

static enum database_result
create_state(struct spool *s, struct err *e)
{
	uint8_t node[IPC_NODE_SIZE];
	sqlite3_stmt *stmt = NULL;
	enum database_result r;

	if (make_node(node) != 0) {
		(void)err_errno(e, "no random bytes for the node");
		return DATABASE_FAILED;
	}
	r = database_prepare(&s->db,
	    "INSERT INTO state VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
	    "x'')",
	    &stmt, e);
	if (r != DATABASE_OK)
		return r;
	(void)database_bind_blob(stmt, 1, (struct span){node, sizeof(node)});
	r = database_step(&s->db, stmt, "create", e);
	(void)sqlite3_finalize(stmt);
	return r;
}

/* 1: read, 0: there is no row yet, -1: failed. */
static int
read_state(struct spool *s, struct spool_counts *c)
{
	sqlite3_stmt *stmt = NULL;
	struct span node;
	int found = -1;

	if (sqlite3_prepare_v2(s->db.handle,
		"SELECT node, accepted, written, unmatched, duplicates,"
		" set_aside, expired, pending, lost, late, last_seq,"
		" workers, mode FROM state",
		-1, &stmt, NULL) != SQLITE_OK)
		return -1;
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		node = database_column(stmt, 0);
		if (node.len != sizeof(s->node))
			break;
		memcpy(s->node, node.p, sizeof(s->node));
		*c = (struct spool_counts){database_column_u64(stmt, 1),
		    database_column_u64(stmt, 2), database_column_u64(stmt, 3),
		    database_column_u64(stmt, 4), database_column_u64(stmt, 5),
		    database_column_u64(stmt, 6), database_column_u64(stmt, 7),
		    database_column_u64(stmt, 8), database_column_u64(stmt, 9),
		    database_column_u64(stmt, 10)};
		load_workers(s, database_column(stmt, 11));
		s->mode = (uint8_t)sqlite3_column_int(stmt, 12);
		found = 1;
		break;
	case SQLITE_DONE:
		found = 0;
		break;
	default:
		break;
	}
	(void)sqlite3_finalize(stmt);
	return found;
}

void
spool_count_batch(
    struct spool *s, uint64_t n_events, uint64_t instance, uint64_t number)
{
	s->now.last_seq += n_events;
	s->now.accepted += n_events;
	s->now.pending += n_events;
	if (instance != 0)
		have_worker(&s->now_workers, instance)->number = number;
}

/* Batches that were committed after the counters were saved last. Reads one
 * row of each end too: a file whose pages were overwritten is found now. */
static enum database_result
count_later_batches(struct spool *s, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	enum database_result r = database_prepare(&s->db,
	    "SELECT n, worker, number FROM batch WHERE first_seq > ?"
	    " ORDER BY first_seq",
	    &stmt, e);
	int got = SQLITE_DONE;

	if (r != DATABASE_OK)
		return r;
	(void)sqlite3_bind_int64(stmt, 1, (int64_t)s->now.last_seq);
	while ((got = sqlite3_step(stmt)) == SQLITE_ROW)
		spool_count_batch(s, database_column_u64(stmt, 0),
		    database_column_u64(stmt, 1), database_column_u64(stmt, 2));
	if (got != SQLITE_DONE)
		r = database_failure(&s->db, "read events", e);
	(void)sqlite3_finalize(stmt);
	if (r != DATABASE_OK)
		return r;
	return database_run(&s->db, "read events",
	    "SELECT * FROM batch ORDER BY first_seq LIMIT 1;"
	    "SELECT * FROM batch ORDER BY first_seq DESC LIMIT 1",
	    e);
}

/* Server ids of one mode name other servers in the other. */
static enum database_result
take_mode(struct spool *s, enum ipc_mode mode, struct err *e)
{
	if (s->mode != mode && s->mode != 0 &&
	    s->now.pending + s->now.set_aside > 0) {
		(void)err_set(e,
		    "it holds %" PRIu64 " events of [postal] mode = %s",
		    s->now.pending + s->now.set_aside,
		    s->mode == IPC_MODE_MYSQL ? "mysql" : "standalone");
		return DATABASE_OTHER_MODE;
	}
	s->state_changed = s->mode != mode;
	s->mode = (uint8_t)mode;
	return DATABASE_OK;
}

enum database_result
spool_load_state(struct spool *s, enum ipc_mode mode, struct err *e)
{
	struct spool_counts c = {0};
	/* What could not be written before the spool was closed. */
	uint64_t lost = s->now.lost - s->saved.lost;
	uint64_t late = s->now.late - s->saved.late;
	struct spool_workers told = s->now_workers;
	enum database_result r;
	int found = read_state(s, &c);

	if (found == 0) {
		r = create_state(s, e);
		if (r != DATABASE_OK)
			return r;
		found = read_state(s, &c);
	}
	if (found != 1)
		return database_failure(&s->db, "read state", e);
	s->now = c;
	s->state_seq = c.last_seq;
	r = count_later_batches(s, e);
	keep_totals(&s->now_workers, &told);
	s->saved = s->now;
	s->saved_workers = s->now_workers;
	s->start_seq = s->handed_seq = s->now.last_seq;
	s->now.accepted += lost;
	s->now.lost += lost;
	s->now.late += late;
	return r == DATABASE_OK ? take_mode(s, mode, e) : r;
}

/* --- writing ----------------------------------------------------------- */

bool
spool_has_unsaved_counts(const struct spool *s)
{
	return s->now.lost != s->saved.lost || s->now.late != s->saved.late;
}

void
spool_save_state(struct spool *s, bool anyway)
{
	if (anyway || s->now.last_seq != s->state_seq)
		s->state_changed = true;
}

static enum database_result
save_state(struct spool *s, struct err *e)
{
	const uint64_t values[] = {s->mode, s->now.accepted, s->now.written,
	    s->now.unmatched, s->now.duplicates, s->now.set_aside,
	    s->now.expired, s->now.pending, s->now.lost, s->now.late,
	    s->now.last_seq};
	sqlite3_stmt *stmt = s->statements[SPOOL_SAVE_STATE];
	uint8_t bytes[WORKERS_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)database_bind_blob(
	    stmt, 1, (struct span){s->node, sizeof(s->node)});
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		(void)sqlite3_bind_int64(stmt, (int)i + 2, (int64_t)values[i]);
	for (size_t i = 0; i < s->now_workers.n; i++) {
		writer_u64(&w, s->now_workers.list[i].instance);
		writer_u64(&w, s->now_workers.list[i].number);
		writer_u64(&w, s->now_workers.list[i].lost);
		writer_u64(&w, s->now_workers.list[i].late);
	}
	(void)database_bind_blob(
	    stmt, (int)ARRAY_LENGTH(values) + 2, writer_span(&w));
	return database_step(&s->db, stmt, "spool.db", e);
}

/* Whether the row has to go with the commit. */
static bool
is_due(const struct spool *s)
{
	return s->state_changed || spool_has_unsaved_counts(s);
}

enum database_result
spool_put_state(struct spool *s, struct err *e)
{
	return is_due(s) ? save_state(s, e) : DATABASE_OK;
}

void
spool_state_committed(struct spool *s)
{
	if (is_due(s))
		s->state_seq = s->now.last_seq;
	s->state_changed = false;
	s->saved = s->now;
	copy_workers(&s->saved_workers, &s->now_workers);
}

void
spool_state_rolled_back(struct spool *s)
{
	/* Lost and late are facts, whatever becomes of the transaction. */
	uint64_t lost = s->now.lost - s->saved.lost;
	uint64_t late = s->now.late - s->saved.late;

	s->now = s->saved;
	s->now.accepted += lost;
	s->now.lost += lost;
	s->now.late += late;
	keep_totals(&s->saved_workers, &s->now_workers);
	copy_workers(&s->now_workers, &s->saved_workers);
}

/* --- counting ---------------------------------------------------------- */

void
spool_count_lost(struct spool *s, uint64_t n)
{
	s->now.accepted += n;
	s->now.lost += n;
}

void
spool_count_worker(
    struct spool *s, uint64_t instance, uint64_t lost, uint64_t late)
{
	struct spool_worker known = spool_worker(s, instance);
	struct spool_worker *w;

	if (lost <= known.lost && late <= known.late)
		return;
	w = have_worker(&s->now_workers, instance);
	spool_count_lost(s, lost - w->lost);
	s->now.late += late - w->late;
	w->lost = lost;
	w->late = late;
}

enum database_result
spool_new_node(struct spool *s, struct err *e)
{
	if (make_node(s->node) != 0) {
		(void)err_errno(e, "no random bytes for the node");
		return DATABASE_FAILED;
	}
	s->state_changed = true;
	return DATABASE_OK;
}
