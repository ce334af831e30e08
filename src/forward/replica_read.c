/*
 * replica_read.c - links of one message database, to the store
 *
 * Runs in the forwarder. Ids that are missing between those that were read
 * may belong to a transaction that has not committed yet; they are asked for
 * again for a while.
 */
#include "forward/replica.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "forward/group.h"

/* Rows that one statement reads. */
#define PAGE_LINKS 256
/* How long a transaction that took an id may stay open. */
#define GAP_MS 120000
/* After a start, ids below the newest that are looked at once more. */
#define LOOK_BACK 256
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

/* --- progress ------------------------------------------------------------ */

/* How far the replica is. What a page moved is taken back when the page did not
 * get into the store: what it holds would never be read again. */
struct progress {
	uint64_t low, high, read_at_ms;
	bool complete, started;
	size_t n_gaps;
	struct mail_server_gap gaps[SERVER_GAPS_MAX];
};

static void
progress_save(const struct mail_server *server, struct progress *p)
{
	p->low = server->low;
	p->high = server->high;
	p->read_at_ms = server->read_at_ms;
	p->complete = server->complete;
	p->started = server->started;
	p->n_gaps = server->n_gaps;
	if (p->n_gaps > 0)
		memcpy(p->gaps, server->gaps, p->n_gaps * sizeof(p->gaps[0]));
}

/* failed: the page's result, which is handed on. */
static int
progress_settle(
    struct mail_server *server, const struct progress *before, int failed)
{
	if (failed == 0)
		return 0;
	server->low = before->low;
	server->high = before->high;
	server->read_at_ms = before->read_at_ms;
	server->complete = before->complete;
	server->started = before->started;
	server->n_gaps = before->n_gaps;
	if (before->n_gaps > 0)
		memcpy(server->gaps, before->gaps,
		    before->n_gaps * sizeof(before->gaps[0]));
	return failed;
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

/* Newer links: one page. *full says that there may be more. */
int
replica_read_newer(
    struct forwarder *f, struct mail_server *server, bool *full, struct err *e)
{
	struct progress before;

	progress_save(server, &before);
	return progress_settle(server, &before, read_newer(f, server, full, e));
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

/* Older links: one page downwards. */
int
replica_read_older(
    struct forwarder *f, struct mail_server *server, struct err *e)
{
	struct progress before;

	progress_save(server, &before);
	return progress_settle(server, &before, read_older(f, server, e));
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
	size_t padded = placeholders_padded(server->n_gaps);
	char where[16 + 2 * SERVER_GAPS_MAX];
	struct writer w = writer_of(where, sizeof(where));
	struct sending sending = sending_of(f, server);
	struct sql_statement *s;
	int64_t id;
	int got;

	for (size_t i = 0; i < padded; i++)
		values[i] =
		    sql_uint64(server->gaps[i < server->n_gaps ? i : 0].id);
	placeholders_write(&w, "id IN (?", ",?", padded);
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

int
replica_read_gaps(
    struct forwarder *f, struct mail_server *server, struct err *e)
{
	struct progress before;

	progress_save(server, &before);
	return progress_settle(server, &before, read_gaps(f, server, e));
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

int
replica_move_retention(
    struct forwarder *f, struct mail_server *server, struct err *e)
{
	struct progress before;

	progress_save(server, &before);
	return progress_settle(server, &before, move_retention(f, server, e));
}
