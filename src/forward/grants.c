/*
 * grants.c - what the forwarder may do in Postal's databases, and no more
 *
 * Runs in the commands `sql` and `check`. Statements are prepared and never
 * executed: a server refuses to prepare what the account may not do, so that
 * asking changes nothing.
 */
#include "forward/grants.h"

#include <assert.h>

#include "base/array.h"
#include "forward/ledger.h"

/* clang-format off: one shape for all rows. */
const struct grant grants[] = {
    {GRANT_MAIN, "servers", "SELECT", "SELECT id, token FROM ", "", NULL},
    {GRANT_MAIN, "webhooks", "SELECT",
	"SELECT id, server_id, url, all_events, enabled FROM ", "", NULL},
    {GRANT_MAIN, "webhook_events", "SELECT", "SELECT webhook_id, event FROM ",
	"", NULL},
    {GRANT_MAIN, "webhook_requests", "INSERT", "INSERT INTO ",
	" (server_id, webhook_id, url, event, uuid, payload,"
	" attempts, retry_after, created_at) VALUES (?,?,?,?,?,?,?,?,?)",
	NULL},
    {GRANT_MAIN, "track_domains", "SELECT",
	"SELECT server_id, domain_id, name, dns_status, ssl_enabled FROM ", "",
	"tracking domains are not known here"},
    {GRANT_MAIN, "domains", "SELECT", "SELECT id, name FROM ", "",
	"tracking domains are not known here"},

    {GRANT_POSTAL1, "track_certificates", "SELECT",
	"SELECT id, domain, certificate, intermediaries, `key`, expires_at,"
	" verification_path, verification_string FROM ",
	"", "certificates and challenges of Postal 1.x are not used"},

    {GRANT_MESSAGE, "links", "SELECT",
	"SELECT id, message_id, token, url, timestamp FROM ", "", NULL},
    {GRANT_MESSAGE, "messages", "SELECT",
	"SELECT id, token, loaded, clicked, scope, message_id, rcpt_to,"
	" mail_from, subject, timestamp, tag, inspected, spam FROM ",
	"", NULL},
    {GRANT_MESSAGE, "messages", "UPDATE (loaded, clicked)", "UPDATE ",
	" SET loaded = ?, clicked = ? LIMIT 0", NULL},
    {GRANT_MESSAGE, "loads", "INSERT", "INSERT INTO ",
	" (message_id, ip_address, user_agent, timestamp)"
	" VALUES (?,?,?,?)",
	NULL},
    {GRANT_MESSAGE, "clicks", "INSERT", "INSERT INTO ",
	" (message_id, link_id, ip_address, user_agent,"
	" timestamp) VALUES (?,?,?,?,?)",
	NULL},
    {GRANT_MESSAGE, "migrations", "SELECT", "SELECT version FROM ", "",
	"`check` cannot see the schema's version"},

    {GRANT_LEDGER, LEDGER_TABLE_NAME, "SELECT",
	"SELECT node, server_id, part, last_seq FROM ", "", NULL},
    {GRANT_LEDGER, LEDGER_TABLE_NAME, "INSERT", "INSERT IGNORE INTO ",
	" (node, server_id, part, last_seq)"
	" VALUES (?,?,?,?)",
	NULL},
    {GRANT_LEDGER, LEDGER_TABLE_NAME, "UPDATE", "UPDATE ",
	" SET last_seq = ? LIMIT 0", NULL},
};
/* clang-format on */

const size_t n_grants = ARRAY_LENGTH(grants);

static_assert(ARRAY_LENGTH(grants) <= GRANTS_MAX, "GRANTS_MAX is too small");

/* --- asking ------------------------------------------------------------ */

static enum grant_state
state_of(unsigned int number)
{
	switch (number) {
	case 1044: /* no grant on the database */
	case 1142: /* on the table */
	case 1143: /* on the column */
		return GRANT_DENIED;
	case 1049: /* no such database */
	case 1146: /* no such table */
		return GRANT_NO_TABLE;
	case 1054: /* no such column */
		return GRANT_NO_COLUMN;
	default:
		return GRANT_UNKNOWN;
	}
}

enum grant_state
grant_test(
    struct sql *c, const struct grant *g, const char *database, struct err *e)
{
	struct sql_statement s = {.handle = NULL};
	char text[1024];
	struct writer w = writer_of(text, sizeof(text));
	enum grant_state state = GRANT_HELD;

	writer_text(&w, g->before);
	writer_text(&w, database);
	writer_text(&w, ".`");
	writer_text(&w, g->table);
	writer_text(&w, "`");
	writer_text(&w, g->after);
	if (sql_prepare(c, writer_span(&w), &s, e) != 0)
		state = state_of(c->number);
	sql_statement_clear(&s);
	return state;
}

/* --- text -------------------------------------------------------------- */

void
grant_write(struct writer *w, const struct grant *g, const char *database,
    const char *account)
{
	writer_text(w, "GRANT ");
	writer_text(w, g->what);
	writer_text(w, " ON ");
	writer_text(w, database);
	writer_text(w, ".`");
	writer_text(w, g->table);
	writer_text(w, "` TO ");
	writer_text(w, account);
}

static void
quote(struct writer *w, struct span name)
{
	writer_u8(w, '\'');
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '\'' || name.p[i] == '\\')
			writer_u8(w, name.p[i]);
		writer_u8(w, name.p[i]);
	}
	writer_u8(w, '\'');
}

void
grant_write_where_there(struct writer *w, const struct grant *g,
    const char *plain, const char *database, const char *account)
{
	char text[2048];
	struct writer statement = writer_of(text, sizeof(text));

	grant_write(&statement, g, database, account);
	writer_text(w, "SET @s = IF((SELECT COUNT(*) FROM"
		       " information_schema.tables WHERE table_schema = ");
	quote(w, span_of(plain));
	writer_text(w, " AND table_name = ");
	quote(w, span_of(g->table));
	writer_text(w, ") > 0, ");
	quote(w, writer_span(&statement));
	writer_text(w, ", 'DO 0');\nPREPARE s FROM @s;\nEXECUTE s;\n"
		       "DEALLOCATE PREPARE s");
}

const char *
grant_quote_account(struct span user, struct span host, char *text, size_t size)
{
	struct writer w = writer_of(text, size - 1);

	quote(&w, user);
	writer_u8(&w, '@');
	quote(&w, host);
	text[w.len] = '\0';
	return text;
}

/* Behind the last @: a host has none, a user may. */
static size_t
find_host(struct span account)
{
	size_t at = account.len;

	while (at > 0 && account.p[at - 1] != '@')
		at--;
	return at;
}

int
grant_account(struct sql *c, char text[GRANT_ACCOUNT_SIZE], struct err *e)
{
	struct sql_statement s = {.handle = NULL};
	int failed = -1;

	if (sql_prepare(c, span_of("SELECT CURRENT_USER()"), &s, e) == 0 &&
	    sql_execute(&s, NULL, 0, e) == 0 && sql_fetch(&s, e) == 1) {
		struct span all = s.cells[0].text;
		size_t host = s.cells[0].null ? 0 : find_host(all);

		if (host == 0) {
			(void)err_set(e, "the server does not say which "
					 "account this is");
		} else {
			(void)grant_quote_account(
			    (struct span){all.p, host - 1},
			    (struct span){all.p + host, all.len - host}, text,
			    GRANT_ACCOUNT_SIZE);
			failed = 0;
		}
	}
	sql_statement_clear(&s);
	return failed;
}
