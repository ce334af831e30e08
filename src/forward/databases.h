/*
 * databases.h - Postal's databases, for the commands `check` and `sql`
 *
 * The same library, targets and session as the forwarder's, without its jail:
 * these commands run for a moment, by hand, as whoever calls them.
 */
#ifndef FORWARD_DATABASES_H
#define FORWARD_DATABASES_H

#include "config/config.h"
#include "forward/grants.h"
#include "forward/sql_text.h"
#include "forward/target.h"

#define DATABASE_PLACE_SIZE 320

struct database_host {
	const char *section; /* "[main_db]" */
	struct sql_target target;
	struct sql sql;
	/* Quoted; as the server says, or as it is likely to be. */
	char account[GRANT_ACCOUNT_SIZE];
	char place[DATABASE_PLACE_SIZE]; /* "127.0.0.1 port 3306" */
};

struct databases {
	struct sql_library *library; /* NULL: not opened */
	struct targets targets;
	struct database_host main_host, message_host;
	/* The same one when one connection serves both. */
	struct database_host *main, *message;
	char main_name[SQL_QUOTED_SIZE]; /* quoted */
	uint32_t *servers;		 /* ids of Postal's mail servers */
	size_t n_servers;
};

/*
 * Names, places and passwords. -1 when a password cannot be read or a name is
 * none; then all the rest is there. Opens no library. Owner: the caller, databases_clear, also
 * after a failure.
 */
int databases_open(struct databases *d, const struct config *c, struct err *e);
void databases_clear(struct databases *d);

/* Opens the client library; version becomes "libmariadb.so.3 3.3.19", cut at
 * size. */
int databases_open_library(
    struct databases *d, char *version, size_t size, struct err *e);

/* Connects, to no database, and finds out the account. */
int database_connect(
    struct databases *d, struct database_host *h, struct err *e);

/* Fills servers; main has to be connected. */
int databases_read_servers(struct databases *d, struct err *e);

/* The name of a message database, quoted; -1 when none can be named so. */
int databases_name(const struct databases *d, uint32_t server_id,
    char name[SQL_QUOTED_SIZE], struct err *e);

/* Prepares and executes; s to be fetched from and to be cleared, also after a
 * failure. */
int database_query(struct database_host *h, const char *text,
    const struct sql_value *values, size_t n, struct sql_statement *s,
    struct err *e);

#endif
