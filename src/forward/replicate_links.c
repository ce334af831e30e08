/*
 * replicate_links.c - links of all message databases, to the store
 *
 * Runs in the forwarder. One statement asks many databases for their newest
 * id; those that have newer links are read upwards from what the replica
 * has, and then, a page at a time, downwards to the end of [links] retention.
 * Ids that are missing in between may belong to a transaction that has not
 * committed yet; they are asked for again for a while.
 */
#include "forward/group.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"

/* Rows that one statement reads, and databases that one looks at. */
#define PAGE_LINKS 256
#define PROBE_DATABASES 128
/* Pages of one turn: events and visitors wait for it. */
#define PAGES_A_TURN 4
/* How long a transaction that took an id may stay open. */
#define GAP_MS 120000
/* After a start, ids below the newest that are looked at once more. */
#define LOOK_BACK 256
#define UNREADABLE_MS 60000
#define RETENTION_EVERY_MS (UINT64_C(6) * 3600 * 1000)
/* Room for the message's own fields in front of its rows. */
#define ROWS_SIZE (IPC_RECORD_MAX - 64)

#define COLUMNS "SELECT id, message_id, token, url, timestamp FROM "

/* --- links on their way to the store ------------------------------------ */

struct sending {
	struct forwarder *f;
	struct mail_server *server;
	struct writer rows;
	uint16_t count;
};

static struct sending
sending_of(struct forwarder *f, struct mail_server *server)
{
	return (struct sending){
	    .f = f, .server = server, .rows = writer_of(f->rows, ROWS_SIZE)};
}

static int
send_links(struct sending *s, struct err *e)
{
	const struct mail_server *server = s->server;
	struct ipc_known_links body = {.progress = {.server_id = server->id,
					   .low = server->low,
					   .high = server->high,
					   .complete = server->complete},
	    .rows = {s->count, writer_span(&s->rows)}};

	s->count = 0;
	s->rows.len = 0;
	return feed_tell(&s->f->feed, IPC_KNOWN_LINKS, &body, NULL, e);
}

/* A row without a token, or with one that no URL holds, is no link. */
static int
put_link(
    struct sending *s, uint64_t id, const struct sql_cell *cells, struct err *e)
{
	struct ipc_known_link_row row = {.link_id = id};
	int64_t message_id = 0;

	if (cells[2].null || cells[2].text.len == 0 ||
	    cells[2].text.len > IPC_TOKEN_MAX)
		return 0;
	row.has_message = !cells[1].null &&
			  sql_cell_int64(&cells[1], &message_id) == 0 &&
			  message_id >= 0;
	row.message_id = row.has_message ? (uint64_t)message_id : 0;
	row.token = cells[2].text;
	row.url = cells[3].null ? span_of("") : cells[3].text;
	if (ipc_put(&s->rows, &ipc_known_link_row_record, &row) != 0) {
		if (send_links(s, e) != 0)
			return -1;
		if (ipc_put(&s->rows, &ipc_known_link_row_record, &row) != 0)
			return 0;
	}
	s->count++;
	return 0;
}

/* --- databases that cannot be read -------------------------------------- */

static void
become_unreadable(
    struct forwarder *f, struct mail_server *server, const struct err *e)
{
	uint64_t held_back, now = clock_mono_ms();

	server->unreadable = true;
	server->read_at_ms = now + UNREADABLE_MS;
	if (log_limit_pass(&server->log_links, now, &held_back))
		log_warn("links cannot be read database=%s cause=\"%s\" "
			 "more=%" PRIu64,
		    server->database, e->text, held_back);
	(void)f;
}

/* 0 when the failure is of this database alone. */
static int
only_this(struct forwarder *f, struct mail_server *server, struct err *e)
{
	switch (f->message->sql.failure) {
	case SQL_GONE:
	case SQL_DENIED:
	case SQL_RETRY:
	case SQL_OTHER:
		become_unreadable(f, server, e);
		return 0;
	default:
		return -1;
	}
}

static bool
is_readable(const struct mail_server *server)
{
	return server->present && !server->unreadable;
}

/* --- reading ------------------------------------------------------------- */

static struct sql_statement *
select_links(struct forwarder *f, const struct mail_server *server,
    const char *where, const struct sql_value *values, size_t n, struct err *e)
{
	struct writer w = writer_of(f->text, FORWARD_TEXT_SIZE);

	writer_text(&w, COLUMNS);
	writer_text(&w, server->database);
	writer_text(&w, ".links WHERE ");
	writer_text(&w, where);
	return host_execute(f->message, writer_span(&w), values, n, e);
}

static void
add_gap(struct mail_server *server, uint64_t id, uint64_t now_ms)
{
	if (server->gaps == NULL)
		server->gaps = calloc(SERVER_GAPS_MAX, sizeof(server->gaps[0]));
	/* Beyond that a visitor's click finds it. */
	if (server->gaps != NULL && server->n_gaps < SERVER_GAPS_MAX)
		server->gaps[server->n_gaps++] =
		    (struct mail_server_gap){id, now_ms + GAP_MS};
}

static uint64_t
first_id(const struct mail_server *server)
{
	uint64_t back = server->high > LOOK_BACK ? server->high - LOOK_BACK : 0;

	if (server->started)
		return server->high;
	return back + 1 < server->low ? server->low - 1 : back;
}

/* Newer links: one page. *full says that there may be more. */
static int
read_newer(
    struct forwarder *f, struct mail_server *server, bool *full, struct err *e)
{
	uint64_t last = first_id(server), now = clock_mono_ms();
	struct sql_value values[] = {sql_uint64(last), sql_int64(PAGE_LINKS)};
	struct sql_statement *s = select_links(f, server,
	    "id > ? ORDER BY id LIMIT ?", values, ARRAY_LENGTH(values), e);
	struct sending sending = sending_of(f, server);
	size_t n = 0;
	int64_t id;
	int got;

	if (s == NULL)
		return -1;
	for (; (got = sql_fetch(s, e)) == 1; n++) {
		if (sql_cell_int64(&s->cells[0], &id) != 0 || id < 1)
			continue;
		for (uint64_t gap = last + 1;
		     gap < (uint64_t)id && gap <= last + SERVER_GAPS_MAX; gap++)
			add_gap(server, gap, now);
		last = (uint64_t)id;
		if (last > server->high)
			server->high = last;
		if (put_link(&sending, last, s->cells, e) != 0)
			return -1;
	}
	if (got != 0)
		return -1;
	server->started = true;
	*full = n == PAGE_LINKS;
	if (server->newest < server->high)
		server->newest = server->high;
	return n == 0 ? 0 : send_links(&sending, e);
}

static int64_t
cutoff_us(const struct forwarder *f)
{
	return clock_wall_us() - (int64_t)f->config->links.retention * 1000;
}

/* Seconds are enough; NULL is as new as can be. */
static bool
is_older(const struct sql_cell *timestamp, int64_t us)
{
	struct span whole = timestamp->text;
	int64_t seconds;

	if (timestamp->null)
		return false;
	for (size_t i = 0; i < whole.len; i++)
		if (whole.p[i] == '.')
			whole.len = i;
	return sql_parse_int64(whole, &seconds) == 0 && seconds < us / 1000000;
}

/* Older links: one page downwards. */
static int
read_older(struct forwarder *f, struct mail_server *server, struct err *e)
{
	struct sql_value values[] = {
	    sql_uint64(server->low), sql_int64(PAGE_LINKS)};
	struct sql_statement *s = select_links(f, server,
	    "id < ? ORDER BY id DESC LIMIT ?", values, ARRAY_LENGTH(values), e);
	struct sending sending = sending_of(f, server);
	int64_t id, oldest = cutoff_us(f);
	size_t n = 0;
	int got;

	if (s == NULL)
		return -1;
	for (; (got = sql_fetch(s, e)) == 1; n++) {
		if (is_older(&s->cells[4], oldest)) {
			server->complete = true;
			break;
		}
		if (sql_cell_int64(&s->cells[0], &id) != 0 || id < 1)
			continue;
		server->low = (uint64_t)id;
		if (put_link(&sending, server->low, s->cells, e) != 0)
			return -1;
	}
	if (got < 0)
		return -1;
	if (got == 0 && n < PAGE_LINKS)
		server->complete = true;
	return send_links(&sending, e);
}

/* --- gaps ---------------------------------------------------------------- */

static void
forget_gap(struct mail_server *server, uint64_t id)
{
	for (size_t i = 0; i < server->n_gaps; i++)
		if (server->gaps[i].id == id) {
			server->gaps[i] = server->gaps[--server->n_gaps];
			return;
		}
}

static void
forget_old_gaps(struct mail_server *server, uint64_t now_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < server->n_gaps; i++)
		if (server->gaps[i].until_ms > now_ms)
			server->gaps[kept++] = server->gaps[i];
	server->n_gaps = kept;
}

static int
read_gaps(struct forwarder *f, struct mail_server *server, struct err *e)
{
	struct sql_value values[SERVER_GAPS_MAX];
	size_t padded = text_padded(server->n_gaps);
	char where[16 + 2 * SERVER_GAPS_MAX];
	struct writer w = writer_of(where, sizeof(where));
	struct sending sending = sending_of(f, server);
	struct sql_statement *s;
	int64_t id;
	int got;

	for (size_t i = 0; i < padded; i++)
		values[i] =
		    sql_uint64(server->gaps[i < server->n_gaps ? i : 0].id);
	text_repeat(&w, "id IN (?", ",?", padded);
	writer_text(&w, ")");
	writer_u8(&w, 0);
	s = select_links(f, server, where, values, padded, e);
	if (s == NULL)
		return -1;
	while ((got = sql_fetch(s, e)) == 1) {
		if (sql_cell_int64(&s->cells[0], &id) != 0)
			continue;
		if (put_link(&sending, (uint64_t)id, s->cells, e) != 0)
			return -1;
		forget_gap(server, (uint64_t)id);
	}
	forget_old_gaps(server, clock_mono_ms());
	if (got != 0)
		return -1;
	return sending.count == 0 ? 0 : send_links(&sending, e);
}

/* --- retention ----------------------------------------------------------- */

/* Whether the first link at or above id is older than retention. */
static int
probe_age(struct forwarder *f, const struct mail_server *server, uint64_t id,
    bool *older, uint64_t *found, struct err *e)
{
	struct sql_value value = sql_uint64(id);
	struct sql_statement *s = select_links(
	    f, server, "id >= ? ORDER BY id LIMIT 1", &value, 1, e);
	int64_t there = 0;
	int got;

	if (s == NULL || (got = sql_fetch(s, e)) < 0)
		return -1;
	*found = UINT64_MAX;
	*older = false;
	if (got == 1 && sql_cell_int64(&s->cells[0], &there) == 0) {
		*found = (uint64_t)there;
		*older = is_older(&s->cells[4], cutoff_us(f));
	}
	return 0;
}

/* Ids grow with time: halving finds the oldest link to keep. */
static int
move_retention(struct forwarder *f, struct mail_server *server, struct err *e)
{
	uint64_t low = server->low, high = server->high;
	struct sending sending = sending_of(f, server);
	uint64_t found;
	bool older;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (probe_age(f, server, middle, &older, &found, e) != 0)
			return -1;
		if (older)
			low = found + 1;
		else
			high = middle;
	}
	server->read_at_ms = clock_mono_ms() + RETENTION_EVERY_MS;
	if (low <= server->low)
		return 0;
	server->low = low;
	return send_links(&sending, e);
}

/* --- which databases have news ------------------------------------------- */

/* A database that is new to us, or was made anew. */
static void
take_newest(struct mail_server *server, uint64_t newest)
{
	if (newest < server->high) {
		log_warn("links database=%s went back from id %" PRIu64
			 " to %" PRIu64 ": they are read again",
		    server->database, server->high, newest);
		server->low = server->high = 0;
		server->complete = false;
		server->n_gaps = 0;
	}
	server->newest = newest;
	if (server->high == 0 && newest > 0) {
		server->high = newest;
		server->low = newest + 1;
		server->started = true;
	}
}

static int
probe(struct forwarder *f, struct mail_server *const *list, size_t n,
    struct err *e)
{
	struct writer w = writer_of(f->text, FORWARD_TEXT_SIZE);
	struct sql_statement *s;
	int64_t id, newest;
	char number[32];
	int got;

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(number, sizeof(number), "%" PRIu32, list[i]->id);
		writer_text(&w, i == 0 ? "SELECT " : " UNION ALL SELECT ");
		writer_text(&w, number);
		writer_text(&w, ", IFNULL(MAX(id), 0) FROM ");
		writer_text(&w, list[i]->database);
		writer_text(&w, ".links");
	}
	s = host_execute(f->message, writer_span(&w), NULL, 0, e);
	if (s == NULL)
		return -1;
	while ((got = sql_fetch(s, e)) == 1) {
		struct mail_server *server = NULL;

		if (sql_cell_int64(&s->cells[0], &id) == 0 &&
		    sql_cell_int64(&s->cells[1], &newest) == 0 && newest >= 0)
			server = mail_servers_find(&f->servers, (uint32_t)id);
		if (server != NULL)
			take_newest(server, (uint64_t)newest);
	}
	return got;
}

/* One bad database spoils the statement of all: then each is asked alone. */
static int
probe_carefully(struct forwarder *f, struct mail_server *const *list, size_t n,
    struct err *e)
{
	if (probe(f, list, n, e) == 0)
		return 0;
	if (f->message->sql.failure == SQL_LOST)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (probe(f, &list[i], 1, e) != 0 &&
		    only_this(f, list[i], e) != 0)
			return -1;
	return 0;
}

static int
probe_all(struct forwarder *f, struct err *e)
{
	struct mail_server *list[PROBE_DATABASES];
	uint64_t now = clock_mono_ms();
	size_t n = 0;

	for (size_t i = 0; i < f->servers.n; i++) {
		struct mail_server *server = f->servers.list[i];

		if (server->unreadable && now >= server->read_at_ms)
			server->unreadable = false;
		if (is_readable(server))
			list[n++] = server;
		if (n == PROBE_DATABASES || (n > 0 && i + 1 == f->servers.n)) {
			if (probe_carefully(f, list, n, e) != 0)
				return -1;
			n = 0;
		}
	}
	return 0;
}

/* --- progress ------------------------------------------------------------ */

static int
load_progress(struct forwarder *f, struct err *e)
{
	struct ipc_replica_get get = {.after_server = 0};
	struct ipc_received answer;
	struct ipc_replica_row row;
	bool more = true;

	mail_servers_forget_replica(&f->servers);
	while (more) {
		const struct ipc_list *rows = &answer.body.replica.rows;
		struct cursor c;

		if (feed_ask(&f->feed, IPC_REPLICA_GET, &get, IPC_REPLICA,
			&answer, e) != 0)
			return -1;
		c = cursor_of(rows->records);
		more = rows->count > 0;
		for (size_t i = 0; i < rows->count; i++) {
			struct mail_server *server;

			ipc_next(&c, &ipc_replica_row_record, &row);
			get.after_server = row.server_id;
			server =
			    mail_servers_take(&f->servers, row.server_id, e);
			if (server == NULL)
				return -1;
			server->low = row.low;
			server->high = row.high;
			server->complete = row.complete != 0;
		}
	}
	f->replica_feed = f->feed.session;
	return 0;
}

/* --- turns --------------------------------------------------------------- */

static bool
has_newer(const struct mail_server *server)
{
	return is_readable(server) && server->high > 0 &&
	       (server->newest > server->high || !server->started);
}

static bool
has_older(const struct mail_server *server)
{
	return is_readable(server) && server->high > 0 && !server->complete;
}

/* One failure of one database is its own. */
static int
tolerate(
    struct forwarder *f, struct mail_server *server, int failed, struct err *e)
{
	return failed == 0 || (feed_is_up(&f->feed) &&
				  f->message->sql.failure != SQL_OK &&
				  only_this(f, server, e) == 0)
		   ? 0
		   : -1;
}

static int
read_all_newer(struct forwarder *f, bool *more, struct err *e)
{
	int pages = 0;

	for (size_t i = 0; i < f->servers.n; i++) {
		struct mail_server *server = f->servers.list[i];
		bool full = has_newer(server);

		for (; full && pages < PAGES_A_TURN; pages++) {
			full = false;
			if (tolerate(f, server, read_newer(f, server, &full, e),
				e) != 0)
				return -1;
			forward_search(f);
		}
		*more = *more || full;
	}
	return 0;
}

static int
read_some_older(struct forwarder *f, bool *more, struct err *e)
{
	int pages = 0;

	for (size_t i = 0; i < f->servers.n; i++) {
		size_t at = (f->next_backfill + i) % f->servers.n;
		struct mail_server *server = f->servers.list[at];

		if (!has_older(server))
			continue;
		if (pages == PAGES_A_TURN) {
			*more = true;
			f->next_backfill = at;
			break;
		}
		if (tolerate(f, server, read_older(f, server, e), e) != 0)
			return -1;
		pages++;
		*more = *more || has_older(server);
		forward_search(f);
	}
	return 0;
}

/* What is done once in a poll: probe, gaps, retention of one database. */
static int
look_around(struct forwarder *f, struct err *e)
{
	uint64_t now = clock_mono_ms();
	bool moved = false;

	if (probe_all(f, e) != 0)
		return -1;
	for (size_t i = 0; i < f->servers.n; i++) {
		struct mail_server *server = f->servers.list[i];

		if (!is_readable(server))
			continue;
		if (server->n_gaps > 0 &&
		    tolerate(f, server, read_gaps(f, server, e), e) != 0)
			return -1;
		if (moved || !server->complete || now < server->read_at_ms)
			continue;
		moved = true;
		if (tolerate(f, server, move_retention(f, server, e), e) != 0)
			return -1;
	}
	return 0;
}

static void
note_caught_up(struct forwarder *f, bool more)
{
	uint64_t now = clock_mono_ms();

	if (!more)
		f->caught_up_ms = now;
	f->state.lag_ms = f->caught_up_ms == 0 ? 0 : now - f->caught_up_ms;
}

enum turn
forward_replicate_links(struct forwarder *f)
{
	uint64_t now = clock_mono_ms();
	bool more = false;
	struct err e;

	if (f->replica_feed != f->feed.session && load_progress(f, &e) != 0)
		goto failed;
	if (now < f->links_at_ms && !f->busy)
		return TURN_IDLE;
	if (now >= f->links_at_ms) {
		if (look_around(f, &e) != 0)
			goto failed;
		f->links_at_ms = now + f->config->forwarder.poll;
	}
	if (read_all_newer(f, &more, &e) != 0)
		goto failed;
	note_caught_up(f, more);
	if (read_some_older(f, &more, &e) != 0)
		goto failed;
	f->busy = more;
	return more ? TURN_MORE : TURN_IDLE;
failed:
	forward_note_error(f, &f->log_links, &e);
	f->replicate_try_ms = now + 2000;
	f->busy = false;
	return TURN_FAILED;
}
