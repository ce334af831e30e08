/*
 * sql_text.h - the two texts that are not bound values
 *
 * Pure. Values never become part of a statement; names of databases cannot be
 * bound and are quoted here. What comes back from the server is text.
 */
#ifndef FORWARD_SQL_TEXT_H
#define FORWARD_SQL_TEXT_H

#include <stdint.h>

#include "base/span.h"

/* A name has at most 64 characters (of up to 3 bytes); each could be a
 * back-tick; quotes and NUL. */
#define SQL_NAME_MAX 64
#define SQL_QUOTED_SIZE (2 * 3 * SQL_NAME_MAX + 3)

/*
 * `name` in back-ticks, back-ticks in it doubled; text is a C string. -1 when
 * it is empty, longer than 64 characters, ends in a space, is not UTF-8 of at
 * most 3 bytes a character, or holds a NUL: the server has no such names.
 * Source: MySQL 8.4 Reference Manual 11.2, "Schema Object Names".
 */
int sql_quote_name(struct span name, char text[SQL_QUOTED_SIZE]);

/* Decimal with an optional minus, whole text; -1 when it is none or does not
 * fit. Leading zeroes are allowed (ZEROFILL columns). */
int sql_parse_int64(struct span text, int64_t *value);

#endif
