/*
 * failure.h - what kind of failure a number of the database means
 *
 * Pure. The drain decides by kind and never by number: whether to connect
 * again, to try the transaction again, to set one event aside, or to leave a
 * whole message database alone for a while.
 */
#ifndef FORWARD_FAILURE_H
#define FORWARD_FAILURE_H

#include <stddef.h>

enum sql_failure {
	SQL_OK,
	SQL_LOST,     /* the connection is gone, or could not be made */
	SQL_RETRY,    /* ROLLBACK, and the same again may work (1205 undoes
		       * the statement only, 1213 the transaction) */
	SQL_GONE,     /* no such database, table or column */
	SQL_DENIED,   /* login or grants */
	SQL_DATA,     /* this row cannot be stored as it is */
	SQL_FULL,     /* the server has no room */
	SQL_READONLY, /* the server takes no writes now */
	SQL_OTHER,    /* a statement or set-up of ours that it refuses */
};

struct sql_failure_row {
	unsigned int number; /* the server's or the client library's */
	enum sql_failure failure;
	const char *meaning;
};

/* Sorted by number, without repeats. */
extern const struct sql_failure_row sql_failures[];
extern const size_t sql_n_failures;

/* 0 gives SQL_OK; a number that is not in the table SQL_OTHER. */
enum sql_failure sql_classify(unsigned int number);

/* "lost", for the log. */
const char *sql_failure_name(enum sql_failure failure);

#endif
