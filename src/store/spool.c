/*
 * spool.c - spool.db: events until they are delivered or expire
 *
 * Runs in the store. Reading is in spool_read.c, what ends events in
 * spool_settle.c.
 */
#include "store/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/array.h"
#include "base/clock.h"

#define PAGE_SIZE 4096
#define WORKER_BYTES 32
#define WORKERS_BYTES (SPOOL_WORKERS_MAX * WORKER_BYTES)

static const struct database_schema schema = {
    .name = "spool.db",
    .version = 3,
    .synchronous = "FULL",
    .create = "CREATE TABLE batch ("
	      " first_seq INTEGER PRIMARY KEY, n INTEGER NOT NULL,"
	      " newest_us INTEGER NOT NULL, worker INTEGER NOT NULL,"
	      " number INTEGER NOT NULL, servers BLOB NOT NULL,"
	      " events BLOB NOT NULL);"
	      "CREATE TABLE settled ("
	      " first_seq INTEGER PRIMARY KEY, bits BLOB NOT NULL);"
	      "CREATE TABLE aside ("
	      " seq INTEGER PRIMARY KEY, server_id INTEGER NOT NULL,"
	      " at_us INTEGER NOT NULL, retry INTEGER NOT NULL,"
	      " reason TEXT NOT NULL, server TEXT NOT NULL,"
	      " event BLOB NOT NULL);"
	      "CREATE INDEX aside_server ON aside (server_id, retry, seq);"
	      "CREATE TABLE state ("
	      " id INTEGER PRIMARY KEY CHECK (id = 1), node BLOB NOT NULL,"
	      " mode INTEGER NOT NULL,"
	      " accepted INTEGER NOT NULL, written INTEGER NOT NULL,"
	      " unmatched INTEGER NOT NULL, duplicates INTEGER NOT NULL,"
	      " set_aside INTEGER NOT NULL, expired INTEGER NOT NULL,"
	      " pending INTEGER NOT NULL, lost INTEGER NOT NULL,"
	      " late INTEGER NOT NULL, last_seq INTEGER NOT NULL,"
	      " workers BLOB NOT NULL);",
};

static const char *const texts[SPOOL_STATEMENTS] = {
    [SPOOL_BEGIN] = "BEGIN IMMEDIATE",
    [SPOOL_COMMIT] = "COMMIT",
    [SPOOL_ROLLBACK] = "ROLLBACK",
    [SPOOL_PUT] = "INSERT INTO batch (first_seq, n, newest_us, worker, number,"
		  " servers, events) VALUES (?, ?, ?, ?, ?, ?, ?)",
    [SPOOL_SAVE_STATE] =
	"UPDATE state SET node = ?, mode = ?, accepted = ?, written = ?,"
	" unmatched = ?, duplicates = ?, set_aside = ?, expired = ?,"
	" pending = ?, lost = ?, late = ?, last_seq = ?, workers = ?"
	" WHERE id = 1",
    /* From the batch on that may hold the sequence number. */
    [SPOOL_PAGE] =
	"SELECT batch.first_seq, n, servers, events, bits FROM batch"
	" LEFT JOIN settled USING (first_seq)"
	" WHERE batch.first_seq >= ifnull((SELECT first_seq FROM batch"
	" WHERE first_seq <= ?1 ORDER BY first_seq DESC LIMIT 1), 0)"
	" ORDER BY batch.first_seq",
    [SPOOL_EXPIRED] = "SELECT first_seq, n, newest_us FROM batch"
		      " ORDER BY first_seq LIMIT ?",
    [SPOOL_BATCH_OF] = "SELECT first_seq, n, servers, events FROM batch"
		       " WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1",
    [SPOOL_NEXT_BATCH] = "SELECT first_seq FROM batch WHERE first_seq > ?"
			 " ORDER BY first_seq LIMIT 1",
    [SPOOL_DELETE_BATCH] = "DELETE FROM batch WHERE first_seq = ?",
    [SPOOL_BITS] = "SELECT bits FROM settled WHERE first_seq = ?",
    [SPOOL_SET_BITS] =
	"INSERT OR REPLACE INTO settled (first_seq, bits) VALUES (?, ?)",
    [SPOOL_DELETE_BITS] = "DELETE FROM settled WHERE first_seq = ?",
    [SPOOL_PUT_ASIDE] =
	"INSERT INTO aside (seq, server_id, at_us, retry, reason, server,"
	" event) VALUES (?, ?, ?, ?, ?, ?, ?)",
    [SPOOL_ASIDE_OF] = "SELECT seq, server, event FROM aside"
		       " WHERE server_id = ? AND retry = 1 ORDER BY seq"
		       " LIMIT ?",
    [SPOOL_DELETE_ASIDE] = "DELETE FROM aside WHERE seq = ?",
    [SPOOL_ASIDE_SUMS] = "SELECT server_id, count(*), retry, reason FROM aside"
			 " GROUP BY server_id, retry, reason LIMIT 1000",
};

static enum database_result
step(struct spool *s, enum spool_statement which, struct err *e)
{
	return database_step(&s->db, s->statements[which], "spool.db", e);
}

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

static uint64_t
column_u64(sqlite3_stmt *stmt, int i)
{
	return (uint64_t)sqlite3_column_int64(stmt, i);
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
		*c = (struct spool_counts){column_u64(stmt, 1),
		    column_u64(stmt, 2), column_u64(stmt, 3),
		    column_u64(stmt, 4), column_u64(stmt, 5),
		    column_u64(stmt, 6), column_u64(stmt, 7),
		    column_u64(stmt, 8), column_u64(stmt, 9),
		    column_u64(stmt, 10)};
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

/* What a batch changes beside its row. */
static void
count_batch(
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
		count_batch(s, column_u64(stmt, 0), column_u64(stmt, 1),
		    column_u64(stmt, 2));
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

static enum database_result
load_state(struct spool *s, struct err *e)
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
	s->start_seq = s->now.last_seq;
	s->now.accepted += lost;
	s->now.lost += lost;
	s->now.late += late;
	return r;
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
spool_open(struct spool *s, enum ipc_mode mode, struct err *e)
{
	enum database_result r = database_open(&s->db, &schema, false, e);

	if (r == DATABASE_OK)
		r = load_state(s, e);
	if (r == DATABASE_OK)
		r = take_mode(s, mode, e);
	for (size_t i = 0; r == DATABASE_OK && i < SPOOL_STATEMENTS; i++)
		r = database_prepare(&s->db, texts[i], &s->statements[i], e);
	if (r != DATABASE_OK)
		spool_close(s);
	return r;
}

bool
spool_is_open(const struct spool *s)
{
	return s->db.handle != NULL;
}

void
spool_close(struct spool *s)
{
	if (s->in_transaction)
		spool_rollback(s);
	for (size_t i = 0; i < SPOOL_STATEMENTS; i++) {
		(void)sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
	database_close(&s->db);
}

/* --- size -------------------------------------------------------------- */

static uint64_t
pages(const struct spool *s, const char *pragma)
{
	sqlite3_stmt *stmt = NULL;
	uint64_t n = 0;

	if (s->db.handle == NULL)
		return 0;
	if (sqlite3_prepare_v2(s->db.handle, pragma, -1, &stmt, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		n = column_u64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return n;
}

void
spool_set_max_size(struct spool *s, uint64_t bytes)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %" PRIu64,
	    bytes / PAGE_SIZE);
	(void)pages(s, sql);
}

uint64_t
spool_size(const struct spool *s)
{
	return (pages(s, "PRAGMA page_count") -
		   pages(s, "PRAGMA freelist_count")) *
	       PAGE_SIZE;
}

bool
spool_is_at_max_size(const struct spool *s)
{
	return pages(s, "PRAGMA page_count") >=
		   pages(s, "PRAGMA max_page_count") &&
	       pages(s, "PRAGMA freelist_count") < 4;
}

/* --- transactions ------------------------------------------------------ */

enum database_result
spool_begin(struct spool *s, struct err *e)
{
	enum database_result r;

	if (s->in_transaction)
		return DATABASE_OK;
	r = step(s, SPOOL_BEGIN, e);
	s->in_transaction = r == DATABASE_OK;
	return r;
}

enum database_result
spool_put(struct spool *s, const struct spool_batch *b, struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_PUT];
	enum database_result r;

	(void)sqlite3_bind_int64(stmt, 1, (int64_t)s->now.last_seq + 1);
	(void)sqlite3_bind_int(stmt, 2, b->n_events);
	(void)sqlite3_bind_int64(stmt, 3, b->newest_us);
	(void)sqlite3_bind_int64(stmt, 4, (int64_t)b->instance);
	(void)sqlite3_bind_int64(stmt, 5, (int64_t)b->number);
	(void)database_bind_blob(stmt, 6, b->servers);
	(void)database_bind_blob(stmt, 7, b->events);
	r = step(s, SPOOL_PUT, e);
	if (r == DATABASE_OK)
		count_batch(s, b->n_events, b->instance, b->number);
	return r;
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
	return step(s, SPOOL_SAVE_STATE, e);
}

static void
copy_workers(struct spool_workers *to, const struct spool_workers *from)
{
	to->n = from->n;
	memcpy(to->list, from->list, from->n * sizeof(from->list[0]));
}

enum database_result
spool_commit(struct spool *s, struct err *e)
{
	enum database_result r = DATABASE_OK;
	bool save = s->state_changed || spool_has_unsaved_counts(s);
	uint64_t begun_us = clock_mono_us();

	if (save)
		r = save_state(s, e);
	if (r == DATABASE_OK)
		r = step(s, SPOOL_COMMIT, e);
	if (r != DATABASE_OK)
		return r;
	latency_count(&s->commits, clock_mono_us() - begun_us);
	s->in_transaction = false;
	s->state_changed = false;
	if (save)
		s->state_seq = s->now.last_seq;
	s->saved = s->now;
	copy_workers(&s->saved_workers, &s->now_workers);
	return DATABASE_OK;
}

void
spool_rollback(struct spool *s)
{
	/* Lost and late are facts, whatever becomes of the transaction. */
	uint64_t lost = s->now.lost - s->saved.lost;
	uint64_t late = s->now.late - s->saved.late;
	struct err ignored;

	if (!s->in_transaction)
		return;
	/* SQLite may have rolled back by itself already. */
	if (sqlite3_get_autocommit(s->db.handle) == 0)
		(void)step(s, SPOOL_ROLLBACK, &ignored);
	s->in_transaction = false;
	s->now = s->saved;
	s->now.accepted += lost;
	s->now.lost += lost;
	s->now.late += late;
	keep_totals(&s->saved_workers, &s->now_workers);
	copy_workers(&s->now_workers, &s->saved_workers);
}

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

bool
spool_has_unsaved_counts(const struct spool *s)
{
	return s->now.lost != s->saved.lost || s->now.late != s->saved.late;
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
