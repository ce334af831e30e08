/*
 * database.c - what the store's two SQLite databases have in common
 *
 * Runs in the store, in its spool directory. SQLite is used by one process
 * and one connection a file: locking_mode=EXCLUSIVE keeps the index of the
 * write-ahead log in memory, so that no file is ever mapped.
 */
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* An ending process may still have its locks. */
#define BUSY_MS 2000
/* "PTRK" in the file's header: `file spool.db` shows whose it is. */
#define APPLICATION_ID 0x5054524b

int
database_setup(struct err *e)
{
	if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
	    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK ||
	    sqlite3_config(SQLITE_CONFIG_URI, 1) != SQLITE_OK ||
	    sqlite3_initialize() != SQLITE_OK)
		return err_set(e, "SQLite cannot be set up");
	return 0;
}

enum database_result
database_failure(const struct database *d, const char *doing, struct err *e)
{
	int code = sqlite3_errcode(d->handle);

	(void)err_set(e, "%s: %s", doing, sqlite3_errmsg(d->handle));
	e->code = code;
	return code == SQLITE_CORRUPT || code == SQLITE_NOTADB
		   ? DATABASE_DAMAGED
		   : DATABASE_FAILED;
}

enum database_result
database_run(
    struct database *d, const char *doing, const char *sql, struct err *e)
{
	if (sqlite3_exec(d->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		return database_failure(d, doing, e);
	return DATABASE_OK;
}

enum database_result
database_prepare(
    struct database *d, const char *sql, sqlite3_stmt **s, struct err *e)
{
	if (sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, s,
		NULL) != SQLITE_OK)
		return database_failure(d, sql, e);
	return DATABASE_OK;
}

enum database_result
database_step(
    struct database *d, sqlite3_stmt *s, const char *doing, struct err *e)
{
	enum database_result r = DATABASE_OK;

	if (sqlite3_step(s) != SQLITE_DONE)
		r = database_failure(d, doing, e);
	(void)sqlite3_reset(s);
	return r;
}

/* The value of a pragma that gives one number; -1 on failure. */
static int64_t
pragma_number(struct database *d, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t value = -1;

	if (sqlite3_prepare_v2(d->handle, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		value = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return value;
}

/* Less power for a hostile file: no functions or triggers of its own. */
static void
defend(struct database *d)
{
	(void)sqlite3_db_config(d->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(
	    d->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_limit(d->handle, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_extended_result_codes(d->handle, 0);
	(void)sqlite3_busy_timeout(d->handle, BUSY_MS);
}

static enum database_result
check_version(
    struct database *d, const struct database_schema *schema, struct err *e)
{
	char sql[64];
	int64_t version = pragma_number(d, "PRAGMA user_version");
	enum database_result r;

	if (version < 0)
		return database_failure(d, "user_version", e);
	if (version > schema->version) {
		(void)err_set(e,
		    "it was written by a newer version (schema %d, this one "
		    "knows %d); install that version again",
		    (int)version, schema->version);
		return DATABASE_FAILED;
	}
	if (version == schema->version)
		return DATABASE_OK;
	if (version > 0) {
		(void)err_set(e,
		    "it was written by a development version (schema %d); "
		    "move it away and start again",
		    (int)version);
		return schema->is_copy ? DATABASE_DAMAGED : DATABASE_FAILED;
	}
	r = database_run(d, "create", "BEGIN IMMEDIATE", e);
	if (r == DATABASE_OK)
		r = database_run(d, "create", schema->create, e);
	(void)snprintf(
	    sql, sizeof(sql), "PRAGMA user_version = %d", schema->version);
	if (r == DATABASE_OK)
		r = database_run(d, "create", sql, e);
	if (r == DATABASE_OK)
		r = database_run(d, "create", "COMMIT", e);
	return r;
}

static enum database_result
open_for_writing(
    struct database *d, const struct database_schema *schema, struct err *e)
{
	char sql[256];
	enum database_result r;

	if (sqlite3_open_v2(schema->name, &d->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		return database_failure(d, "open", e);
	defend(d);
	(void)snprintf(sql, sizeof(sql),
	    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY;"
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;",
	    schema->synchronous);
	r = database_run(d, "open", sql, e);
	if (r != DATABASE_OK)
		return r;
	if (sqlite3_db_readonly(d->handle, "main") == 1) {
		(void)err_set(e, "open: the file system is read-only");
		e->code = SQLITE_READONLY;
		return DATABASE_FAILED;
	}
	if (pragma_number(d, "PRAGMA application_id") != APPLICATION_ID) {
		(void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d",
		    APPLICATION_ID);
		r = database_run(d, "open", sql, e);
	}
	return r == DATABASE_OK ? check_version(d, schema, e) : r;
}

/* As it is on the disk; what only the write-ahead log has is not seen. */
static enum database_result
open_for_reading(
    struct database *d, const struct database_schema *schema, struct err *e)
{
	char uri[128];

	(void)snprintf(uri, sizeof(uri), "file:%s?immutable=1", schema->name);
	if (sqlite3_open_v2(uri, &d->handle,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
		return database_failure(d, "open for reading", e);
	defend(d);
	if (pragma_number(d, "PRAGMA user_version") != schema->version)
		return database_failure(d, "open for reading", e);
	d->read_only = true;
	return DATABASE_OK;
}

enum database_result
database_open(struct database *d, const struct database_schema *schema,
    bool may_read_only, struct err *e)
{
	enum database_result r;

	*d = (struct database){NULL, false};
	r = open_for_writing(d, schema, e);
	if (r != DATABASE_OK)
		database_close(d);
	if (r == DATABASE_FAILED && may_read_only) {
		struct err ignored;

		if (open_for_reading(d, schema, &ignored) == DATABASE_OK)
			return DATABASE_OK;
		database_close(d);
	}
	return r;
}

void
database_close(struct database *d)
{
	if (d->handle != NULL)
		(void)sqlite3_close_v2(d->handle);
	*d = (struct database){NULL, false};
}

int
database_bind_text(sqlite3_stmt *s, int i, struct span text)
{
	return sqlite3_bind_text(
	    s, i, (const char *)text.p, (int)text.len, SQLITE_STATIC);
}

int
database_bind_blob(sqlite3_stmt *s, int i, struct span bytes)
{
	return sqlite3_bind_blob(s, i, bytes.p, (int)bytes.len, SQLITE_STATIC);
}

struct span
database_column(sqlite3_stmt *s, int i)
{
	const uint8_t *p = sqlite3_column_blob(s, i);

	return (struct span){p, (size_t)sqlite3_column_bytes(s, i)};
}

uint64_t
database_column_u64(sqlite3_stmt *s, int i)
{
	return (uint64_t)sqlite3_column_int64(s, i);
}

static int
rename_if_there(const char *from, const char *to)
{
	return rename(from, to) == 0 || errno == ENOENT ? 0 : -1;
}

int
database_quarantine(
    const char *name, const char *why, char *aside, struct err *e)
{
	time_t now = (time_t)(clock_wall_us() / 1000000);
	char when[32], wal[64], wal_aside[DATABASE_ASIDE_SIZE + 8];
	struct tm utc;
	int dir;

	(void)gmtime_r(&now, &utc);
	(void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &utc);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(aside, DATABASE_ASIDE_SIZE,
		    i == 0 ? "%s.%s-%s" : "%s.%s-%s.%d", name, why, when, i);
		if (access(aside, F_OK) != 0)
			break;
	}
	(void)snprintf(wal, sizeof(wal), "%s-wal", name);
	(void)snprintf(wal_aside, sizeof(wal_aside), "%s-wal", aside);
	if (rename_if_there(name, aside) != 0 ||
	    rename_if_there(wal, wal_aside) != 0)
		return err_errno(e, "%s cannot be renamed", name);
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		(void)fsync(dir);
		(void)close(dir);
	}
	return 0;
}
