/*
 * check_schema.c - `postal-tracker check`: Postal's main database and the
 * ledger
 *
 * Grants and columns are looked at by having the server prepare statements
 * that are never executed.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/check_mysql.h"
#include "forward/ledger.h"

/* --- grants ------------------------------------------------------------ */

static void
say_grant(struct check_mysql *m, const struct database_host *h,
    const struct grant *g, const char *database, enum grant_state state,
    const struct err *e)
{
	const char *verdict = g->without != NULL ? "warn" : "FAIL";
	const char *without =
	    g->without != NULL ? g->without : "nothing is forwarded";
	char text[2048];
	struct writer w = writer_of(text, sizeof(text));

	grant_write(&w, g, database, h->account);
	switch (state) {
	case GRANT_DENIED:
		check_say(m->k, verdict,
		    "%s %s on %s.`%s` is missing, %s; run: %.*s;", h->section,
		    g->what, database, g->table, without, (int)w.len, text);
		break;
	case GRANT_NO_TABLE:
		check_say(m->k, verdict,
		    "%s there is no table %s.`%s`, %s; is this the database "
		    "of Postal, and was `postal initialize` run?",
		    h->section, database, g->table, without);
		break;
	case GRANT_NO_COLUMN:
		check_say(m->k, verdict,
		    "%s %s.`%s` has not all columns that are used, %s: %s; "
		    "run `postal upgrade`",
		    h->section, database, g->table, without, e->text);
		break;
	default:
		check_say(m->k, "FAIL",
		    "%s %s.`%s`: %s; see the log of the database server",
		    h->section, database, g->table, e->text);
	}
}

/* Says each that is missing. Returns how many are. */
static size_t
check_grants(struct check_mysql *m, struct database_host *h,
    enum grant_place place, const char *database)
{
	size_t missing = 0;

	for (size_t i = 0; i < n_grants; i++) {
		struct err e = {.text = ""};
		enum grant_state state;

		if (grants[i].place != place)
			continue;
		state = grant_test(&h->sql, &grants[i], database, &e);
		if (state != GRANT_HELD) {
			missing++;
			say_grant(m, h, &grants[i], database, state, &e);
		}
	}
	return missing;
}

/* --- tables ------------------------------------------------------------ */

/* Where one statement is undone, the other has to be. */
static void
check_engine(struct check_mysql *m, struct database_host *h,
    struct span database, const char *table)
{
	static const char text[] =
	    "SELECT engine FROM information_schema.tables"
	    " WHERE table_schema = ? AND table_name = ?"
	    " AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'";
	struct sql_value values[] = {
	    sql_text(database), sql_text(span_of(table))};
	struct sql_statement s;
	struct err e;

	if (database_query(h, text, values, 2, &s, &e) == 0 &&
	    sql_fetch(&s, &e) == 1)
		check_say(m->k, "FAIL",
		    "%s table %s of %.*s is of engine %.*s, which has no "
		    "transactions: events could be written twice; run: ALTER "
		    "TABLE `%s` ENGINE = InnoDB",
		    h->section, table, (int)database.len,
		    (const char *)database.p, (int)s.cells[0].text.len,
		    (const char *)s.cells[0].text.p, table);
	sql_statement_clear(&s);
}

/* Whether it is surely one that has no certificates of its own. */
static bool
check_generation(struct check_mysql *m)
{
	static const char text[] =
	    "SELECT COUNT(*) FROM information_schema.columns"
	    " WHERE table_schema = ? AND table_name = 'webhook_requests'"
	    " AND column_name = 'locked_by'";
	struct sql_value database =
	    sql_text(span_of(m->k->config->main_db.database));
	struct sql_statement s;
	struct err e = {.text = ""};
	int64_t n = 0;

	if (database_query(m->d.main, text, &database, 1, &s, &e) != 0 ||
	    sql_fetch(&s, &e) != 1 || sql_cell_int64(&s.cells[0], &n) != 0)
		check_say(m->k, "FAIL",
		    "[main_db] generation of Postal: %s; see the log of the "
		    "database server",
		    e.text);
	else
		check_say(m->k, "ok", "[main_db] Postal %s",
		    n > 0 ? "3.x" : "1.x or 2.x");
	sql_statement_clear(&s);
	return n > 0;
}

static void
count_certificates(struct check_mysql *m)
{
	char text[SQL_QUOTED_SIZE + 160];
	struct sql_statement s;
	struct err e = {.text = ""};
	int64_t n = 0;

	(void)snprintf(text, sizeof(text),
	    "SELECT COUNT(*) FROM %s.`track_certificates` WHERE certificate <> "
	    "'' AND expires_at > UTC_TIMESTAMP()",
	    m->d.main_name);
	if (database_query(m->d.main, text, NULL, 0, &s, &e) == 0 &&
	    sql_fetch(&s, &e) == 1 && sql_cell_int64(&s.cells[0], &n) == 0 &&
	    n > 0)
		check_say(m->k, "ok",
		    "[main_db] track_certificates: %" PRId64
		    " certificates of Postal 1.x",
		    n);
	sql_statement_clear(&s);
}

/* A server names a table that is not there only to those who have a grant on
 * it: without one this is no warning, but what to do if it should be used. */
static void
check_postal1(struct check_mysql *m, bool surely_not)
{
	for (size_t i = 0; i < n_grants; i++) {
		struct err e = {.text = ""};
		enum grant_state state;

		if (grants[i].place != GRANT_POSTAL1)
			continue;
		state =
		    grant_test(&m->d.main->sql, &grants[i], m->d.main_name, &e);
		if (state == GRANT_HELD)
			count_certificates(m);
		else if (state == GRANT_DENIED && !surely_not)
			check_say(m->k, "ok",
			    "[main_db] no %s that this account may read: %s; "
			    "if there are any, run the output of "
			    "`postal-tracker sql`",
			    grants[i].table, grants[i].without);
		else if (state != GRANT_DENIED && state != GRANT_NO_TABLE)
			say_grant(m, m->d.main, &grants[i], m->d.main_name,
			    state, &e);
	}
}

/* --- webhooks ---------------------------------------------------------- */

/* Postal itself answers every click of such a server with an error. */
static void
check_webhooks(struct check_mysql *m)
{
	char text[SQL_QUOTED_SIZE + 128];
	struct sql_statement s;
	struct err e = {.text = ""};
	int got = -1;

	(void)snprintf(text, sizeof(text),
	    "SELECT id, server_id FROM %s.`webhooks` WHERE enabled = 1"
	    " AND server_id > 0 AND IFNULL(url, '') = '' ORDER BY id LIMIT 20",
	    m->d.main_name);
	if (database_query(m->d.main, text, NULL, 0, &s, &e) == 0)
		while ((got = sql_fetch(&s, &e)) == 1)
			check_say(m->k, "warn",
			    "[main_db] webhook %.*s of server %.*s has no "
			    "URL and is skipped; give it one or disable it "
			    "in Postal",
			    (int)s.cells[0].text.len,
			    (const char *)s.cells[0].text.p,
			    (int)s.cells[1].text.len,
			    (const char *)s.cells[1].text.p);
	/* A missing grant was said before. */
	if (got != 0 && m->d.main->sql.failure != SQL_DENIED)
		check_say(m->k, "FAIL",
		    "[main_db] webhooks: %s; see the log of the database "
		    "server",
		    e.text);
	sql_statement_clear(&s);
}

/* --- the main database ------------------------------------------------- */

static bool
enter_main(struct check_mysql *m)
{
	char text[SQL_QUOTED_SIZE + 8];
	struct err e;

	(void)snprintf(text, sizeof(text), "USE %s", m->d.main_name);
	if (sql_query_text(&m->d.main->sql, text, &e) == 0)
		return true;
	check_say(m->k, "FAIL",
	    "[main_db] database: %s; correct the name, or, if it is right, "
	    "run the output of `postal-tracker sql` as an administrator of "
	    "the server",
	    e.text);
	return false;
}

static void
check_main(struct check_mysql *m)
{
	const char *database = m->k->config->main_db.database;
	struct err e;

	if (!enter_main(m))
		return;
	if (check_grants(m, m->d.main, GRANT_MAIN, m->d.main_name) == 0)
		check_say(m->k, "ok",
		    "[main_db] database %s: all tables, columns and grants",
		    m->d.main_name);
	check_postal1(m, check_generation(m));
	check_engine(m, m->d.main, span_of(database), "webhook_requests");
	check_webhooks(m);
	check_tracking_domains(m);
	m->servers = databases_read_servers(&m->d, &e) == 0;
}

/* --- the ledger -------------------------------------------------------- */

/* Whether the forwarder may make the table, and so will. */
static bool
may_create(struct database_host *h)
{
	struct sql_statement s = {.handle = NULL};
	struct err ignored;
	bool may =
	    sql_prepare(&h->sql, span_of(ledger_create[ledger_n_create - 1]),
		&s, &ignored) == 0;

	sql_statement_clear(&s);
	return may;
}

static bool
is_ledger_there(struct database_host *h)
{
	struct err ignored;

	for (size_t i = 0; i < n_grants; i++)
		if (grants[i].place == GRANT_LEDGER &&
		    grant_test(&h->sql, &grants[i], "`" LEDGER_DATABASE "`",
			&ignored) == GRANT_HELD)
			return true;
	return false;
}

static void
check_ledger(struct check_mysql *m, struct database_host *h)
{
	if (!is_ledger_there(h)) {
		if (may_create(h))
			check_say(m->k, "ok",
			    "%s ledger: not there yet; the forwarder makes it",
			    h->section);
		else
			check_say(m->k, "FAIL",
			    "%s ledger: there is none that %s may use, nothing "
			    "is forwarded; run the output of `postal-tracker "
			    "sql` as an administrator of the server",
			    h->section, h->account);
		return;
	}
	if (check_grants(m, h, GRANT_LEDGER, "`" LEDGER_DATABASE "`") == 0)
		check_say(m->k, "ok", "%s ledger: " LEDGER_TABLE, h->section);
	check_engine(m, h, span_of(LEDGER_DATABASE), LEDGER_TABLE_NAME);
}

void
check_schema(struct check_mysql *m)
{
	if (m->main_up) {
		check_main(m);
		check_ledger(m, m->d.main);
	}
	if (m->message_up && m->d.message != m->d.main)
		check_ledger(m, m->d.message);
}
