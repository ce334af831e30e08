/*
 * statement.c - prepared statements: values out, rows in
 *
 * Runs in the forwarder. Memory is taken when a statement is prepared and
 * when a value is longer than any before it, never for a row as such. Every
 * column is fetched as text, so that nothing here depends on column types.
 */
#include "forward/sql.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "forward/sql_internal.h"
#include "forward/sql_text.h"

#define FIRST_BUFFER 256
/* MYSQL_DATA_TRUNCATED and MYSQL_NO_DATA of every library. */
#define FETCH_CUT 101
#define FETCH_END 100

/* What the library writes to for a column. */
struct sql_column {
	unsigned long length; /* of the value, not of what fits */
	sql_bool null;
	sql_bool cut;
};

/* --- values ------------------------------------------------------------ */

struct sql_value
sql_null(void)
{
	return (struct sql_value){.kind = SQL_NULL};
}

struct sql_value
sql_int64(int64_t v)
{
	return (struct sql_value){.kind = SQL_INT64, .v.i64 = v};
}

struct sql_value
sql_uint64(uint64_t v)
{
	return (struct sql_value){.kind = SQL_UINT64, .v.u64 = v};
}

struct sql_value
sql_text(struct span v)
{
	if (v.p == NULL)
		return sql_null();
	return (struct sql_value){.kind = SQL_TEXT, .v.text = v};
}

struct sql_value
sql_decimal(struct span v)
{
	return (struct sql_value){.kind = SQL_DECIMAL, .v.text = v};
}

/* The library does not write to what a parameter points at. */
static void
bind_text(MYSQL_BIND *b, enum enum_field_types type, struct span text)
{
	b->buffer_type = type;
	memcpy(&b->buffer, &text.p, sizeof(b->buffer));
	b->buffer_length = text.len;
	b->length_value = text.len;
}

static void
bind_value(MYSQL_BIND *b, const struct sql_value *value)
{
	const void *number = &value->v;

	memset(b, 0, sizeof(*b));
	switch (value->kind) {
	case SQL_INT64:
	case SQL_UINT64:
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->is_unsigned = value->kind == SQL_UINT64;
		memcpy(&b->buffer, &number, sizeof(b->buffer));
		break;
	case SQL_TEXT:
		bind_text(b, MYSQL_TYPE_STRING, value->v.text);
		break;
	case SQL_DECIMAL:
		bind_text(b, MYSQL_TYPE_NEWDECIMAL, value->v.text);
		break;
	case SQL_NULL:
		b->buffer_type = MYSQL_TYPE_NULL;
		break;
	}
	/* Points into the statement's own array, which does not move. */
	b->length = &b->length_value;
}

/* --- preparing --------------------------------------------------------- */

static int
fail_statement(struct sql_statement *s, const char *what, struct err *e)
{
	const struct sql_library *l = s->connection->library;

	return sql_fail(s->connection, l->call.mysql_stmt_errno(s->handle),
	    l->call.mysql_stmt_error(s->handle), what, e);
}

static int
take_memory(struct sql_statement *s, struct err *e)
{
	/* calloc of nothing may give NULL. */
	s->parameters = calloc(s->n_parameters + 1, sizeof(MYSQL_BIND));
	s->columns = calloc(s->n_columns + 1, sizeof(MYSQL_BIND));
	s->state = calloc(s->n_columns + 1, sizeof(struct sql_column));
	s->cells = calloc(s->n_columns + 1, sizeof(struct sql_cell));
	if (s->parameters == NULL || s->columns == NULL || s->state == NULL ||
	    s->cells == NULL)
		goto no_memory;
	for (size_t i = 0; i < s->n_columns; i++) {
		MYSQL_BIND *b = &s->columns[i];

		b->buffer = malloc(FIRST_BUFFER);
		if (b->buffer == NULL)
			goto no_memory;
		b->buffer_type = MYSQL_TYPE_STRING;
		b->buffer_length = FIRST_BUFFER;
		b->length = &s->state[i].length;
		b->is_null = &s->state[i].null;
		b->error = &s->state[i].cut;
	}
	return 0;

no_memory:
	(void)err_set(e, "no memory for a statement");
	return sql_fail_here(s->connection, SQL_OTHER);
}

int
sql_prepare(
    struct sql *c, struct span text, struct sql_statement *s, struct err *e)
{
	const struct sql_library *l = c->library;

	*s = (struct sql_statement){.connection = c, .serial = c->serial};
	if (sql_begin_call(c, e) != 0)
		return -1;
	s->handle = l->call.mysql_stmt_init(c->handle);
	if (s->handle == NULL) {
		(void)err_set(e, "no memory for a statement");
		return sql_fail_here(c, SQL_OTHER);
	}
	if (l->call.mysql_stmt_prepare(
		s->handle, (const char *)text.p, text.len) != 0)
		return fail_statement(s, "preparing a statement", e);
	s->n_parameters = l->call.mysql_stmt_param_count(s->handle);
	s->n_columns = l->call.mysql_stmt_field_count(s->handle);
	if (s->n_columns > SQL_COLUMNS_MAX) {
		(void)err_set(e, "a statement with %zu columns", s->n_columns);
		return sql_fail_here(c, SQL_OTHER);
	}
	return take_memory(s, e);
}

void
sql_keep_secret(struct sql_statement *s)
{
	s->secret = true;
}

/* --- executing --------------------------------------------------------- */

static int
store_rows(struct sql_statement *s, struct err *e)
{
	const struct sql_library *l = s->connection->library;

	if (s->n_columns == 0)
		return 0;
	if (l->call.mysql_stmt_bind_result(s->handle, s->columns) != 0)
		return fail_statement(s, "binding columns", e);
	s->rebind = false;
	if (l->call.mysql_stmt_store_result(s->handle) != 0)
		return fail_statement(s, "reading the rows", e);
	s->has_rows = true;
	return 0;
}

int
sql_execute(struct sql_statement *s, const struct sql_value *values, size_t n,
    struct err *e)
{
	const struct sql_library *l = s->connection->library;

	if (sql_begin_call(s->connection, e) != 0)
		return -1;
	if (s->handle == NULL) {
		(void)err_set(e, "the statement was not prepared");
		return sql_fail_here(s->connection, SQL_LOST);
	}
	if (s->serial != s->connection->serial) {
		(void)err_set(e, "the statement is of an earlier connection");
		return sql_fail_here(s->connection, SQL_LOST);
	}
	if (n != s->n_parameters) {
		(void)err_set(
		    e, "%zu values for %zu parameters", n, s->n_parameters);
		return sql_fail_here(s->connection, SQL_OTHER);
	}
	sql_reset(s);
	for (size_t i = 0; i < n; i++)
		bind_value(&s->parameters[i], &values[i]);
	if (n > 0 &&
	    l->call.mysql_stmt_bind_param(s->handle, s->parameters) != 0)
		return fail_statement(s, "binding values", e);
	if (l->call.mysql_stmt_execute(s->handle) != 0)
		return fail_statement(s, "executing a statement", e);
	return store_rows(s, e);
}

/* --- rows -------------------------------------------------------------- */

static void
free_buffer(const struct sql_statement *s, MYSQL_BIND *b)
{
	if (s->secret && b->buffer != NULL)
		explicit_bzero(b->buffer, b->buffer_length);
	free(b->buffer);
	b->buffer = NULL;
}

/* Grows the buffer of a column to the value's length and fetches it again. */
static int
fetch_long(struct sql_statement *s, size_t i, struct err *e)
{
	const struct sql_library *l = s->connection->library;
	MYSQL_BIND *b = &s->columns[i];
	size_t size = b->buffer_length;
	void *larger;

	if (s->state[i].length > SQL_VALUE_MAX) {
		(void)err_set(e, "column %zu has a value of %lu bytes", i + 1,
		    s->state[i].length);
		return sql_fail_here(s->connection, SQL_DATA);
	}
	while (size < s->state[i].length)
		size *= 2;
	larger = malloc(size);
	if (larger == NULL) {
		(void)err_set(e, "no memory for a value of %zu bytes", size);
		return sql_fail_here(s->connection, SQL_OTHER);
	}
	free_buffer(s, b);
	b->buffer = larger;
	b->buffer_length = size;
	s->rebind = true;
	if (l->call.mysql_stmt_fetch_column(s->handle, b, (unsigned int)i, 0) !=
	    0)
		return fail_statement(s, "reading a long value", e);
	return 0;
}

static int
take_row(struct sql_statement *s, struct err *e)
{
	for (size_t i = 0; i < s->n_columns; i++) {
		struct sql_column *column = &s->state[i];

		if (!column->null &&
		    column->length > s->columns[i].buffer_length &&
		    fetch_long(s, i, e) != 0)
			return -1;
		s->cells[i].null = column->null;
		s->cells[i].text = (struct span){NULL, 0};
		if (!column->null)
			s->cells[i].text =
			    (struct span){s->columns[i].buffer, column->length};
	}
	return 1;
}

int
sql_fetch(struct sql_statement *s, struct err *e)
{
	const struct sql_library *l = s->connection->library;
	int got;

	if (!s->has_rows)
		return 0;
	if (s->rebind &&
	    l->call.mysql_stmt_bind_result(s->handle, s->columns) != 0)
		return fail_statement(s, "binding columns", e);
	s->rebind = false;
	got = l->call.mysql_stmt_fetch(s->handle);
	if (got == 0 || got == FETCH_CUT)
		return take_row(s, e);
	if (got != FETCH_END)
		return fail_statement(s, "reading a row", e);
	sql_reset(s);
	return 0;
}

int
sql_cell_int64(const struct sql_cell *cell, int64_t *value)
{
	return cell->null ? -1 : sql_parse_int64(cell->text, value);
}

uint64_t
sql_affected_rows(const struct sql_statement *s)
{
	return s->connection->library->call.mysql_stmt_affected_rows(s->handle);
}

uint64_t
sql_insert_id(const struct sql_statement *s)
{
	return s->connection->library->call.mysql_stmt_insert_id(s->handle);
}

/* --- the end ----------------------------------------------------------- */

void
sql_reset(struct sql_statement *s)
{
	if (!s->has_rows)
		return;
	(void)s->connection->library->call.mysql_stmt_free_result(s->handle);
	s->has_rows = false;
}

void
sql_statement_clear(struct sql_statement *s)
{
	/* The library has cut the tie if the connection was closed. */
	if (s->handle != NULL)
		(void)s->connection->library->call.mysql_stmt_close(s->handle);
	if (s->columns != NULL)
		for (size_t i = 0; i < s->n_columns; i++)
			free_buffer(s, &s->columns[i]);
	free(s->parameters);
	free(s->columns);
	free(s->state);
	free(s->cells);
	*s = (struct sql_statement){.connection = NULL};
}
