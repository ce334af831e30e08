/*
 * group_hooks.c - rows of webhook_requests for the events of a group
 *
 * Runs in the forwarder. `retry_after` lies a second back: with that, every
 * generation of Postal picks the row up; `attempts` and the locks are at
 * their start.
 */
#include "forward/group.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "forward/payload.h"
#include "forward/value.h"

/* Rows of one INSERT, and bytes of their payloads: below the smallest usual
 * max_allowed_packet. */
#define ROWS_MOST 64
#define BYTES_MOST ((size_t)512 << 10)
#define COLUMNS 6

#define COLUMN_NAMES                                          \
	" (server_id, webhook_id, url, event, uuid, payload," \
	" attempts, retry_after, created_at) VALUES "
#define ROW                                                    \
	"(?,?,?,?,?,?,0,UTC_TIMESTAMP(6) - INTERVAL 1 SECOND," \
	"UTC_TIMESTAMP(6))"

/* Rows that gather for the next INSERT. */
struct rows {
	struct sql_value values[ROWS_MOST * COLUMNS];
	size_t n;
	size_t bytes;
};

static int
insert(struct group *g, struct host *h, const struct sql_value *values,
    size_t n, struct err *e)
{
	struct writer w = writer_of(g->f->text, FORWARD_TEXT_SIZE);

	writer_text(&w, "INSERT INTO ");
	writer_text(&w, g->f->main_database);
	writer_text(&w, ".webhook_requests" COLUMN_NAMES);
	placeholders_write(&w, ROW, "," ROW, n);
	if (host_execute(h, writer_span(&w), values, n * COLUMNS, e) == NULL)
		return err_prefix(e, "webhook_requests");
	g->n_webhooks += n;
	return 0;
}

static int
flush(struct group *g, struct host *h, struct rows *rows, struct err *e)
{
	const struct sql_value *values = rows->values;

	while (rows->n > 0) {
		size_t chunk = placeholders_chunk(rows->n, ROWS_MOST);

		if (insert(g, h, values, chunk, e) != 0)
			return -1;
		values += chunk * COLUMNS;
		rows->n -= chunk;
	}
	rows->bytes = 0;
	return 0;
}

/* --- the payload of one event ------------------------------------------ */

static struct forward_message
message_of(const struct group_message *m)
{
	return (struct forward_message){.id = m->id,
	    .token = m->token,
	    .scope = m->scope,
	    .message_id = m->message_id,
	    .rcpt_to = m->rcpt_to,
	    .mail_from = m->mail_from,
	    .subject = m->subject,
	    .timestamp = m->timestamp,
	    .inspected = m->inspected,
	    .spam = m->spam,
	    .tag = m->tag};
}

static void
skip(struct group *g, const struct group_event *e, uint64_t hook_id,
    const char *reason)
{
	uint64_t held_back;

	g->n_skipped++;
	if (log_limit_pass(&g->f->log_hooks, clock_mono_ms(), &held_back))
		log_warn("skip webhook=%" PRIu64 " server=%" PRIu32
			 " message=%" PRId64 " reason=\"%s\" more=%" PRIu64,
		    hook_id, g->server->id, e->message->id, reason, held_back);
}

/* Into memory of the group; p NULL: there is none. -1: no memory. */
static int
make_payload(struct group *g, const struct group_event *e, struct span *payload,
    struct err *err)
{
	const struct ipc_event *event = &e->row->event;
	const struct group_link *link = NULL;
	char ip[ADDR_TEXT_SIZE];
	struct writer w;
	struct forward_payload p = {.kind = (enum ipc_event_kind)event->kind,
	    .message = message_of(e->message)};

	*payload = (struct span){NULL, 0};
	forward_ip_format(event->ip, ip);
	p.ip = span_of(ip);
	if ((event->flags & IPC_EVENT_HAS_AGENT) != 0)
		p.user_agent = event->user_agent;
	if (p.kind == IPC_EVENT_CLICK)
		link = group_find_link(g, event->link_id);
	if (link != NULL) {
		p.url = link->url;
		p.token = link->token;
	} else if (p.kind == IPC_EVENT_CLICK) {
		skip(g, e, 0, "its link is gone from Postal's table");
		return 0;
	}
	w = writer_of(g->f->rows, FORWARD_PAYLOAD_MAX);
	if (forward_payload_write(&p, &w) != FORWARD_PAYLOAD_OK) {
		skip(g, e, 0, "its payload would be longer than the column");
		return 0;
	}
	if (g->narrow)
		w.len = forward_narrow(w.p, w.len);
	return arena_copy(&g->f->work, writer_span(&w), payload) != 0
		   ? err_errno(err, "no memory for a webhook")
		   : 0;
}

/* --- rows --------------------------------------------------------------- */

static int
put(struct group *g, const struct group_event *e, const struct hook *hook,
    struct span payload, struct rows *rows, struct err *err)
{
	struct sql_value *v = &rows->values[rows->n * COLUMNS];
	char *uuid = arena_take(&g->f->work, FORWARD_UUID_SIZE);

	if (uuid == NULL)
		return err_errno(err, "no memory for a webhook");
	forward_uuid(g->f->feed.node, e->row->seq, hook->id, uuid);
	v[0] = sql_int64(g->server->id);
	v[1] = sql_uint64(hook->id);
	v[2] = sql_text(hook->url);
	v[3] = sql_text(span_of(
	    forward_event_name((enum ipc_event_kind)e->row->event.kind)));
	v[4] = sql_text(span_of(uuid));
	v[5] = sql_text(payload);
	rows->n++;
	rows->bytes += payload.len;
	return 0;
}

static bool
asks_for(const struct hook *hook, const struct group_event *e)
{
	return e->row->event.kind == IPC_EVENT_OPEN ? hook->open : hook->click;
}

/* All endpoints of one event. */
static int
put_event(struct group *g, struct host *h, const struct group_event *e,
    struct rows *rows, struct err *err)
{
	struct span payload = {NULL, 0};
	bool made = false;

	for (size_t i = 0; i < g->n_hooks; i++) {
		const struct hook *hook = &g->hooks[i];

		if (!asks_for(hook, e))
			continue;
		if (hook->url.len == 0) {
			skip(g, e, hook->id, "the webhook has no URL");
			continue;
		}
		if (!made && make_payload(g, e, &payload, err) != 0)
			return -1;
		made = true;
		if (payload.p == NULL)
			return 0;
		if ((rows->n == ROWS_MOST || rows->bytes > BYTES_MOST) &&
		    flush(g, h, rows, err) != 0)
			return -1;
		if (put(g, e, hook, payload, rows, err) != 0)
			return -1;
	}
	return 0;
}

int
group_write_hooks(
    struct group *g, struct host *h, uint64_t after, struct err *e)
{
	struct rows *rows = arena_take(&g->f->work, sizeof(*rows));

	if (rows == NULL)
		return err_errno(e, "no memory for webhooks");
	rows->n = rows->bytes = 0;
	if (g->want_click && group_read_links(g, e) != 0)
		return -1;
	for (size_t i = 0; i < g->n; i++)
		if (g->events[i].message != NULL &&
		    g->events[i].row->seq > after &&
		    put_event(g, h, &g->events[i], rows, e) != 0)
			return -1;
	return flush(g, h, rows, e);
}
