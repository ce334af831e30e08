/*
 * grants.h - what the forwarder may do in Postal's databases, and no more
 *
 * One table, for `sql`, which prints it as GRANT statements, and for `check`,
 * which asks the server whether each is held.
 */
#ifndef FORWARD_GRANTS_H
#define FORWARD_GRANTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"
#include "forward/sql.h"

/* User and host with at most 80 and 255 characters, each of up to 4 bytes or
 * doubled; quotes, @ and NUL. */
#define GRANT_ACCOUNT_SIZE 1400

/* The version of a message database's schema since which its URLs are whole;
 * before, they are cut at 255 characters. Source: migration 20 of Postal. */
#define GRANT_WHOLE_URLS 20

enum grant_place {
	GRANT_MAIN,    /* Postal's main database */
	GRANT_POSTAL1, /* the same, of a table that only 1.x has for sure */
	GRANT_MESSAGE, /* each message database */
	GRANT_LEDGER,  /* the ledger, on each server */
};

struct grant {
	enum grant_place place;
	const char *table;
	const char *what; /* "UPDATE (loaded, clicked)" */
	/* A statement that the server only prepares for those who hold it,
	 * and that has the columns that are used: before and after the
	 * table's name. Only `selftest` executes those that write, and rolls
	 * them back. */
	const char *before, *after;
	/* What does not work without it; NULL: nothing is forwarded. */
	const char *without;
};

/* At most GRANTS_MAX rows. */
#define GRANTS_MAX 32
extern const struct grant grants[];
extern const size_t n_grants;

enum grant_state {
	GRANT_HELD,
	GRANT_DENIED,
	GRANT_NO_TABLE,	 /* table or database is not there */
	GRANT_NO_COLUMN, /* the table has another shape */
	GRANT_UNKNOWN,	 /* could not be asked */
};

/* Asks the server, changes nothing. database: quoted. e is filled unless the
 * grant is held. */
enum grant_state grant_test(
    struct sql *c, const struct grant *g, const char *database, struct err *e);

/* Appends "GRANT SELECT ON `postal`.`servers` TO 'tracker'@'%'". database and
 * account: quoted. */
void grant_write(struct writer *w, const struct grant *g, const char *database,
    const char *account);

/* Appends statements that grant it when the table is there, and else do
 * nothing. plain: the database's name, not quoted. */
void grant_write_where_there(struct writer *w, const struct grant *g,
    const char *plain, const char *database, const char *account);

/* 'user'@'host', quotes and backslashes in them doubled; cut when size is
 * too small. Returns text. */
const char *grant_quote_account(
    struct span user, struct span host, char *text, size_t size);

/* The account that this connection was let in as, quoted. */
int grant_account(struct sql *c, char text[GRANT_ACCOUNT_SIZE], struct err *e);

#endif
