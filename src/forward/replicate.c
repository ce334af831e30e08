/*
 * replicate.c - Postal's tables of servers and tracking domains, to the store
 *
 * Runs in the forwarder. Read every few seconds, sent when they changed.
 */
#include "forward/parts.h"
#include "forward/replica.h"

#include <inttypes.h>

#include "base/clock.h"

#define SERVERS_EVERY_MS 5000
#define DOMAINS_EVERY_MS 30000
/* Characters of a token that is not ASCII. */
#define FOLDED_MAX (SQL_COLUMNS_MAX - 1)
/* --- servers ----------------------------------------------------------- */

static struct sql_statement *
select_servers(struct forwarder *f, struct err *e)
{
	return host_execute(f->main,
	    span_of("SELECT id, token FROM servers ORDER BY id"), NULL, 0, e);
}

static int
take_server(struct forwarder *f, const struct sql_cell *cells, struct err *e)
{
	struct mail_server *server;
	int64_t id;

	if (sql_cell_int64(&cells[0], &id) != 0 || id < 1 || id > UINT32_MAX)
		return 0;
	server = mail_servers_take(&f->servers, (uint32_t)id, e);
	if (server == NULL)
		return -1;
	server->present = true;
	server->token_len = 0;
	/* A token that no URL can hold is none. */
	if (!cells[1].null && cells[1].text.len <= sizeof(server->token)) {
		server->token_len = (uint8_t)cells[1].text.len;
		for (size_t i = 0; i < cells[1].text.len; i++)
			server->token[i] = cells[1].text.p[i];
	}
	return 0;
}

static bool
is_ascii(const struct mail_server *server)
{
	for (size_t i = 0; i < server->token_len; i++)
		if (server->token[i] >= 0x80)
			return false;
	return true;
}

/*
 * A token with letters that are not ASCII is found by the ASCII letters that
 * its column's collation takes for equal, if there are any; only the database
 * knows those. No generator of Postal makes such tokens.
 */
static int
fold_token(struct forwarder *f, struct mail_server *server, struct err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	struct writer w = writer_of(f->text, FORWARD_TEXT_SIZE);
	struct sql_value id = sql_int64(server->id);
	char part[64];
	struct sql_statement *s;
	int64_t at;

	for (int i = 1; i <= FOLDED_MAX; i++) {
		(void)snprintf(part, sizeof(part),
		    "%sFIELD(SUBSTRING(token, %d, 1)", i == 1 ? "SELECT " : ",",
		    i);
		writer_text(&w, part);
		for (const char *c = letters; *c != '\0'; c++) {
			writer_text(&w, ",'");
			writer_u8(&w, (uint8_t)*c);
			writer_text(&w, "'");
		}
		writer_text(&w, ")");
	}
	writer_text(&w, ", CHAR_LENGTH(token) FROM servers WHERE id = ?");
	s = host_execute(f->main, writer_span(&w), &id, 1, e);
	server->token_len = 0;
	if (s == NULL || sql_fetch(s, e) != 1 ||
	    sql_cell_int64(&s->cells[FOLDED_MAX], &at) != 0)
		return s == NULL ? -1 : 0;
	for (int i = 0; at <= FOLDED_MAX && i < at; i++) {
		int64_t letter = 0;

		if (sql_cell_int64(&s->cells[i], &letter) != 0 || letter < 1) {
			server->token_len = 0;
			break;
		}
		server->token[server->token_len++] =
		    (uint8_t)letters[letter - 1];
	}
	return 0;
}

/* What follows from a server being there, or not any more. */
static int
settle_server(struct forwarder *f, struct mail_server *server, struct err *e)
{
	if (server->present && !is_ascii(server))
		return fold_token(f, server, e);
	/* The store forgets its links; they are read again if it comes
	 * back. */
	if (!server->present)
		mail_server_forget_replica(server);
	return 0;
}

static int
read_servers(struct forwarder *f, struct err *e)
{
	struct sql_statement *s = select_servers(f, e);
	int got;

	if (s == NULL)
		return err_prefix(e, "servers");
	/* The result is whole in memory from here on. */
	for (size_t i = 0; i < f->servers.n; i++)
		f->servers.list[i]->present = false;
	while ((got = sql_fetch(s, e)) == 1)
		if (take_server(f, s->cells, e) != 0)
			return -1;
	for (size_t i = 0; got == 0 && i < f->servers.n; i++)
		if (settle_server(f, f->servers.list[i], e) != 0)
			return -1;
	return got;
}

static int
put_servers(struct parts *p, struct err *e)
{
	const struct mail_servers *all = &p->f->servers;

	for (size_t i = 0; i < all->n; i++) {
		const struct mail_server *server = all->list[i];
		struct ipc_server_row row = {
		    server->id, {server->token, server->token_len}};

		if (server->present && server->token_len > 0 &&
		    parts_put(p, &row, e) != 0)
			return -1;
	}
	return parts_end(p, e);
}

static int
replicate_servers(struct forwarder *f, struct err *e)
{
	struct parts look, send;

	if (read_servers(f, e) != 0)
		return -1;
	/* Events go on also when the store cannot save the table. */
	f->servers_known = true;
	look = parts_of(f, IPC_KNOWN_SERVERS, &ipc_server_row_record, false);
	if (put_servers(&look, e) != 0)
		return -1;
	if (look.hash == f->servers_sent)
		return 0;
	send = parts_of(f, IPC_KNOWN_SERVERS, &ipc_server_row_record, true);
	if (put_servers(&send, e) != 0)
		return -1;
	f->servers_sent = send.hash;
	log_info(
	    "replicate servers=%zu", mail_servers_count(&f->servers, false));
	return 0;
}

/* --- tracking domains -------------------------------------------------- */

static const char domains_text[] =
    "SELECT t.server_id, CONCAT(t.name, '.', d.name),"
    " IFNULL(t.dns_status = 'OK', 0), IFNULL(t.ssl_enabled, 0)"
    " FROM track_domains t JOIN domains d ON d.id = t.domain_id"
    " WHERE t.server_id > 0 ORDER BY 2, 1";

static int
put_domains(struct parts *p, struct err *e)
{
	struct sql_statement *s =
	    host_execute(p->f->main, span_of(domains_text), NULL, 0, e);
	int got;

	if (s == NULL)
		return -1;
	while ((got = sql_fetch(s, e)) == 1) {
		int64_t server_id = 0, ok = 0, ssl = 0;
		struct ipc_domain_row row;

		if (sql_cell_int64(&s->cells[0], &server_id) != 0 ||
		    s->cells[1].null || s->cells[1].text.len == 0)
			continue;
		(void)sql_cell_int64(&s->cells[2], &ok);
		(void)sql_cell_int64(&s->cells[3], &ssl);
		row = (struct ipc_domain_row){
		    (uint32_t)server_id, ok != 0, ssl != 0, s->cells[1].text};
		if (parts_put(p, &row, e) != 0)
			return -1;
	}
	if (got != 0)
		return -1;
	return parts_end(p, e);
}

static int
replicate_domains(struct forwarder *f, struct err *e)
{
	struct parts look, send;
	uint64_t held_back;

	look = parts_of(f, IPC_KNOWN_DOMAINS, &ipc_domain_row_record, false);
	if (put_domains(&look, e) != 0) {
		if (f->main->sql.failure != SQL_DENIED &&
		    f->main->sql.failure != SQL_GONE)
			return -1;
		/* Clicks and opens do not need them. */
		if (log_limit_pass(
			&f->log_domains, clock_mono_ms(), &held_back))
			log_warn("tracking domains cannot be read: %s; grant "
				 "SELECT on track_domains and domains",
			    e->text);
		return 0;
	}
	if (look.hash == f->domains_sent)
		return 0;
	send = parts_of(f, IPC_KNOWN_DOMAINS, &ipc_domain_row_record, true);
	if (put_domains(&send, e) != 0)
		return -1;
	f->domains_sent = send.hash;
	return 0;
}

/* --- turns ------------------------------------------------------------- */

static int
replicate_main(struct forwarder *f, struct err *e)
{
	uint64_t now = clock_mono_ms();

	if (now >= f->servers_at_ms) {
		if (replicate_servers(f, e) != 0)
			return -1;
		f->servers_at_ms = now + SERVERS_EVERY_MS;
	}
	if (now >= f->domains_at_ms) {
		if (replicate_domains(f, e) != 0)
			return -1;
		f->domains_at_ms = now + DOMAINS_EVERY_MS;
	}
	return 0;
}

enum turn
forward_replicate(struct forwarder *f)
{
	uint64_t now = clock_mono_ms();
	struct err e;

	if (now < f->replicate_try_ms)
		return TURN_IDLE;
	if (replicate_main(f, &e) == 0)
		return forward_replicate_links(f);
	replica_note_lag(f, true);
	forward_note_error(f, &f->log_links, &e);
	f->replicate_try_ms = now + 2000;
	return TURN_FAILED;
}
