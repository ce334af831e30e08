/*
 * databases.c - Postal's databases, for the commands `check` and `sql`
 */
#include "forward/databases.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "forward/library.h"

/* An account of one machine is enough for a Unix socket. */
static void
guess_account(struct database_host *h)
{
	bool local = h->target.socket[0] != '\0';

	(void)grant_quote_account(span_of(h->target.user),
	    span_of(local ? "localhost" : "%"), h->account, sizeof(h->account));
}

static void
init_host(struct database_host *h, const char *section,
    const struct sql_target *target)
{
	h->section = section;
	h->target = *target;
	/* What the account may not enter is found out later, and said. */
	h->target.database = "";
	if (target->socket[0] != '\0')
		(void)snprintf(
		    h->place, sizeof(h->place), "%.300s", target->socket);
	else
		(void)snprintf(h->place, sizeof(h->place), "%s port %u",
		    target->host, target->port);
	guess_account(h);
}

int
databases_open(struct databases *d, const struct config *c, struct err *e)
{
	int failed;

	memset(d, 0, sizeof(*d));
	failed = targets_open(c, &d->targets, e);
	init_host(&d->main_host, "[main_db]", &d->targets.main);
	init_host(&d->message_host, "[message_db]", &d->targets.message);
	d->main = &d->main_host;
	d->message = d->targets.same_connection ? d->main : &d->message_host;
	if (sql_quote_name(span_of(c->main_db.database), d->main_name) != 0)
		return err_set(e,
		    "[main_db] database: no database can be named %s",
		    c->main_db.database);
	return failed;
}

void
databases_clear(struct databases *d)
{
	sql_close(&d->main_host.sql);
	sql_close(&d->message_host.sql);
	targets_clear(&d->targets);
	free(d->library);
	free(d->servers);
	d->library = NULL;
	d->servers = NULL;
}

int
databases_open_library(
    struct databases *d, char *version, size_t size, struct err *e)
{
	struct sql_library *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return err_errno(e, "no memory for the client library");
	if (sql_library_open(l, e) != 0) {
		free(l);
		return -1;
	}
	(void)sql_library_version(l, version, size);
	d->library = l;
	return 0;
}

int
database_connect(struct databases *d, struct database_host *h, struct err *e)
{
	assert(d->library != NULL);
	sql_init(&h->sql, d->library);
	if (sql_connect(&h->sql, &h->target, e) != 0)
		return -1;
	return grant_account(&h->sql, h->account, e);
}

int
database_query(struct database_host *h, const char *text,
    const struct sql_value *values, size_t n, struct sql_statement *s,
    struct err *e)
{
	*s = (struct sql_statement){.handle = NULL};
	if (sql_prepare(&h->sql, span_of(text), s, e) != 0)
		return -1;
	return sql_execute(s, values, n, e);
}

/* --- mail servers ------------------------------------------------------ */

static int
take_servers(struct databases *d, struct sql_statement *s, struct err *e)
{
	int got;

	while ((got = sql_fetch(s, e)) == 1) {
		uint32_t *grown;
		int64_t id;

		if (sql_cell_int64(&s->cells[0], &id) != 0 || id < 1 ||
		    id > UINT32_MAX)
			continue;
		grown = array_with_room(
		    d->servers, d->n_servers, sizeof(d->servers[0]));
		if (grown == NULL)
			return err_errno(e, "no memory for servers");
		d->servers = grown;
		d->servers[d->n_servers++] = (uint32_t)id;
	}
	return got;
}

int
databases_read_servers(struct databases *d, struct err *e)
{
	struct sql_statement s;
	char text[SQL_QUOTED_SIZE + 64];
	int failed;

	(void)snprintf(text, sizeof(text),
	    "SELECT id FROM %s.`servers` ORDER BY id", d->main_name);
	failed = database_query(d->main, text, NULL, 0, &s, e) != 0 ||
		 take_servers(d, &s, e) != 0;
	sql_statement_clear(&s);
	return failed ? -1 : 0;
}

int
databases_name(const struct databases *d, uint32_t server_id,
    char name[SQL_QUOTED_SIZE], struct err *e)
{
	char plain[CONFIG_TEXT_SIZE + 32];

	(void)snprintf(plain, sizeof(plain), "%s-server-%" PRIu32,
	    d->targets.prefix, server_id);
	if (sql_quote_name(span_of(plain), name) != 0)
		return err_set(e,
		    "[message_db] prefix: no database can be named %s", plain);
	return 0;
}
