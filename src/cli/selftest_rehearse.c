/*
 * selftest_rehearse.c - `postal-tracker selftest`: the rows of an open, a
 * click and a webhook, written to Postal's tables and undone
 *
 * What the forwarder would write for a known message, in a transaction that
 * is rolled back: nobody else ever sees the rows. They name message, link and
 * server 0, which do not exist. Tables that cannot undo are not touched.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/selftest.h"
#include "forward/databases.h"

#define NAMES "192.0.2.1", "postal-tracker-selftest"
#define VALUES_MAX 9

/* In the order of the statements in forward/grants.c. */
static const struct {
	enum grant_place place;
	const char *table;
	const char *values[VALUES_MAX + 1];
} rows[] = {
    {GRANT_MESSAGE, "loads", {"0", NAMES, "1.000000"}},
    {GRANT_MESSAGE, "clicks", {"0", "0", NAMES, "1.000000"}},
    {GRANT_MESSAGE, "messages", {"1.000000", "1.000000"}},
    {GRANT_MAIN, "webhook_requests",
	{"0", "0", IPC_SELFTEST_URL, "MessageLoaded",
	    "00000000-0000-0000-0000-000000000000", "--- {}", "0",
	    "2038-01-01 00:00:00", "2038-01-01 00:00:00"}},
};

/* The statement that writes to a table. */
static const struct grant *
writer_of_table(enum grant_place place, const char *table)
{
	for (size_t i = 0; i < n_grants; i++)
		if (grants[i].place == place &&
		    strcmp(grants[i].table, table) == 0 &&
		    strcmp(grants[i].what, "SELECT") != 0)
			return &grants[i];
	return NULL;
}

/* Whether a table undoes what is rolled back. database: quoted. */
static int
check_engine(struct database_host *h, const char *database, const char *table,
    struct err *e)
{
	static const char text[] =
	    "SELECT COUNT(*) FROM information_schema.tables"
	    " WHERE table_schema = ? AND table_name = ?"
	    " AND engine = 'InnoDB'";
	struct sql_value values[] = {
	    sql_text((struct span){
		(const uint8_t *)database + 1, strlen(database) - 2}),
	    sql_text(span_of(table))};
	struct sql_statement s = {.handle = NULL};
	int64_t n = 0;
	int failed = -1;

	if (database_query(h, text, values, 2, &s, e) == 0 &&
	    sql_fetch(&s, e) == 1)
		failed = sql_cell_int64(&s.cells[0], &n);
	sql_statement_clear(&s);
	if (!failed && n != 1)
		return err_set(e,
		    "%s.`%s` is not there, or is no table that can undo what "
		    "is written",
		    database, table);
	return failed;
}

static int
write_row(
    struct database_host *h, size_t i, const char *database, struct err *e)
{
	const struct grant *g = writer_of_table(rows[i].place, rows[i].table);
	struct sql_statement s = {.handle = NULL};
	struct sql_value values[VALUES_MAX];
	char text[1024];
	size_t n = 0;
	int failed;

	if (g == NULL)
		return err_set(e, "nothing is known of %s", rows[i].table);
	while (n < VALUES_MAX && rows[i].values[n] != NULL) {
		values[n] = sql_text(span_of(rows[i].values[n]));
		n++;
	}
	(void)snprintf(text, sizeof(text), "%s%s.`%s`%s", g->before, database,
	    g->table, g->after);
	failed = database_query(h, text, values, n, &s, e);
	sql_statement_clear(&s);
	return failed;
}

/* All rows of one place; nothing of them stays, whatever happens. */
static int
rehearse(struct database_host *h, enum grant_place place, const char *database,
    struct err *e)
{
	struct err ignored;
	int failed = 0;

	for (size_t i = 0; !failed && i < ARRAY_LENGTH(rows); i++)
		if (rows[i].place == place)
			failed = check_engine(h, database, rows[i].table, e);
	if (failed || sql_query_text(&h->sql, "BEGIN", e) != 0)
		return -1;
	for (size_t i = 0; !failed && i < ARRAY_LENGTH(rows); i++)
		if (rows[i].place == place)
			failed = write_row(h, i, database, e);
	if (sql_query_text(&h->sql, "ROLLBACK", failed ? &ignored : e) != 0) {
		/* A session that ends is rolled back by the server. */
		sql_close(&h->sql);
		failed = -1;
	}
	return failed;
}

static int
rehearse_both(struct databases *d, uint32_t server_id, struct err *e)
{
	char name[SQL_QUOTED_SIZE];

	if (databases_name(d, server_id, name, e) != 0 ||
	    rehearse(d->message, GRANT_MESSAGE, name, e) != 0)
		return -1;
	return rehearse(d->main, GRANT_MAIN, d->main_name, e);
}

static int
connect_both(struct databases *d, const struct config *c, struct err *e)
{
	char version[80];

	if (databases_open(d, c, e) != 0 ||
	    databases_open_library(d, version, sizeof(version), e) != 0 ||
	    database_connect(d, d->main, e) != 0)
		return -1;
	return d->message == d->main ? 0 : database_connect(d, d->message, e);
}

void
selftest_rehearse(struct selftest_run *t)
{
	struct databases *d = calloc(1, sizeof(*d));
	struct err e = {.text = "no memory"};

	if (d == NULL || connect_both(d, t->config, &e) != 0)
		/* systemd may have given the password to the forwarder alone;
		 * that its login works was seen before. */
		selftest_say(t, "warn", "rows", -1,
		    "not rehearsed, this command cannot log in: %s", e.text);
	else if (rehearse_both(d, t->state.server_id, &e) != 0)
		selftest_say(t, "FAIL", "rows", -1,
		    "an open, a click and a webhook cannot be written: %s; "
		    "`postal-tracker check` says more",
		    e.text);
	else
		selftest_say(t, "ok", "rows", -1,
		    "an open, a click and a webhook were written to Postal's "
		    "tables and rolled back");
	if (d != NULL)
		databases_clear(d);
	free(d);
}
