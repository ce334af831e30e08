/*
 * replicate_links.c - links of all message databases, to the store
 *
 * Runs in the forwarder. One statement asks many databases for their newest
 * id; those that have newer links are read upwards from what the replica
 * has, and then, a page at a time, downwards to the end of [links] retention.
 */
#include "forward/replica.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"

/* Databases that one statement looks at. */
#define PROBE_DATABASES 128
/* Pages of one turn: events and visitors wait for it. */
#define PAGES_A_TURN 4
#define UNREADABLE_MS 60000
#define QUIET_POLLS 60
#define QUIET_EVERY 5

/* --- databases that cannot be read -------------------------------------- */

static void
become_unreadable(struct mail_server *server, const struct err *e)
{
	uint64_t held_back, now = clock_mono_ms();

	server->unreadable = true;
	server->read_at_ms = now + UNREADABLE_MS;
	if (log_limit_pass(&server->log_links, now, &held_back))
		log_warn("links cannot be read database=%s cause=\"%s\" "
			 "more=%" PRIu64,
		    server->database, e->text, held_back);
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
		become_unreadable(server, e);
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
	server->quiet = newest == server->newest ? server->quiet + 1 : 0;
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

/* One without news for a while is looked at in some polls only, each in others
 * than its neighbours. A visitor who searches wakes it. */
static bool
is_dozing(const struct forwarder *f, struct mail_server *server)
{
	if (server->quiet < QUIET_POLLS)
		return false;
	return (f->polls + server->id) % QUIET_EVERY != 0;
}

static int
probe_all(struct forwarder *f, struct err *e)
{
	struct mail_server *list[PROBE_DATABASES];
	uint64_t now = clock_mono_ms();
	size_t n = 0;

	f->polls++;
	for (size_t i = 0; i < f->servers.n; i++) {
		struct mail_server *server = f->servers.list[i];

		if (server->unreadable && now >= server->read_at_ms)
			server->unreadable = false;
		if (is_readable(server) && !is_dozing(f, server))
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
			if (tolerate(f, server,
				replica_read_newer(f, server, &full, e),
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
		if (tolerate(f, server, replica_read_older(f, server, e), e) !=
		    0)
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
		    tolerate(f, server, replica_read_gaps(f, server, e), e) !=
			0)
			return -1;
		if (moved || !server->complete || now < server->read_at_ms)
			continue;
		moved = true;
		if (tolerate(f, server, replica_move_retention(f, server, e),
			e) != 0)
			return -1;
	}
	return 0;
}

void
replica_note_lag(struct forwarder *f, bool more)
{
	uint64_t now = clock_mono_ms();

	for (size_t i = 0; i < f->servers.n && !more; i++)
		more = f->servers.list[i]->present &&
		       f->servers.list[i]->unreadable;
	if (!more || f->caught_up_ms == 0)
		f->caught_up_ms = now;
	f->state.lag_ms = now - f->caught_up_ms;
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
	replica_note_lag(f, more);
	if (read_some_older(f, &more, &e) != 0)
		goto failed;
	f->busy = more;
	return more ? TURN_MORE : TURN_IDLE;
failed:
	replica_note_lag(f, true);
	forward_note_error(f, &f->log_links, &e);
	f->replicate_try_ms = now + 2000;
	f->busy = false;
	return TURN_FAILED;
}
