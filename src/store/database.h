/*
 * database.h - what the store's two SQLite databases have in common
 */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum database_result {
	DATABASE_OK,
	DATABASE_FAILED,     /* may work later: no space, read-only, busy */
	DATABASE_DAMAGED,    /* not a database, or a damaged one: quarantine */
	DATABASE_OTHER_MODE, /* sound, but of the other [postal] mode */
};

struct database {
	sqlite3 *handle;
	bool read_only;
};

struct database_schema {
	const char *name; /* of the file, below the working directory */
	int version;	  /* user_version; a higher one is refused */
	bool is_copy;	  /* an older one is damaged: it is made again */
	const char *create;
	const char *synchronous; /* "FULL" */
};

/* Once, before anything else: no threads, no statistics. */
int database_setup(struct err *e);

/*
 * Opens or creates. When the file system is read-only and may_read_only is
 * true, opens what is there for reading alone.
 */
enum database_result database_open(struct database *d,
    const struct database_schema *schema, bool may_read_only, struct err *e);
void database_close(struct database *d);

/* Runs statements that give no rows; doing says what for, in the error. */
enum database_result database_run(
    struct database *d, const char *doing, const char *sql, struct err *e);
enum database_result database_prepare(
    struct database *d, const char *sql, sqlite3_stmt **s, struct err *e);

/* Runs a statement that gives no rows, and makes it ready for the next use. */
enum database_result database_step(
    struct database *d, sqlite3_stmt *s, const char *doing, struct err *e);

/* The kind of the last failure, and its text into e. */
enum database_result database_failure(
    const struct database *d, const char *doing, struct err *e);

/* Binds bytes that stay where they are until the statement is reset. */
int database_bind_text(sqlite3_stmt *s, int i, struct span text);
int database_bind_blob(sqlite3_stmt *s, int i, struct span bytes);
struct span database_column(sqlite3_stmt *s, int i);
uint64_t database_column_u64(sqlite3_stmt *s, int i);

/*
 * Moves name and its -wal to name.<why>-<UTC time>; the new name is put into
 * `aside`, of DATABASE_ASIDE_SIZE bytes.
 */
#define DATABASE_ASIDE_SIZE 96
int database_quarantine(
    const char *name, const char *why, char *aside, struct err *e);

#endif
