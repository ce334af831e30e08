/*
 * spool.c - spool.db: events until they are delivered or expire
 *
 * Runs in the store. Opening, size and transactions; what is counted with them
 * is in spool_state.c, reading in spool_read.c, what ends events in
 * spool_settle.c.
 */
#include "store/spool.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

#define PAGE_SIZE 4096
/* What the largest batch may need, and what SQLite needs beside it. */
#define ROOM_PAGES (IPC_BATCH_BYTES_MAX / PAGE_SIZE + 4)
/* No batch begins there. */
#define PROBE_SEQ (-1)

/* More rows take more than a moment to be indexed, and the memory for it. */
#define INDEX_MOST 100000

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
    [SPOOL_EXPIRED] =
	"SELECT batch.first_seq, n, newest_us, bits FROM batch"
	" LEFT JOIN settled USING (first_seq)"
	" WHERE batch.first_seq > ? ORDER BY batch.first_seq LIMIT ?",
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
    /* From one server to the next, not over all events. */
    [SPOOL_ASIDE_SERVERS] =
	"WITH RECURSIVE one (id) AS ("
	"SELECT min(server_id) FROM aside WHERE server_id > ? UNION ALL"
	" SELECT (SELECT min(server_id) FROM aside WHERE server_id > one.id)"
	" FROM one WHERE one.id IS NOT NULL)"
	" SELECT id FROM one WHERE id IS NOT NULL AND EXISTS"
	" (SELECT 1 FROM aside WHERE server_id = one.id AND retry = 1)",
    [SPOOL_ASIDE_OF] = "SELECT seq, server, event FROM aside"
		       " WHERE server_id = ? AND retry = 1 ORDER BY seq"
		       " LIMIT ?",
    [SPOOL_DELETE_ASIDE] = "DELETE FROM aside WHERE seq = ?",
    [SPOOL_ASIDE_SUMS] = "SELECT server_id, count(*), retry, reason FROM aside"
			 " GROUP BY server_id, retry, reason LIMIT ?",
    /* One of an earlier try may be there still. */
    [SPOOL_PROBE] = "INSERT OR REPLACE INTO settled (first_seq, bits)"
		    " VALUES (?, zeroblob(?))",
};

static enum database_result
step(struct spool *s, enum spool_statement which, struct err *e)
{
	return database_step(&s->db, s->statements[which], "spool.db", e);
}

/* What is set aside is summed up from this alone, not from all the events. A
 * spool of an earlier version has not got it, and can do without: its schema
 * is the same to both. */
static void
make_index(struct spool *s)
{
	struct err ignored;

	if (s->now.set_aside <= INDEX_MOST)
		(void)database_run(&s->db, "index",
		    "CREATE INDEX IF NOT EXISTS aside_reason"
		    " ON aside (server_id, retry, reason)",
		    &ignored);
}

enum database_result
spool_open(struct spool *s, enum ipc_mode mode, struct err *e)
{
	enum database_result r = database_open(&s->db, &schema, false, e);

	if (r == DATABASE_OK)
		r = spool_load_state(s, mode, e);
	if (r == DATABASE_OK)
		make_index(s);
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
		n = database_column_u64(stmt, 0);
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
	return pages(s, "PRAGMA page_count") + ROOM_PAGES >
	       pages(s, "PRAGMA max_page_count") +
		   pages(s, "PRAGMA freelist_count");
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
		spool_count_batch(s, b->n_events, b->instance, b->number);
	return r;
}

enum database_result
spool_commit(struct spool *s, struct err *e)
{
	uint64_t begun_us = clock_mono_us();
	enum database_result r = spool_put_state(s, e);

	if (r == DATABASE_OK)
		r = step(s, SPOOL_COMMIT, e);
	if (r != DATABASE_OK)
		return r;
	latency_count(&s->commits, clock_mono_us() - begun_us);
	s->in_transaction = false;
	spool_state_committed(s);
	return DATABASE_OK;
}

static enum database_result
commit_one(struct spool *s, enum spool_statement which, struct err *e)
{
	enum database_result r = spool_begin(s, e);

	if (r == DATABASE_OK)
		r = step(s, which, e);
	return r == DATABASE_OK ? spool_commit(s, e) : r;
}

enum database_result
spool_probe(struct spool *s, uint64_t bytes, struct err *e)
{
	sqlite3_stmt *put = s->statements[SPOOL_PROBE];
	sqlite3_stmt *delete = s->statements[SPOOL_DELETE_BITS];
	enum database_result r;

	(void)sqlite3_bind_int64(put, 1, PROBE_SEQ);
	(void)sqlite3_bind_int64(put, 2, (int64_t)bytes + PAGE_SIZE);
	r = commit_one(s, SPOOL_PROBE, e);
	(void)sqlite3_bind_int64(delete, 1, PROBE_SEQ);
	return r == DATABASE_OK ? commit_one(s, SPOOL_DELETE_BITS, e) : r;
}

void
spool_rollback(struct spool *s)
{
	struct err ignored;

	if (!s->in_transaction)
		return;
	/* SQLite may have rolled back by itself already. */
	if (sqlite3_get_autocommit(s->db.handle) == 0)
		(void)step(s, SPOOL_ROLLBACK, &ignored);
	s->in_transaction = false;
	spool_state_rolled_back(s);
}
