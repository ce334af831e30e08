/*
 * hooks.c - the webhooks that customers configured in Postal
 *
 * Runs in the forwarder. Which events a webhook asks for is decided by the
 * server, whose collation Postal's own query uses too.
 */
#include "forward/hooks.h"

#include <stdlib.h>

#include "base/array.h"

#define FRESH_MS 1000

/* Postal joins and removes duplicates; EXISTS cannot make any. */
static const char text[] =
    "SELECT w.id, w.server_id, w.url,"
    " w.all_events = 1 OR EXISTS (SELECT 1 FROM webhook_events e"
    " WHERE e.webhook_id = w.id AND e.event = 'MessageLoaded'),"
    " w.all_events = 1 OR EXISTS (SELECT 1 FROM webhook_events e"
    " WHERE e.webhook_id = w.id AND e.event = 'MessageLinkClicked')"
    " FROM webhooks w WHERE w.enabled = 1 AND w.server_id > 0"
    " ORDER BY w.server_id, w.id";

static int
add(struct hooks *h, const struct sql_cell *cells, struct err *e)
{
	struct hook hook, *grown;
	int64_t id, server_id, open = 0, click = 0;

	if (sql_cell_int64(&cells[0], &id) != 0 ||
	    sql_cell_int64(&cells[1], &server_id) != 0 ||
	    server_id > UINT32_MAX)
		return 0;
	(void)sql_cell_int64(&cells[3], &open);
	(void)sql_cell_int64(&cells[4], &click);
	grown = array_with_room(h->list, h->n, sizeof(h->list[0]));
	if (grown == NULL)
		return err_errno(e, "no memory for webhooks");
	h->list = grown;
	hook = (struct hook){.id = (uint64_t)id,
	    .server_id = (uint32_t)server_id,
	    .open = open != 0,
	    .click = click != 0};
	if (!cells[2].null &&
	    arena_copy(&h->memory, cells[2].text, &hook.url) != 0)
		return err_errno(e, "no memory for webhooks");
	h->list[h->n++] = hook;
	return 0;
}

int
hooks_refresh(
    struct hooks *h, struct host *main, uint64_t now_ms, struct err *e)
{
	struct sql_statement *s;
	int got = 0;

	if (h->session == main->session && now_ms - h->read_at_ms < FRESH_MS)
		return 0;
	h->session = 0;
	h->n = 0;
	arena_reset(&h->memory);
	s = host_execute(main, span_of(text), NULL, 0, e);
	if (s == NULL)
		return err_prefix(e, "webhooks");
	while ((got = sql_fetch(s, e)) == 1)
		if (add(h, s->cells, e) != 0)
			return -1;
	if (got != 0)
		return err_prefix(e, "webhooks");
	h->session = main->session;
	h->read_at_ms = now_ms;
	return 0;
}

void
hooks_forget(struct hooks *h)
{
	h->session = 0;
}

const struct hook *
hooks_of(const struct hooks *h, uint32_t server_id, size_t *n)
{
	size_t low = 0, high = h->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (h->list[middle].server_id < server_id)
			low = middle + 1;
		else
			high = middle;
	}
	for (*n = 0; low + *n < h->n; (*n)++)
		if (h->list[low + *n].server_id != server_id)
			break;
	return h->list == NULL ? NULL : h->list + low;
}

void
hooks_clear(struct hooks *h)
{
	free(h->list);
	arena_clear(&h->memory);
	*h = (struct hooks){.list = NULL};
}
