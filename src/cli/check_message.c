/*
 * check_message.c - `postal-tracker check`: the message database of each mail
 * server
 *
 * There may be thousands: only those with something wrong get a line, and
 * only the first of these.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/check_mysql.h"

#define LINES_MOST 20

/* What one database came to. */
struct database {
	uint32_t server_id;
	char name[SQL_QUOTED_SIZE]; /* quoted */
	char text[CHECK_LINE_SIZE / 2];
	struct writer w; /* over text: "this; that" */
	bool failed, warned;
};

struct tally {
	struct check_mysql *m;
	size_t failed, warned, lines;
};

static void
add(struct database *b, bool *flag, const char *text)
{
	*flag = true;
	if (b->w.len > 0)
		writer_text(&b->w, "; ");
	writer_text(&b->w, text);
}

/* --- grants ------------------------------------------------------------ */

static bool
is_there(struct check_mysql *m, const struct database *b)
{
	static const char text[] =
	    "SELECT 1 FROM information_schema.schemata WHERE"
	    " schema_name = CONCAT(?, '-server-', ?)";
	struct sql_value values[] = {
	    sql_text(span_of(m->d.targets.prefix)), sql_int64(b->server_id)};
	struct sql_statement s;
	struct err ignored;
	bool there =
	    database_query(m->d.message, text, values, 2, &s, &ignored) == 0 &&
	    sql_fetch(&s, &ignored) == 1;

	sql_statement_clear(&s);
	return there;
}

static void
add_missing_table(
    struct check_mysql *m, struct database *b, const struct grant *g)
{
	char text[256];

	if (!is_there(m, b)) {
		add(b, &b->failed,
		    "it does not exist, or nothing of it is there; its events "
		    "are set aside until Postal has made it again, or the "
		    "mail server is removed");
		return;
	}
	(void)snprintf(text, sizeof(text),
	    "it has no table %s; run `postal upgrade`", g->table);
	add(b, &b->failed, text);
}

/* Without any grant the server does not say what is there. */
static const char *
denied_text(struct check_mysql *m, const struct database *b)
{
	return is_there(m, b) ? "grants are missing; run: "
			      : "it does not exist, or no grant on it is held; "
				"if it exists, run: ";
}

static void
add_denied(struct check_mysql *m, struct database *b, const bool *denied)
{
	bool first = true;

	for (size_t i = 0; i < n_grants; i++) {
		if (!denied[i])
			continue;
		if (first)
			add(b,
			    grants[i].without == NULL ? &b->failed : &b->warned,
			    denied_text(m, b));
		if (grants[i].without == NULL)
			b->failed = true;
		first = false;
		grant_write(&b->w, &grants[i], b->name, m->d.message->account);
		writer_text(&b->w, "; ");
	}
	if (!first)
		b->w.len -= 2;
}

static void
look_at_grants(struct check_mysql *m, struct database *b)
{
	bool denied[GRANTS_MAX] = {false};

	for (size_t i = 0; i < n_grants; i++) {
		struct err e = {.text = ""};

		if (grants[i].place != GRANT_MESSAGE)
			continue;
		switch (
		    grant_test(&m->d.message->sql, &grants[i], b->name, &e)) {
		case GRANT_HELD:
			break;
		case GRANT_DENIED:
			denied[i] = true;
			break;
		case GRANT_NO_TABLE:
			add_missing_table(m, b, &grants[i]);
			return;
		case GRANT_NO_COLUMN:
			add(b, &b->failed, e.text);
			writer_text(&b->w, "; run `postal upgrade`");
			break;
		default:
			add(b, &b->failed, e.text);
			writer_text(
			    &b->w, "; see the log of the database server");
			return;
		}
	}
	add_denied(m, b, denied);
}

/* --- schema ------------------------------------------------------------ */

static void
look_at_version(struct check_mysql *m, struct database *b)
{
	char text[SQL_QUOTED_SIZE + 128];
	struct sql_statement s;
	struct err ignored;
	int64_t version;

	(void)snprintf(text, sizeof(text),
	    "SELECT IFNULL(MAX(version), 0) FROM %s.`migrations`", b->name);
	if (database_query(m->d.message, text, NULL, 0, &s, &ignored) == 0 &&
	    sql_fetch(&s, &ignored) == 1 &&
	    sql_cell_int64(&s.cells[0], &version) == 0 &&
	    version < GRANT_WHOLE_URLS) {
		(void)snprintf(text, sizeof(text),
		    "its schema has version %" PRId64
		    ", and Postal cuts URLs at 255 characters below %d; run "
		    "`postal upgrade`",
		    version, GRANT_WHOLE_URLS);
		add(b, &b->warned, text);
	}
	sql_statement_clear(&s);
}

static void
look_at_engines(struct check_mysql *m, struct database *b)
{
	static const char text[] =
	    "SELECT table_name, engine FROM information_schema.tables"
	    " WHERE table_schema = CONCAT(?, '-server-', ?)"
	    " AND table_name IN ('messages', 'loads', 'clicks')"
	    " AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'";
	struct sql_value values[] = {
	    sql_text(span_of(m->d.targets.prefix)), sql_int64(b->server_id)};
	struct sql_statement s;
	struct err ignored;
	char line[512];

	if (database_query(m->d.message, text, values, 2, &s, &ignored) == 0)
		while (sql_fetch(&s, &ignored) == 1) {
			(void)snprintf(line, sizeof(line),
			    "table %.*s is of engine %.*s, which has no "
			    "transactions; run: ALTER TABLE %s.`%.*s` ENGINE "
			    "= InnoDB",
			    (int)s.cells[0].text.len,
			    (const char *)s.cells[0].text.p,
			    (int)s.cells[1].text.len,
			    (const char *)s.cells[1].text.p, b->name,
			    (int)s.cells[0].text.len,
			    (const char *)s.cells[0].text.p);
			add(b, &b->failed, line);
		}
	sql_statement_clear(&s);
}

/* --- all of them ------------------------------------------------------- */

static void
check_one(struct tally *t, uint32_t server_id)
{
	struct database b = {.server_id = server_id};
	struct err e;

	b.w = writer_of(b.text, sizeof(b.text));
	if (databases_name(&t->m->d, server_id, b.name, &e) != 0) {
		add(&b, &b.failed, e.text);
	} else {
		look_at_grants(t->m, &b);
		look_at_version(t->m, &b);
		look_at_engines(t->m, &b);
	}
	if (!b.failed && !b.warned)
		return;
	t->failed += b.failed;
	t->warned += !b.failed;
	if (t->lines++ >= LINES_MOST)
		return;
	check_say(t->m->k, b.failed ? "FAIL" : "warn",
	    "[message_db] %s: %.*s%s", b.name, (int)b.w.len, b.text,
	    b.w.full ? " ..." : "");
}

void
check_message_databases(struct check_mysql *m)
{
	struct tally t = {.m = m};
	size_t all = m->d.n_servers, i;

	if (!m->message_up || !m->servers) {
		check_say(m->k, "warn",
		    "[message_db] message databases: not looked at, %s; mend "
		    "that first",
		    m->message_up ? "because the mail servers cannot be read"
				  : "without a connection");
		return;
	}
	for (i = 0; i < all && sql_is_open(&m->d.message->sql); i++)
		check_one(&t, m->d.servers[i]);
	if (i < all)
		check_say(m->k, "FAIL",
		    "[message_db] the connection broke after %zu of %zu "
		    "message databases; see the log of the database server",
		    i, all);
	else if (t.failed + t.warned == 0)
		check_say(m->k, "ok",
		    "[message_db] %zu message databases: all tables, columns "
		    "and grants",
		    all);
	else if (t.lines > LINES_MOST)
		check_say(m->k, t.failed > 0 ? "FAIL" : "warn",
		    "[message_db] %zu more like these: of %zu message "
		    "databases %zu cannot be written and %zu want attention; "
		    "`postal-tracker sql` prints all grants",
		    t.lines - LINES_MOST, all, t.failed, t.warned);
	else
		check_say(m->k, "ok",
		    "[message_db] the other %zu of %zu message databases",
		    all - t.failed - t.warned, all);
}
