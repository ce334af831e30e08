/*
 * sql_internal.h - what sql.c and statement.c share
 */
#ifndef FORWARD_SQL_INTERNAL_H
#define FORWARD_SQL_INTERNAL_H

#include "forward/library.h"
#include "forward/sql.h"

/* Forgets how the call before went. -1 with SQL_LOST when c is not open: the
 * caller connects again. */
int sql_begin_call(struct sql *c, struct err *e);

/* Notes a failure of the server or the library and words it: "what: text
 * (error 1146)". Always -1. */
int sql_fail(struct sql *c, unsigned int number, const char *text,
    const char *what, struct err *e);

/* The same for what is our own doing. Always -1. */
int sql_fail_here(struct sql *c, enum sql_failure failure);

#endif
