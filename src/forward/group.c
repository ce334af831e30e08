/*
 * group.c - events of one mail server into its message database
 *
 * Runs in the forwarder. The ledger comes first in the transaction: its row
 * is locked until the end, so that what a former connection of ours still has
 * under way is over before anything is written again.
 */
#include "forward/group.h"

#include "base/array.h"
#include "forward/ledger.h"
#include "forward/value.h"

/* Rows of one INSERT at most. */
#define ROWS_MOST 512
/* Connections that one server's statements may cost, one after another. */
#define CUTS_MOST 3

static bool
is_kind(const struct group_event *e, enum ipc_event_kind kind)
{
	return e->row->event.kind == kind;
}

/* --- loads and clicks -------------------------------------------------- */

struct column_texts {
	char ip[ADDR_TEXT_SIZE];
	char at[FORWARD_TIME_SIZE];
	uint8_t agent[FORWARD_AGENT_SIZE];
};

/* message_id, [link_id,] ip_address, user_agent, timestamp */
static int
row_values(struct group *g, const struct group_event *e,
    struct sql_value **values, struct err *err)
{
	const struct ipc_event *event = &e->row->event;
	struct column_texts *t = arena_take(&g->f->work, sizeof(*t));
	struct span agent = {NULL, 0};
	struct sql_value *v = *values;

	if (t == NULL)
		return err_errno(err, "no memory for rows");
	if ((event->flags & IPC_EVENT_HAS_AGENT) != 0)
		agent = event->user_agent;
	forward_ip_format(event->ip, t->ip);
	forward_time_format(event->at_us, t->at);
	*v++ = sql_int64(e->message->id);
	if (is_kind(e, IPC_EVENT_CLICK))
		*v++ = sql_uint64(event->link_id);
	*v++ = sql_text(span_of(t->ip));
	agent = forward_user_agent(agent, t->agent);
	if (g->narrow && agent.len > 0)
		agent.len = forward_narrow(t->agent, agent.len);
	*v++ = sql_text(agent);
	*v++ = sql_decimal(span_of(t->at));
	*values = v;
	return 0;
}

static int
insert_chunk(struct group *g, const char *into, const char *row,
    const struct sql_value *values, size_t n_rows, size_t columns,
    struct err *e)
{
	struct writer w = writer_of(g->f->text, FORWARD_TEXT_SIZE);
	char next[32];
	struct writer n = writer_of(next, sizeof(next));

	writer_text(&n, ",");
	writer_text(&n, row);
	writer_u8(&n, 0);
	writer_text(&w, "INSERT INTO ");
	writer_text(&w, g->server->database);
	writer_text(&w, into);
	writer_text(&w, " VALUES ");
	placeholders_write(&w, row, next, n_rows);
	return host_execute(g->f->message, writer_span(&w), values,
		   n_rows * columns, e) == NULL
		   ? -1
		   : 0;
}

static int
insert_rows(struct group *g, enum ipc_event_kind kind, struct err *e)
{
	bool click = kind == IPC_EVENT_CLICK;
	size_t columns = click ? 5 : 4, n = 0;
	struct sql_value *values =
	    arena_take(&g->f->work, (g->n * columns + 1) * sizeof(values[0]));
	struct sql_value *end = values;

	if (values == NULL)
		return err_errno(e, "no memory for rows");
	for (size_t i = 0; i < g->n; i++) {
		if (g->events[i].message == NULL ||
		    group_has_row(&g->events[i]) ||
		    !is_kind(&g->events[i], kind))
			continue;
		if (row_values(g, &g->events[i], &end, e) != 0)
			return -1;
		n++;
	}
	while (n > 0) {
		size_t chunk = placeholders_chunk(n, ROWS_MOST);

		if (insert_chunk(g,
			click ? ".clicks (message_id, link_id, ip_address,"
				" user_agent, timestamp)"
			      : ".loads (message_id, ip_address, user_agent,"
				" timestamp)",
			click ? "(?,?,?,?,?)" : "(?,?,?,?)", values, chunk,
			columns, e) != 0)
			return -1;
		values += chunk * columns;
		n -= chunk;
	}
	return 0;
}

/* --- messages ---------------------------------------------------------- */

static int
update_chunk(struct group *g, const char *column, const char *condition,
    struct sql_value *values, size_t n, struct err *e)
{
	struct writer w = writer_of(g->f->text, FORWARD_TEXT_SIZE);
	size_t padded = placeholders_padded(n);

	/* The last one again: the same update twice is one. */
	for (size_t i = n; i < padded; i++) {
		values[2 * i] = values[2 * n - 2];
		values[2 * i + 1] = values[2 * n - 1];
	}
	writer_text(&w, "UPDATE ");
	writer_text(&w, g->server->database);
	writer_text(&w, ".messages m JOIN (");
	placeholders_write(&w,
	    "SELECT CAST(? AS SIGNED) AS id, CAST(? AS DECIMAL(18,6)) AS t",
	    " UNION ALL SELECT ?,?", padded);
	writer_text(&w, ") v ON v.id = m.id SET m.");
	writer_text(&w, column);
	writer_text(&w, " = v.t WHERE ");
	writer_text(&w, condition);
	return host_execute(g->f->message, writer_span(&w), values, 2 * padded,
		   e) == NULL
		   ? -1
		   : 0;
}

/* The messages that have an event in this group, ascending ids. */
static int
update_messages(struct group *g, bool click, struct err *e)
{
	struct group_message *list = click ? g->by_id : g->by_token;
	size_t n_list = click ? g->n_by_id : g->n_by_token, n = 0;
	struct sql_value *values = arena_take(&g->f->work,
	    2 * placeholders_padded(n_list + 1) * sizeof(values[0]));

	if (values == NULL)
		return err_errno(e, "no memory for messages");
	for (size_t i = 0; i < n_list; i++) {
		int64_t at = click ? list[i].click_us : list[i].open_us;
		char *text;

		if (at == 0 || (!click && list[i].loaded))
			continue;
		text = arena_take(&g->f->work, FORWARD_TIME_SIZE);
		if (text == NULL)
			return err_errno(e, "no memory for messages");
		forward_time_format(at, text);
		values[2 * n] = sql_int64(list[i].id);
		values[2 * n + 1] = sql_decimal(span_of(text));
		n++;
	}
	if (n == 0)
		return 0;
	/* The first open, the latest click; never backwards. */
	return click ? update_chunk(g, "clicked",
			   "m.clicked IS NULL OR m.clicked < v.t", values, n, e)
		     : update_chunk(
			   g, "loaded", "m.loaded IS NULL", values, n, e);
}

/* --- the transaction --------------------------------------------------- */

static enum group_result
result_of(const struct host *h)
{
	switch (h->sql.failure) {
	case SQL_LOST:
	case SQL_READONLY:
		return GROUP_LOST;
	case SQL_RETRY:
		return GROUP_AGAIN;
	case SQL_DATA:
		return GROUP_DATA;
	case SQL_OK:
		return GROUP_HALTED;
	default:
		return GROUP_BROKEN;
	}
}

/* Of a statement on h, or on the message database. */
static enum group_result
result_of_either(const struct group *g, const struct host *h)
{
	return result_of(h->sql.failure != SQL_OK ? h : g->f->message);
}

/* Nothing of it stays. A connection that cannot even do that is given up,
 * which undoes the transaction as well. */
static enum group_result
undo(struct host *h, enum group_result result)
{
	struct err ignored;

	if (!sql_is_open(&h->sql) ||
	    sql_query_text(&h->sql, "ROLLBACK", &ignored) != 0)
		host_drop(h);
	return result;
}

static int
write_rows(struct group *g, struct err *e)
{
	if (group_read_messages(g, e) != 0 ||
	    insert_rows(g, IPC_EVENT_OPEN, e) != 0 ||
	    insert_rows(g, IPC_EVENT_CLICK, e) != 0 ||
	    update_messages(g, false, e) != 0 ||
	    update_messages(g, true, e) != 0)
		return -1;
	return 0;
}

static uint64_t
last_seq(const struct group *g)
{
	return g->events[g->n - 1].row->seq;
}

/*
 * A connection that is cut again and again by what is written to one server
 * (its table damaged, its statements killed) is that server's trouble: the
 * others must not wait behind it for ever. Here nothing was written, because
 * no COMMIT was sent.
 */
static enum group_result
note_cut(struct mail_server *server, enum group_result r)
{
	if (r != GROUP_LOST || ++server->cuts < CUTS_MOST)
		return r;
	server->cuts = 0;
	return GROUP_BROKEN;
}

/* BEGIN and the ledger; the trouble of one is the trouble of all. */
static enum group_result
begin(struct group *g, struct host *h, enum ledger_part part, uint64_t from,
    struct err *e)
{
	bool moved = false;
	enum group_result r;

	if (from == 0 && part == LEDGER_ROWS &&
	    ledger_begin(g->f, h, g->server->id, part, 0, e) != 0)
		return result_of(h) == GROUP_LOST ? GROUP_LOST : GROUP_HALTED;
	if (sql_query_text(&h->sql, "BEGIN", e) != 0)
		return result_of(h) == GROUP_LOST ? GROUP_LOST : GROUP_HALTED;
	if (ledger_move(g->f, h, g->server->id, part, from, last_seq(g), &moved,
		e) != 0) {
		r = result_of(h);
		if (r != GROUP_LOST && r != GROUP_AGAIN)
			r = GROUP_HALTED;
		return undo(h, r);
	}
	if (!moved) {
		(void)err_set(e, "the ledger moved; it is read again");
		return undo(h, GROUP_STALE);
	}
	return GROUP_WRITTEN;
}

static enum group_result
commit(struct host *h, struct err *e)
{
	if (sql_query_text(&h->sql, "COMMIT", e) == 0)
		return GROUP_WRITTEN;
	/* Whether it took place only the ledger knows. */
	host_drop(h);
	return GROUP_LOST;
}

/* Rows, and the webhooks too where one server has both. */
static enum group_result
rows_transaction(struct group *g, bool with_hooks, struct err *e)
{
	struct host *h = g->f->message;
	enum group_result r = begin(g, h, LEDGER_ROWS, g->server->rows_seq, e);

	if (r != GROUP_WRITTEN)
		return r;
	if (write_rows(g, e) != 0 ||
	    (with_hooks &&
		group_write_hooks(g, h, g->server->rows_seq, e) != 0))
		return undo(h, note_cut(g->server, result_of(h)));
	g->server->cuts = 0;
	r = commit(h, e);
	if (r == GROUP_WRITTEN)
		g->server->rows_seq = last_seq(g);
	return r;
}

/* The webhooks alone: the rows are written, here or by an earlier process. */
static enum group_result
hooks_transaction(struct group *g, struct err *e)
{
	struct host *h = g->f->main;
	enum group_result r =
	    begin(g, h, LEDGER_HOOKS, g->server->hooks_seq, e);

	if (r != GROUP_WRITTEN)
		return r;
	if (group_write_hooks(g, h, g->server->hooks_seq, e) != 0)
		return undo(h, note_cut(g->server, result_of_either(g, h)));
	g->server->cuts = 0;
	r = commit(h, e);
	if (r == GROUP_WRITTEN)
		g->server->hooks_seq = last_seq(g);
	return r;
}

static void
find_hooks(struct group *g)
{
	g->hooks = hooks_of(&g->f->hooks, g->server->id, &g->n_hooks);
	/* Postal cannot deliver for a server that it does not have. */
	if (!g->server->present)
		g->n_hooks = 0;
	for (size_t i = 0; i < g->n_hooks; i++) {
		g->want_open = g->want_open || g->hooks[i].open;
		g->want_click = g->want_click || g->hooks[i].click;
	}
}

/*
 * Two servers: first the rows with their ledger, then the webhooks with
 * theirs. The second ledger's row has to be there before the first moves, or
 * a death between the two would leave no trace of what is owed.
 */
static enum group_result
write_to_two(struct group *g, struct err *e)
{
	struct mail_server *server = g->server;
	bool hooks = g->want_open || g->want_click;
	enum group_result r = GROUP_WRITTEN;

	if (hooks && !server->hooks_row) {
		if (ledger_begin(g->f, g->f->main, server->id, LEDGER_HOOKS,
			server->rows_seq, e) != 0)
			return result_of(g->f->main) == GROUP_LOST
				   ? GROUP_LOST
				   : GROUP_HALTED;
		server->hooks_seq = server->rows_seq;
		server->hooks_row = true;
	}
	if (last_seq(g) > server->rows_seq)
		r = rows_transaction(g, false, e);
	else if (!hooks)
		group_find_written(g);
	else if (group_read_messages(g, e) != 0)
		r = note_cut(server, result_of(g->f->message));
	if (r == GROUP_WRITTEN && hooks && last_seq(g) > server->hooks_seq)
		r = hooks_transaction(g, e);
	return r;
}

enum group_result
group_write(struct group *g, struct err *e)
{
	find_hooks(g);
	g->n_webhooks = g->n_skipped = 0;
	if (g->f->main != g->f->message)
		return write_to_two(g, e);
	return rows_transaction(g, g->want_open || g->want_click, e);
}
