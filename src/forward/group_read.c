/*
 * group_read.c - what Postal's tables say about the events of a group
 *
 * Runs in the forwarder. Tokens are compared by the database without case;
 * an exact match wins, else the lowest id, as for links.
 */
#include "forward/group.h"

#include <stdlib.h>
#include <string.h>

#define BRIEF "id, token, loaded IS NOT NULL"
#define FULL                                                      \
	BRIEF ", scope, message_id, rcpt_to, mail_from, subject," \
	      " timestamp, tag, inspected, spam"

static const struct ipc_event *
event_of(const struct group_event *e)
{
	return &e->row->event;
}

bool
group_has_row(const struct group_event *e)
{
	return (event_of(e)->flags & IPC_EVENT_ROW_WRITTEN) != 0;
}

static bool
is_open(const struct group_event *e)
{
	return event_of(e)->kind == IPC_EVENT_OPEN;
}

static bool
has_message(const struct group_event *e)
{
	return !is_open(e) && (event_of(e)->flags & IPC_EVENT_HAS_MESSAGE) != 0;
}

/* --- rows to structs --------------------------------------------------- */

static bool
is_true(const struct sql_cell *cell)
{
	int64_t v = 0;

	return sql_cell_int64(cell, &v) == 0 && v != 0;
}

static int
take_message(struct group *g, const struct sql_statement *s,
    struct group_message *m, struct err *e)
{
	struct span *const texts[] = {&m->scope, &m->message_id, &m->rcpt_to,
	    &m->mail_from, &m->subject, &m->timestamp, &m->tag};
	const struct sql_cell *cells = s->cells;
	int failed = 0;

	*m = (struct group_message){.id = 0};
	if (sql_cell_int64(&cells[0], &m->id) != 0)
		return err_set(e, "a message without an id");
	m->loaded = is_true(&cells[2]);
	if (!cells[1].null)
		failed = arena_copy(&g->f->work, cells[1].text, &m->token);
	for (size_t i = 0; s->n_columns > 3 && !failed && i < 7; i++)
		if (!cells[3 + i].null)
			failed = arena_copy(
			    &g->f->work, cells[3 + i].text, texts[i]);
	if (failed)
		return err_errno(e, "no memory for messages");
	if (s->n_columns > 3) {
		m->inspected = is_true(&cells[10]);
		m->spam = is_true(&cells[11]);
	}
	return 0;
}

/* All rows of a statement; there may be more than values were asked for. */
static int
take_messages(struct group *g, struct sql_statement *s,
    struct group_message **list, size_t *n, struct err *e)
{
	size_t cap = 0;
	int got;

	*n = 0;
	while ((got = sql_fetch(s, e)) == 1) {
		if (*n == cap) {
			size_t grown = cap == 0 ? 64 : cap * 2;
			struct group_message *p =
			    arena_take(&g->f->work, grown * sizeof(p[0]));

			if (p == NULL)
				return err_errno(e, "no memory for messages");
			if (*n > 0)
				memcpy(p, *list, *n * sizeof(p[0]));
			*list = p;
			cap = grown;
		}
		if (take_message(g, s, &(*list)[*n], e) != 0)
			return -1;
		(*n)++;
	}
	return got;
}

/* --- asking ------------------------------------------------------------ */

/* "SELECT columns FROM database.messages WHERE column IN (?, ...)", the last
 * value again until there is a power of two of them. */
static struct sql_statement *
select_in(struct group *g, const char *columns, const char *from,
    const char *column, struct sql_value *values, size_t n, struct err *e)
{
	struct writer w = writer_of(g->f->text, FORWARD_TEXT_SIZE);
	size_t padded = placeholders_padded(n);

	for (size_t i = n; i < padded; i++)
		values[i] = values[n - 1];
	writer_text(&w, "SELECT ");
	writer_text(&w, columns);
	writer_text(&w, " FROM ");
	writer_text(&w, g->server->database);
	writer_text(&w, from);
	writer_text(&w, " WHERE ");
	writer_text(&w, column);
	placeholders_write(&w, " IN (?", ",?", padded);
	writer_text(&w, ")");
	return host_execute(g->f->message, writer_span(&w), values, padded, e);
}

/* Values of the events that `wanted` says; *n of them. */
static struct sql_value *
collect(struct group *g, bool (*wanted)(const struct group_event *e),
    struct sql_value (*value)(const struct group_event *e), size_t *n,
    struct err *e)
{
	struct sql_value *values = arena_take(
	    &g->f->work, placeholders_padded(g->n + 1) * sizeof(values[0]));

	*n = 0;
	if (values == NULL) {
		(void)err_errno(e, "no memory for a statement");
		return NULL;
	}
	for (size_t i = 0; i < g->n; i++)
		if (wanted(&g->events[i]))
			values[(*n)++] = value(&g->events[i]);
	return values;
}

static struct sql_value
token_value(const struct group_event *e)
{
	return sql_text(event_of(e)->token);
}

static struct sql_value
message_value(const struct group_event *e)
{
	return sql_uint64(event_of(e)->message_id);
}

static struct sql_value
link_value(const struct group_event *e)
{
	return sql_uint64(event_of(e)->link_id);
}

static int
read_messages(struct group *g, bool (*wanted)(const struct group_event *e),
    struct sql_value (*value)(const struct group_event *e), const char *column,
    struct group_message **list, size_t *n, struct err *e)
{
	struct sql_statement *s;
	size_t n_values;
	struct sql_value *values = collect(g, wanted, value, &n_values, e);

	*n = 0;
	if (values == NULL)
		return -1;
	if (n_values == 0)
		return 0;
	s = select_in(g, g->want_open || g->want_click ? FULL : BRIEF,
	    ".messages", column, values, n_values, e);
	return s == NULL ? -1 : take_messages(g, s, list, n, e);
}

/* --- matching ---------------------------------------------------------- */

static int
compare_nocase(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < len; i++) {
		int d = ascii_lower(a.p[i]) - ascii_lower(b.p[i]);

		if (d != 0)
			return d;
	}
	return (a.len > b.len) - (a.len < b.len);
}

static int
by_token(const void *x, const void *y)
{
	const struct group_message *a = x, *b = y;
	int d = compare_nocase(a->token, b->token);

	return d != 0 ? d : (a->id > b->id) - (a->id < b->id);
}

static int
by_id(const void *x, const void *y)
{
	const struct group_message *a = x, *b = y;

	return (a->id > b->id) - (a->id < b->id);
}

/* The first message whose token is not below. */
static size_t
first_of_token(const struct group *g, struct span token)
{
	size_t low = 0, high = g->n_by_token;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_nocase(g->by_token[middle].token, token) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct group_message *
match_open(const struct group *g, struct span token)
{
	struct group_message *found = NULL;

	for (size_t i = first_of_token(g, token); i < g->n_by_token; i++) {
		struct group_message *m = &g->by_token[i];

		if (compare_nocase(m->token, token) != 0)
			break;
		if (span_equal(m->token, token))
			return m;
		if (found == NULL)
			found = m;
	}
	return found;
}

static struct group_message *
match_click(const struct group *g, uint64_t message_id)
{
	struct group_message key = {.id = (int64_t)message_id};

	return g->n_by_id == 0
		   ? NULL
		   : bsearch(&key, g->by_id, g->n_by_id, sizeof(key), by_id);
}

/* Notes that the event is one of this message. */
static void
take(struct group_event *e, struct group_message *m)
{
	int64_t at = event_of(e)->at_us;

	e->message = m;
	if (m == NULL)
		return;
	if (is_open(e) &&
	    (e->message->open_us == 0 || at < e->message->open_us))
		e->message->open_us = at;
	if (!is_open(e) && at > e->message->click_us)
		e->message->click_us = at;
}

static void
match(const struct group *g, struct group_event *e)
{
	struct group_message *m = NULL;

	if (is_open(e))
		m = match_open(g, event_of(e)->token);
	else if (has_message(e))
		m = match_click(g, event_of(e)->message_id);
	take(e, m);
}

/* The lowest of the rows that were found, as the group's own list has it. */
static void
take_lowest(struct group *g, struct group_event *e,
    const struct group_message *found, size_t n)
{
	int64_t lowest = found->id;

	for (size_t i = 1; i < n; i++)
		if (found[i].id < lowest)
			lowest = found[i].id;
	for (size_t i = 0; i < g->n_by_token; i++)
		if (g->by_token[i].id == lowest)
			take(e, &g->by_token[i]);
}

/*
 * A row that was found and matches no token here byte for byte or without
 * case: the database finds more to be equal (accents). No generator of Postal
 * makes such tokens, so each is asked for alone.
 */
static int
match_the_rest(struct group *g, struct err *e)
{
	size_t strange = 0;

	for (size_t i = 0; i < g->n_by_token; i++)
		for (size_t j = 0; j < g->by_token[i].token.len; j++)
			if (g->by_token[i].token.p[j] >= 0x80) {
				strange++;
				break;
			}
	for (size_t i = 0; strange > 0 && i < g->n; i++) {
		struct group one = *g;

		if (!is_open(&g->events[i]) || g->events[i].message != NULL)
			continue;
		one.events = &g->events[i];
		one.n = 1;
		if (read_messages(&one, is_open, token_value, "token",
			&one.by_token, &one.n_by_token, e) != 0)
			return -1;
		if (one.n_by_token > 0)
			take_lowest(
			    g, &g->events[i], one.by_token, one.n_by_token);
	}
	return 0;
}

int
group_read_messages(struct group *g, struct err *e)
{
	if (read_messages(g, is_open, token_value, "token", &g->by_token,
		&g->n_by_token, e) != 0 ||
	    read_messages(g, has_message, message_value, "id", &g->by_id,
		&g->n_by_id, e) != 0)
		return -1;
	if (g->n_by_token > 0)
		qsort(g->by_token, g->n_by_token, sizeof(g->by_token[0]),
		    by_token);
	if (g->n_by_id > 0)
		qsort(g->by_id, g->n_by_id, sizeof(g->by_id[0]), by_id);
	for (size_t i = 0; i < g->n; i++)
		match(g, &g->events[i]);
	return match_the_rest(g, e);
}

void
group_find_written(struct group *g)
{
	static struct group_message unknown;
	struct err ignored;

	if (group_read_messages(g, &ignored) == 0)
		return;
	for (size_t i = 0; i < g->n; i++)
		g->events[i].message = &unknown;
}

/* --- links ------------------------------------------------------------- */

static int
link_order(const void *x, const void *y)
{
	const struct group_link *a = x, *b = y;

	return (a->id > b->id) - (a->id < b->id);
}

static int
take_link(struct group *g, const struct sql_cell *cells, struct group_link *l,
    struct err *e)
{
	*l = (struct group_link){.id = 0};
	if (sql_cell_int64(&cells[0], &l->id) != 0)
		return err_set(e, "a link without an id");
	if ((!cells[1].null &&
		arena_copy(&g->f->work, cells[1].text, &l->token) != 0) ||
	    (!cells[2].null &&
		arena_copy(&g->f->work, cells[2].text, &l->url) != 0))
		return err_errno(e, "no memory for links");
	return 0;
}

int
group_read_links(struct group *g, struct err *e)
{
	struct sql_statement *s;
	size_t n;
	struct sql_value *values = collect(g, has_message, link_value, &n, e);
	int got = 0;

	g->n_links = 0;
	if (values == NULL)
		return -1;
	if (n == 0)
		return 0;
	/* Ids are unique: no more rows than values. */
	g->links = arena_take(&g->f->work, n * sizeof(g->links[0]));
	if (g->links == NULL)
		return err_errno(e, "no memory for links");
	s = select_in(g, "id, token, url", ".links", "id", values, n, e);
	if (s == NULL)
		return -1;
	while (g->n_links < n && (got = sql_fetch(s, e)) == 1)
		if (take_link(g, s->cells, &g->links[g->n_links++], e) != 0)
			return -1;
	qsort(g->links, g->n_links, sizeof(g->links[0]), link_order);
	return got < 0 ? -1 : 0;
}

const struct group_link *
group_find_link(const struct group *g, uint64_t id)
{
	struct group_link key = {.id = (int64_t)id};

	return g->n_links == 0 ? NULL
			       : bsearch(&key, g->links, g->n_links,
				     sizeof(key), link_order);
}
