/*
 * drain.c - pages of events from the store into Postal's tables
 *
 * Runs in the forwarder. A page is read, put in order of its mail servers,
 * written one transaction after the other, and settled, before the next is
 * asked for: each of its events is then written, found unmatched, or set
 * aside with a reason, so that none can block the others. When a connection
 * is lost the rest stays with the store, and the ledger tells later what was
 * written.
 */
#include "forward/group.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "forward/ledger.h"

#define PAGE_EVENTS 8192
/* The whole is tried again at once, then after a pause that doubles. */
#define PAUSE_FIRST_MS 50
#define PAUSE_MOST_MS 2000
/* A locked database is tried so often before its events are set aside. */
#define TRIES 3

struct page {
	struct ipc_due_row *rows;
	size_t n, cap;
};

/* --- reading a page ----------------------------------------------------- */

static int
copy_row(struct forwarder *f, const struct ipc_due_row *from,
    struct ipc_due_row *to, struct err *e)
{
	*to = *from;
	if (arena_copy(&f->page, from->event.token, &to->event.token) != 0 ||
	    arena_copy(
		&f->page, from->event.user_agent, &to->event.user_agent) != 0)
		return err_errno(e, "no memory for events");
	return 0;
}

/* One answer of the store; *more says whether it had rows. */
static int
read_part(struct forwarder *f, struct page *p, bool *more, struct err *e)
{
	struct ipc_due_get get = {
	    .after_seq = p->n == 0 ? 0 : p->rows[p->n - 1].seq,
	    .most = (uint16_t)(p->cap - p->n)};
	struct ipc_received answer;
	struct ipc_due_row row;
	struct cursor c;

	if (feed_ask(&f->feed, IPC_DUE_GET, &get, IPC_DUE, &answer, e) != 0)
		return -1;
	c = cursor_of(answer.body.due.rows.records);
	for (size_t i = 0; i < answer.body.due.rows.count; i++) {
		ipc_next(&c, &ipc_due_row_record, &row);
		if (p->n == p->cap)
			return err_set(e, "the store sent too many events");
		if (copy_row(f, &row, &p->rows[p->n], e) != 0)
			return -1;
		p->n++;
		if (row.seq > f->feed.last_seq)
			f->feed.last_seq = row.seq;
	}
	*more = answer.body.due.rows.count > 0 && p->n < p->cap;
	return 0;
}

static int
by_server(const void *x, const void *y)
{
	const struct ipc_due_row *a = x, *b = y;

	if (a->event.server_id != b->event.server_id)
		return a->event.server_id < b->event.server_id ? -1 : 1;
	return (a->seq > b->seq) - (a->seq < b->seq);
}

static int
read_page(struct forwarder *f, struct page *p, struct err *e)
{
	bool more = true;

	arena_reset(&f->page);
	*p = (struct page){.cap = PAGE_EVENTS};
	p->rows = arena_take(&f->page, p->cap * sizeof(p->rows[0]));
	if (p->rows == NULL)
		return err_errno(e, "no memory for events");
	while (more)
		if (read_part(f, p, &more, e) != 0)
			return -1;
	return 0;
}

/* --- settling ----------------------------------------------------------- */

static bool
is_written(const struct group_event *e)
{
	return e->message != NULL || group_has_row(e);
}

/* Single events in the order of their numbers become ranges. */
static int
tell_settled(struct forwarder *f, struct ipc_settle *body,
    const struct group *g, bool matched, struct err *e)
{
	struct writer w = writer_of(f->rows, IPC_RECORD_MAX);
	struct ipc_settle_row row = {0, 0};

	body->rows.count = 0;
	for (size_t i = 0; i < g->n; i++) {
		uint64_t seq = g->events[i].row->seq;

		if (body->outcome != IPC_OUTCOME_ASIDE &&
		    is_written(&g->events[i]) != matched)
			continue;
		if (row.n > 0 && seq == row.seq + row.n) {
			row.n++;
			continue;
		}
		if (row.n > 0) {
			(void)ipc_put(&w, &ipc_settle_row_record, &row);
			body->rows.count++;
		}
		row = (struct ipc_settle_row){seq, 1};
	}
	if (row.n == 0)
		return 0;
	(void)ipc_put(&w, &ipc_settle_row_record, &row);
	body->rows.count++;
	body->rows.records = writer_span(&w);
	return feed_tell(&f->feed, IPC_SETTLE, body, NULL, e);
}

/* What has a row, by the outcome of those that have one; and the unmatched. */
static int
settle_rows(struct forwarder *f, const struct group *g,
    enum ipc_outcome outcome, struct err *e)
{
	struct ipc_settle with_row = {.outcome = (uint8_t)outcome};
	struct ipc_settle unmatched = {.outcome = IPC_OUTCOME_UNMATCHED};

	if (tell_settled(f, &with_row, g, true, e) != 0)
		return -1;
	return tell_settled(f, &unmatched, g, false, e);
}

static int
settle_written(struct forwarder *f, const struct group *g, struct err *e)
{
	if (settle_rows(f, g, IPC_OUTCOME_WRITTEN, e) != 0)
		return -1;
	for (size_t i = 0; i < g->n; i++)
		f->state.written += is_written(&g->events[i]);
	f->state.webhooks += g->n_webhooks;
	f->state.webhooks_skipped += g->n_skipped;
	return 0;
}

static int
settle_aside(struct forwarder *f, const struct group *g, bool retry,
    const char *reason, struct err *e)
{
	bool row_written = g->events[0].row->seq <= g->server->rows_seq;
	struct ipc_settle body = {.outcome = IPC_OUTCOME_ASIDE,
	    .retry = !retry	   ? IPC_RETRY_NEVER
		     : row_written ? IPC_RETRY_HOOKS
				   : IPC_RETRY_ALL,
	    .reason = span_of(reason)};

	if (body.reason.len > IPC_REASON_MAX)
		body.reason.len = IPC_REASON_MAX;
	g->server->aside = g->server->aside || retry;
	return tell_settled(f, &body, g, false, e);
}

/* --- writing ------------------------------------------------------------ */

enum outcome { OUTCOME_SETTLED, OUTCOME_STOP };

/* Alone, an event shows whether it is the one that cannot be written. */
static enum group_result
write_single(struct forwarder *f, struct group *g, struct err *e)
{
	enum group_result r = group_write(g, e);
	uint64_t held_back;

	/* Its tables may be of the days before utf8mb4. */
	if (r == GROUP_DATA) {
		g->narrow = true;
		r = group_write(g, e);
	}
	if (r == GROUP_WRITTEN)
		return settle_written(f, g, e) == 0 ? r : GROUP_HALTED;
	if (r != GROUP_DATA)
		return r;
	if (log_limit_pass(&f->log_aside, clock_mono_ms(), &held_back))
		log_err("set aside seq=%" PRIu64
			" database=%s cause=\"%s\" more=%" PRIu64,
		    g->events[0].row->seq, g->server->database, e->text,
		    held_back);
	return settle_aside(f, g, false, e->text, e) != 0 ? GROUP_HALTED
							  : GROUP_WRITTEN;
}

static enum group_result
write_singly(struct forwarder *f, struct group *g, struct err *e)
{
	enum group_result r = GROUP_WRITTEN;

	for (size_t i = 0; r == GROUP_WRITTEN && i < g->n; i++) {
		struct group one = {.f = f,
		    .server = g->server,
		    .events = &g->events[i],
		    .n = 1};

		arena_reset(&f->work);
		one.events[0].message = NULL;
		r = write_single(f, &one, e);
	}
	return r;
}

static enum group_result
write_together(struct forwarder *f, struct group *g, struct err *e)
{
	enum group_result r = GROUP_AGAIN;

	for (int i = 0; r == GROUP_AGAIN && i < TRIES; i++)
		r = group_write(g, e);
	if (r == GROUP_WRITTEN && settle_written(f, g, e) != 0)
		r = GROUP_HALTED;
	return r;
}

/* A group until it is settled, or the whole has to stop. What of it is settled
 * already stays so. */
static enum outcome
write_group(struct forwarder *f, struct group *g, struct err *e)
{
	enum group_result r = GROUP_BROKEN;

	if (!g->server->broken || g->server->probing) {
		r = write_together(f, g, e);
		if (r == GROUP_DATA)
			r = write_singly(f, g, e);
		if (r == GROUP_WRITTEN)
			aside_note_sound(g->server);
		if (r == GROUP_BROKEN || r == GROUP_AGAIN)
			aside_note_broken(g->server, e);
	}
	if (r == GROUP_WRITTEN)
		return OUTCOME_SETTLED;
	if ((r == GROUP_BROKEN || r == GROUP_AGAIN) &&
	    settle_aside(f, g, true, g->server->reason, e) == 0)
		return OUTCOME_SETTLED;
	/* What was written is known to the ledger. */
	ledger_forget(f);
	return OUTCOME_STOP;
}

/* Events that the ledger knows, because the answer to COMMIT or SETTLE was cut
 * off: only to be counted. */
static enum outcome
settle_known(struct forwarder *f, struct group *g, struct err *e)
{
	group_find_written(g);
	return settle_rows(f, g, IPC_OUTCOME_DUPLICATE, e) == 0
		   ? OUTCOME_SETTLED
		   : OUTCOME_STOP;
}

/* --- a page -------------------------------------------------------------- */

/* 0: rows and webhooks are written, 1: rows are, 2: nothing is. */
static int
progress_of(
    const struct forwarder *f, const struct mail_server *server, uint64_t seq)
{
	bool hooks = f->main == f->message || !server->hooks_row ||
		     seq <= server->hooks_seq;

	if (seq > server->rows_seq)
		return 2;
	return hooks ? 0 : 1;
}

/* How many rows from the first on are one group. */
static size_t
group_len(const struct forwarder *f, const struct mail_server *server,
    const struct ipc_due_row *rows, size_t n)
{
	int progress = progress_of(f, server, rows[0].seq);
	size_t len = 1;

	while (len < n && len < f->config->forwarder.batch &&
	       rows[len].event.server_id == server->id &&
	       progress_of(f, server, rows[len].seq) == progress)
		len++;
	return len;
}

static int
make_group(struct forwarder *f, struct mail_server *server,
    const struct ipc_due_row *rows, size_t n, struct group *g, struct err *e)
{
	arena_reset(&f->work);
	*g = (struct group){.f = f, .server = server, .n = n};
	/* Not of f->work, which events that go singly begin anew. */
	g->events = arena_take(&f->page, n * sizeof(g->events[0]));
	if (g->events == NULL)
		return err_errno(e, "no memory for events");
	for (size_t i = 0; i < n; i++)
		g->events[i] = (struct group_event){&rows[i], NULL};
	return 0;
}

static enum outcome
write_page(struct forwarder *f, struct page *p, struct err *e)
{
	enum outcome o = OUTCOME_SETTLED;
	struct group g;
	size_t len;

	qsort(p->rows, p->n, sizeof(p->rows[0]), by_server);
	for (size_t i = 0; o == OUTCOME_SETTLED && i < p->n; i += len) {
		const struct ipc_due_row *rows = &p->rows[i];
		struct mail_server *server =
		    mail_servers_take(&f->servers, rows[0].event.server_id, e);

		if (server == NULL)
			return OUTCOME_STOP;
		len = group_len(f, server, rows, p->n - i);
		if (make_group(f, server, rows, len, &g, e) != 0)
			return OUTCOME_STOP;
		o = progress_of(f, server, rows[0].seq) == 0
			? settle_known(f, &g, e)
			: write_group(f, &g, e);
		/* Visitors come first. */
		forward_search(f);
	}
	return o;
}

/*
 * The spool came from a backup: the ledger of its node is of a later time.
 * What the spool held when it was opened is written if the ledger says so;
 * what came since is new, whatever its number, and goes under a new node.
 */
static int
settle_restored(struct forwarder *f, struct page *p, struct err *e)
{
	struct ipc_settle body = {.outcome = IPC_OUTCOME_DUPLICATE};
	struct ipc_new_node node = {0};
	struct ipc_received answer;
	uint64_t settled = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct ipc_due_row *row = &p->rows[i];
		const struct mail_server *server =
		    mail_servers_find(&f->servers, row->event.server_id);
		struct writer w = writer_of(f->rows, IPC_RECORD_MAX);
		struct ipc_settle_row one = {row->seq, 1};

		if (server == NULL || row->seq > f->feed.start_seq ||
		    row->seq > server->rows_seq)
			continue;
		(void)ipc_put(&w, &ipc_settle_row_record, &one);
		body.rows = (struct ipc_list){1, writer_span(&w)};
		if (feed_tell(&f->feed, IPC_SETTLE, &body, NULL, e) != 0)
			return -1;
		settled++;
	}
	/* There may be another page of the same kind. */
	if (settled > 0 && p->n == p->cap)
		return 0;
	log_warn("the ledger knows later events than the spool, which came "
		 "from a backup: it gets a new node");
	if (feed_ask(&f->feed, IPC_NEW_NODE, &node, IPC_WELCOME, &answer, e) !=
	    0)
		return -1;
	memcpy(f->feed.node, answer.body.welcome.node, sizeof(f->feed.node));
	f->restored = false;
	ledger_forget(f);
	return 0;
}

static int
prepare(struct forwarder *f, struct err *e)
{
	if (ledger_refresh(f, e) != 0)
		return -1;
	return hooks_refresh(&f->hooks, f->main, clock_mono_ms(), e);
}

static void
pause_drain(struct forwarder *f)
{
	f->drain_try_ms = clock_mono_ms() + f->drain_backoff_ms;
	f->drain_backoff_ms =
	    f->drain_backoff_ms == 0 ? PAUSE_FIRST_MS : f->drain_backoff_ms * 2;
	if (f->drain_backoff_ms > PAUSE_MOST_MS)
		f->drain_backoff_ms = PAUSE_MOST_MS;
}

enum turn
forward_drain(struct forwarder *f)
{
	struct page page;
	struct err e;
	enum outcome o;

	/* Webhooks are of servers that Postal has. */
	if (!f->feed.due || !f->servers_known ||
	    clock_mono_ms() < f->drain_try_ms)
		return TURN_IDLE;
	if (prepare(f, &e) != 0 || read_page(f, &page, &e) != 0)
		goto failed;
	if (page.n == 0) {
		f->feed.due = false;
		return TURN_IDLE;
	}
	if (f->restored) {
		if (settle_restored(f, &page, &e) != 0)
			goto failed;
		return TURN_MORE;
	}
	o = write_page(f, &page, &e);
	if (o == OUTCOME_SETTLED) {
		f->drain_backoff_ms = 0;
		return TURN_MORE;
	}
failed:
	forward_note_error(f, &f->log_drain, &e);
	pause_drain(f);
	return TURN_FAILED;
}
