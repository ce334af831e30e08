/*
 * host.h - one MySQL server: a connection that is kept up, and the prepared
 * statements of it
 */
#ifndef FORWARD_HOST_H
#define FORWARD_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "forward/sql.h"
#include "forward/target.h"

/* Statements that are kept prepared; the one unused for longest goes. */
#define HOST_STATEMENTS 256

struct host_statement {
	uint64_t hash; /* of the text */
	uint64_t used; /* counts up */
	char *text;
	size_t len;
	struct sql_statement statement;
};

struct host {
	const char *section; /* "[main_db]": what a person looks for */
	const struct sql_target *target;
	struct sql sql;
	uint64_t session; /* counts connections; 0: never connected */
	uint64_t next_try_ms, backoff_ms;
	uint64_t uses;
	size_t n_statements;
	struct host_statement *statements;
};

int host_open(struct host *h, const struct sql_library *library,
    const char *section, const struct sql_target *target, struct err *e);

/*
 * Whether the connection is up. When it is not and a try is due (at once, then
 * after 100 ms doubling to 10 s, each with a random part), tries to connect.
 * *tried says whether it did; then e says why it failed.
 */
bool host_is_up(struct host *h, uint64_t now_ms, bool *tried, struct err *e);

/* Makes a try due at once, if it is not up. */
void host_try_now(struct host *h);

/* Gives the connection up; the next try is due at once. */
void host_drop(struct host *h);

/*
 * The prepared statement of this text, which may hold names of databases and
 * placeholders but never a value. NULL on failure. Lent until the next call.
 */
struct sql_statement *host_prepare(
    struct host *h, struct span text, struct err *e);

/* host_prepare and sql_execute. */
struct sql_statement *host_execute(struct host *h, struct span text,
    const struct sql_value *values, size_t n, struct err *e);

#endif
