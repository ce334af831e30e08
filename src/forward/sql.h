/*
 * sql.h - a connection to the database, and prepared statements
 *
 * Blocking, with a bound on every wait. Values are always bound, never part
 * of a statement's text. After a failure `failure` and `number` of the
 * connection say of which kind it was (failure.h), and the struct err holds
 * one line for the log; the server's own words in it are cut, with `?` for all
 * that is not printable ASCII. One thread; one statement's rows at a time or many,
 * because results are fetched whole when a statement is executed.
 */
#ifndef FORWARD_SQL_H
#define FORWARD_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "forward/failure.h"

struct sql_library; /* library.h */
struct st_mysql;
struct st_mysql_stmt;
struct st_mysql_bind;

#define SQL_COLUMNS_MAX 64
/* The longest value that is fetched; TEXT has at most 64 KiB. */
#define SQL_VALUE_MAX ((size_t)1 << 20)

/* Where and as whom. Strings are borrowed while sql_connect runs. */
struct sql_target {
	const char *host; /* name, IPv4 or IPv6 address */
	unsigned int port;
	const char *socket; /* not empty: this Unix socket, no host */
	const char *user;
	const char *password; /* "" for none, never NULL */
	const char *database; /* "" for none */
	/* Not empty: the connection is encrypted, and the server's
	 * certificate comes from an authority in this file and names host.
	 * Not looked at with a Unix socket, which never leaves the machine. */
	const char *tls_ca;
	unsigned int connect_timeout_s;
	unsigned int io_timeout_s;   /* longest silence within a statement */
	unsigned int lock_timeout_s; /* waits for locks of rows and tables */
};

struct sql {
	const struct sql_library *library;
	struct st_mysql *handle; /* NULL: not connected */
	enum sql_failure failure;
	unsigned int number; /* the server's or the library's; 0: ours */
	bool broken;	     /* a call ended in SQL_LOST */
	uint64_t serial;     /* counts connections */
};

/* library: opened, and there as long as the connection. */
void sql_init(struct sql *c, const struct sql_library *library);

/*
 * Connects and sets the session: utf8mb4, strict sql_mode, UTC, READ
 * COMMITTED (REPEATABLE READ where the server's binlog_format demands it),
 * autocommit, short waits for locks. Never reads option files, never sends
 * local files, never connects again by itself, never sends a password in
 * clear. Closes first what was open. 0, or -1 and closed.
 */
int sql_connect(struct sql *c, const struct sql_target *t, struct err *e);

/* Closes; statements stay to be cleared, in any order. NULL-safe. */
void sql_close(struct sql *c);

/* Connected, and no call has found the connection lost since. */
bool sql_is_open(const struct sql *c);

/* Asks the server whether it is there. */
int sql_ping(struct sql *c, struct err *e);

/* "10.11.6-MariaDB" and "TLS_AES_256_GCM_SHA384" ("" without TLS). */
const char *sql_server_version(const struct sql *c);
const char *sql_cipher(const struct sql *c);

/* A constant statement without values: BEGIN, COMMIT, SET. Rows that it
 * gives are thrown away. */
int sql_query_text(struct sql *c, const char *text, struct err *e);

/* --- prepared statements ------------------------------------------------ */

enum sql_kind {
	SQL_NULL,
	SQL_INT64,
	SQL_UINT64,
	SQL_TEXT,    /* UTF-8 */
	SQL_DECIMAL, /* as text: "1700000000.123456" */
};

struct sql_value {
	enum sql_kind kind;
	union {
		int64_t i64;
		uint64_t u64;
		struct span text; /* SQL_TEXT, SQL_DECIMAL; borrowed */
	} v;
};

struct sql_value sql_null(void);
struct sql_value sql_int64(int64_t v);
struct sql_value sql_uint64(uint64_t v);
/* p NULL becomes NULL, not the empty text. */
struct sql_value sql_text(struct span v);
struct sql_value sql_decimal(struct span v);

/* A column of the row that was fetched last. */
struct sql_cell {
	bool null;
	struct span text; /* numbers too; valid until the next fetch */
};

struct sql_statement {
	struct sql *connection;
	uint64_t serial; /* the connection's when it was prepared */
	struct st_mysql_stmt *handle; /* NULL: not prepared */
	size_t n_parameters, n_columns;
	struct st_mysql_bind *parameters; /* n_parameters */
	struct st_mysql_bind *columns;	  /* n_columns, with buffers */
	struct sql_column *state;	  /* n_columns */
	struct sql_cell *cells;		  /* n_columns */
	bool has_rows;			  /* a result is held */
	bool rebind; /* a buffer has moved since it was bound */
	bool secret; /* buffers are wiped before they are freed */
};

/*
 * Prepares text (any length); s need not be initialized, but has to be
 * cleared if it was used before. All memory that parameters need is taken
 * here. Owner: the caller, sql_statement_clear, also after a failure.
 */
int sql_prepare(
    struct sql *c, struct span text, struct sql_statement *s, struct err *e);

/* What it fetches from now on is wiped before its memory is given back. */
void sql_keep_secret(struct sql_statement *s);

/*
 * Executes with n values, which have to be as many as the text has `?`, and
 * fetches the whole result into memory: use LIMIT. Gives up the result of the
 * last execution. A statement of an earlier connection is SQL_LOST, and the
 * present connection stays as it is: clear and prepare it again.
 */
int sql_execute(struct sql_statement *s, const struct sql_value *values,
    size_t n, struct err *e);

/*
 * The next row: 1 and s->cells; 0 behind the last; -1. Buffers grow as
 * needed; no memory is taken for a row that fits. A value above
 * SQL_VALUE_MAX is SQL_DATA.
 */
int sql_fetch(struct sql_statement *s, struct err *e);

/* A whole number that is not NULL; else -1. */
int sql_cell_int64(const struct sql_cell *cell, int64_t *value);

/* Of the last execution. UPDATE counts rows that were changed, not found. */
uint64_t sql_affected_rows(const struct sql_statement *s);
uint64_t sql_insert_id(const struct sql_statement *s);

/* Gives up the rows that were not fetched. */
void sql_reset(struct sql_statement *s);
/* Frees everything, also after sql_close; s may be all zeroes. */
void sql_statement_clear(struct sql_statement *s);

#endif
