/*
 * spool.c - spool.db: events until they are delivered or expire
 *
 * Runs in the store.
 */
#include "store/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/array.h"
#include "base/clock.h"

#define PAGE_SIZE 4096
#define WORKERS_BYTES (SPOOL_WORKERS_MAX * 16)

static const struct database_schema schema = {
    .name = "spool.db",
    .version = 1,
    .synchronous = "FULL",
    .create = "CREATE TABLE event ("
	      " seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL,"
	      " kind INTEGER NOT NULL, method INTEGER NOT NULL,"
	      " flags INTEGER NOT NULL, server_id INTEGER NOT NULL,"
	      " server TEXT NOT NULL, link_id INTEGER NOT NULL,"
	      " message_id INTEGER NOT NULL, ip BLOB NOT NULL,"
	      " token TEXT NOT NULL, user_agent TEXT NOT NULL);"
	      "CREATE TABLE state ("
	      " id INTEGER PRIMARY KEY CHECK (id = 1), node BLOB NOT NULL,"
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
    [SPOOL_INSERT] =
	"INSERT INTO event (seq, at_us, kind, method, flags, server_id,"
	" server, link_id, message_id, ip, token, user_agent)"
	" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SPOOL_SAVE_STATE] =
	"UPDATE state SET accepted = ?, written = ?, unmatched = ?,"
	" duplicates = ?, set_aside = ?, expired = ?, pending = ?,"
	" lost = ?, late = ?, last_seq = ?, workers = ? WHERE id = 1",
    [SPOOL_PAGE] =
	"SELECT seq, at_us, kind, method, flags, link_id, message_id, ip,"
	" server, token, user_agent, server_id FROM event"
	" WHERE seq > ? ORDER BY seq LIMIT ?",
    [SPOOL_EXPIRE] = "DELETE FROM event WHERE seq IN"
		     " (SELECT seq FROM event WHERE at_us < ?"
		     " ORDER BY seq LIMIT ?)",
};

/* Runs a statement that gives no rows, and makes it ready for the next use. */
static enum database_result
step(struct spool *s, enum spool_statement which, struct err *e)
{
	sqlite3_stmt *stmt = s->statements[which];
	enum database_result r = DATABASE_OK;

	if (sqlite3_step(stmt) != SQLITE_DONE)
		r = database_failure(&s->db, "spool.db", e);
	(void)sqlite3_reset(stmt);
	return r;
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
	    "INSERT INTO state VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
	    "x'')",
	    &stmt, e);
	if (r != DATABASE_OK)
		return r;
	(void)database_bind_blob(stmt, 1, (struct span){node, sizeof(node)});
	if (sqlite3_step(stmt) != SQLITE_DONE)
		r = database_failure(&s->db, "create", e);
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

	for (all->n = 0; c.left >= 16 && all->n < SPOOL_WORKERS_MAX; all->n++) {
		all->list[all->n].instance = cursor_u64(&c);
		all->list[all->n].number = cursor_u64(&c);
	}
	s->saved_workers = *all;
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
		" workers FROM state",
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

static enum database_result
load_state(struct spool *s, struct err *e)
{
	struct spool_counts c = {0};
	/* What could not be written before the spool was closed. */
	uint64_t lost = s->now.lost - s->saved.lost;
	uint64_t late = s->now.late - s->saved.late;
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
	s->now = s->saved = c;
	s->now.accepted += lost;
	s->now.lost += lost;
	s->now.late += late;
	return DATABASE_OK;
}

/* Reads one row at each end: a file whose pages were overwritten is found
 * now and not at the first event. */
static enum database_result
touch_ends(struct spool *s, struct err *e)
{
	return database_run(&s->db, "read events",
	    "SELECT * FROM event ORDER BY seq LIMIT 1;"
	    "SELECT * FROM event ORDER BY seq DESC LIMIT 1",
	    e);
}

enum database_result
spool_open(struct spool *s, struct err *e)
{
	enum database_result r = database_open(&s->db, &schema, false, e);

	if (r == DATABASE_OK)
		r = load_state(s, e);
	if (r == DATABASE_OK)
		r = touch_ends(s, e);
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
spool_put(struct spool *s, const struct spool_event *event, struct err *e)
{
	const struct ipc_event *ev = event->event;
	sqlite3_stmt *stmt = s->statements[SPOOL_INSERT];
	uint64_t seq = s->now.last_seq + 1;
	enum database_result r;

	(void)sqlite3_bind_int64(stmt, 1, (int64_t)seq);
	(void)sqlite3_bind_int64(stmt, 2, ev->at_us);
	(void)sqlite3_bind_int(stmt, 3, ev->kind);
	(void)sqlite3_bind_int(stmt, 4, ev->method);
	(void)sqlite3_bind_int(stmt, 5, ev->flags);
	(void)sqlite3_bind_int64(stmt, 6, ev->server_id);
	(void)database_bind_text(stmt, 7, event->server);
	(void)sqlite3_bind_int64(stmt, 8, (int64_t)ev->link_id);
	(void)sqlite3_bind_int64(stmt, 9, (int64_t)ev->message_id);
	(void)database_bind_blob(
	    stmt, 10, (struct span){ev->ip, sizeof(ev->ip)});
	(void)database_bind_text(stmt, 11, ev->token);
	(void)database_bind_text(
	    stmt, 12, ev->user_agent.len > 0 ? ev->user_agent : span_of(""));
	r = step(s, SPOOL_INSERT, e);
	if (r == DATABASE_OK) {
		s->now.last_seq = seq;
		s->now.accepted++;
		s->now.pending++;
	}
	return r;
}

static struct spool_worker *
find_worker(struct spool *s, uint64_t instance)
{
	for (size_t i = 0; i < s->now_workers.n; i++)
		if (s->now_workers.list[i].instance == instance)
			return &s->now_workers.list[i];
	return NULL;
}

void
spool_set_worker(struct spool *s, uint64_t instance, uint64_t number)
{
	struct spool_workers *all = &s->now_workers;
	struct spool_worker *w = find_worker(s, instance);

	if (w == NULL && all->n == SPOOL_WORKERS_MAX) {
		/* The oldest: its worker has long ended without a word. */
		memmove(all->list, all->list + 1,
		    (SPOOL_WORKERS_MAX - 1) * sizeof(all->list[0]));
		all->n--;
	}
	if (w == NULL)
		w = &all->list[all->n++];
	*w = (struct spool_worker){instance, number};
}

uint64_t
spool_worker_number(const struct spool *s, uint64_t instance)
{
	for (size_t i = 0; i < s->now_workers.n; i++)
		if (s->now_workers.list[i].instance == instance)
			return s->now_workers.list[i].number;
	return 0;
}

void
spool_forget_worker(struct spool *s, uint64_t instance)
{
	struct spool_worker *w = find_worker(s, instance);

	if (w != NULL)
		*w = s->now_workers.list[--s->now_workers.n];
}

enum database_result
spool_expire(struct spool *s, int64_t before_us, unsigned int most, uint64_t *n,
    struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_EXPIRE];
	enum database_result r;
	uint64_t gone;

	(void)sqlite3_bind_int64(stmt, 1, before_us);
	(void)sqlite3_bind_int64(stmt, 2, most);
	r = step(s, SPOOL_EXPIRE, e);
	if (r != DATABASE_OK)
		return r;
	gone = (uint64_t)sqlite3_changes(s->db.handle);
	s->now.pending -= gone;
	s->now.expired += gone;
	*n += gone;
	return DATABASE_OK;
}

static enum database_result
save_state(struct spool *s, struct err *e)
{
	const uint64_t values[] = {s->now.accepted, s->now.written,
	    s->now.unmatched, s->now.duplicates, s->now.set_aside,
	    s->now.expired, s->now.pending, s->now.lost, s->now.late,
	    s->now.last_seq};

	sqlite3_stmt *stmt = s->statements[SPOOL_SAVE_STATE];
	uint8_t bytes[WORKERS_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));

	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		(void)sqlite3_bind_int64(stmt, (int)i + 1, (int64_t)values[i]);
	for (size_t i = 0; i < s->now_workers.n; i++) {
		writer_u64(&w, s->now_workers.list[i].instance);
		writer_u64(&w, s->now_workers.list[i].number);
	}
	(void)database_bind_blob(
	    stmt, (int)ARRAY_LENGTH(values) + 1, writer_span(&w));
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
	enum database_result r = save_state(s, e);

	if (r == DATABASE_OK)
		r = step(s, SPOOL_COMMIT, e);
	if (r != DATABASE_OK)
		return r;
	s->in_transaction = false;
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
	copy_workers(&s->now_workers, &s->saved_workers);
}

void
spool_count_lost(struct spool *s, uint64_t n)
{
	s->now.accepted += n;
	s->now.lost += n;
}

void
spool_count_late(struct spool *s, uint64_t n)
{
	s->now.late += n;
}

bool
spool_has_unsaved_counts(const struct spool *s)
{
	return s->now.lost != s->saved.lost || s->now.late != s->saved.late;
}

/* --- reading ----------------------------------------------------------- */

static struct ipc_event_row
row_of(sqlite3_stmt *stmt)
{
	struct ipc_event_row row = {
	    .seq = column_u64(stmt, 0),
	    .at_us = sqlite3_column_int64(stmt, 1),
	    .kind = (uint8_t)sqlite3_column_int(stmt, 2),
	    .method = (uint8_t)sqlite3_column_int(stmt, 3),
	    .flags = (uint8_t)sqlite3_column_int(stmt, 4),
	    .link_id = column_u64(stmt, 5),
	    .message_id = column_u64(stmt, 6),
	    .server = database_column(stmt, 8),
	    .token = database_column(stmt, 9),
	    .user_agent = database_column(stmt, 10),
	};
	struct span ip = database_column(stmt, 7);

	if (ip.len == sizeof(row.ip))
		memcpy(row.ip, ip.p, sizeof(row.ip));
	return row;
}

enum database_result
spool_page(struct spool *s, uint64_t after, unsigned int most,
    bool (*visit)(void *owner, struct ipc_event_row *row), void *owner,
    struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_PAGE];
	enum database_result r = DATABASE_OK;
	int got;

	(void)sqlite3_bind_int64(
	    stmt, 1, after > INT64_MAX ? INT64_MAX : (int64_t)after);
	(void)sqlite3_bind_int64(stmt, 2, most);
	while ((got = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct ipc_event_row row = row_of(stmt);

		if (!visit(owner, &row))
			break;
	}
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		r = database_failure(&s->db, "read events", e);
	(void)sqlite3_reset(stmt);
	return r;
}
