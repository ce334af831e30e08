/*
 * ledger.c - the table that says which events are in Postal's tables
 *
 * Runs in the forwarder.
 */
#include "forward/ledger.h"

#include "base/array.h"
#include "base/uuid.h"

const char *const ledger_create[] = {
    "CREATE DATABASE IF NOT EXISTS `postal_tracker`",
    "CREATE TABLE IF NOT EXISTS `postal_tracker`.`ledger` ("
    "node CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, "
    "server_id INT UNSIGNED NOT NULL, "
    "part TINYINT UNSIGNED NOT NULL, "
    "last_seq BIGINT UNSIGNED NOT NULL, "
    "PRIMARY KEY (node, server_id, part)) ENGINE=InnoDB",
};
const size_t ledger_n_create = ARRAY_LENGTH(ledger_create);

void
ledger_forget(struct forwarder *f)
{
	f->ledger_feed = 0;
}

/* --- reading ----------------------------------------------------------- */

static int
take_row(struct forwarder *f, const struct sql_cell *cells, uint64_t *most,
    enum ledger_part part, struct err *e)
{
	int64_t server_id, seq;
	struct mail_server *server;

	if (sql_cell_int64(&cells[0], &server_id) != 0 ||
	    sql_cell_int64(&cells[1], &seq) != 0 || server_id < 1 ||
	    server_id > UINT32_MAX || seq < 0)
		return err_set(e, LEDGER_TABLE " holds a row that is none");
	server = mail_servers_take(&f->servers, (uint32_t)server_id, e);
	if (server == NULL)
		return -1;
	if (part == LEDGER_ROWS) {
		server->rows_seq = (uint64_t)seq;
	} else {
		server->hooks_seq = (uint64_t)seq;
		server->hooks_row = true;
	}
	if ((uint64_t)seq > *most)
		*most = (uint64_t)seq;
	return 0;
}

static int
read_part(struct forwarder *f, struct host *h, enum ledger_part part,
    uint64_t *most, struct err *e)
{
	static const char text[] =
	    "SELECT server_id, last_seq FROM " LEDGER_TABLE
	    " WHERE node = ? AND part = ?";
	struct sql_value values[] = {
	    sql_text(span_of(f->node)), sql_int64(part)};
	struct sql_statement *s;
	int got;

	s = host_execute(h, span_of(text), values, ARRAY_LENGTH(values), e);
	if (s == NULL)
		return -1;
	while ((got = sql_fetch(s, e)) == 1)
		if (take_row(f, s->cells, most, part, e) != 0)
			return -1;
	return got;
}

static int
create(struct host *h, struct err *e)
{
	for (size_t i = 0; i < ledger_n_create; i++)
		if (sql_query_text(&h->sql, ledger_create[i], e) != 0 &&
		    i + 1 == ledger_n_create)
			return -1;
	return 0;
}

static int
read_or_create(struct forwarder *f, struct host *h, enum ledger_part part,
    uint64_t *most, struct err *e)
{
	bool missing;

	if (read_part(f, h, part, most, e) == 0)
		return 0;
	missing = h->sql.failure == SQL_GONE || h->sql.failure == SQL_DENIED;
	if (missing && create(h, e) == 0 &&
	    read_part(f, h, part, most, e) == 0) {
		log_notice("ledger created database=%s section=%s",
		    LEDGER_DATABASE, h->section);
		return 0;
	}
	if (!missing || h->sql.failure == SQL_LOST)
		return err_prefix(e, "%s ledger", h->section);
	return err_prefix(e,
	    "%s has no ledger that this user may write; run the output of "
	    "`postal-tracker sql` there as its administrator",
	    h->section);
}

int
ledger_refresh(struct forwarder *f, struct err *e)
{
	uint64_t most = 0, ignored = 0;

	if (f->ledger_feed == f->feed.session &&
	    f->ledger_main == f->main->session &&
	    f->ledger_message == f->message->session)
		return 0;
	mail_servers_forget_ledger(&f->servers);
	uuid_format(f->feed.node, f->node);
	if (read_or_create(f, f->message, LEDGER_ROWS, &most, e) != 0 ||
	    (f->main != f->message &&
		read_or_create(f, f->main, LEDGER_HOOKS, &ignored, e) != 0))
		return -1;
	f->restored = most > f->feed.last_seq;
	f->ledger_feed = f->feed.session;
	f->ledger_main = f->main->session;
	f->ledger_message = f->message->session;
	return 0;
}

/* --- writing ----------------------------------------------------------- */

int
ledger_move(struct forwarder *f, struct host *h, uint32_t server_id,
    enum ledger_part part, uint64_t from, uint64_t to, bool *moved,
    struct err *e)
{
	static const char text[] =
	    "UPDATE " LEDGER_TABLE " SET last_seq = ? WHERE node = ? AND"
	    " server_id = ? AND part = ? AND last_seq = ?";
	struct sql_value values[] = {sql_uint64(to), sql_text(span_of(f->node)),
	    sql_int64(server_id), sql_int64(part), sql_uint64(from)};
	struct sql_statement *s =
	    host_execute(h, span_of(text), values, ARRAY_LENGTH(values), e);

	if (s == NULL)
		return err_prefix(e, "ledger");
	*moved = sql_affected_rows(s) == 1;
	return 0;
}

int
ledger_begin(struct forwarder *f, struct host *h, uint32_t server_id,
    enum ledger_part part, uint64_t seq, struct err *e)
{
	static const char text[] =
	    "INSERT IGNORE INTO " LEDGER_TABLE
	    " (node, server_id, part, last_seq) VALUES (?, ?, ?, ?)";
	struct sql_value values[] = {sql_text(span_of(f->node)),
	    sql_int64(server_id), sql_int64(part), sql_uint64(seq)};

	if (host_execute(h, span_of(text), values, ARRAY_LENGTH(values), e) ==
	    NULL)
		return err_prefix(e, "ledger");
	return 0;
}
