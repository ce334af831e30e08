/*
 * mail_servers.c - Postal's mail servers: what the forwarder knows of each
 *
 * Runs in the forwarder. Memory grows with Postal's table of servers, never
 * with what visitors send.
 */
#include "forward/mail_servers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

/* The first server whose id is not below. */
static size_t
place_of(const struct mail_servers *s, uint32_t id)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->list[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct mail_server *
mail_servers_find(const struct mail_servers *s, uint32_t id)
{
	size_t at = place_of(s, id);

	return at < s->n && s->list[at]->id == id ? s->list[at] : NULL;
}

static int
name_database(const struct mail_servers *s, uint32_t id,
    struct mail_server *server, struct err *e)
{
	char name[256];

	(void)snprintf(name, sizeof(name), "%s-server-%" PRIu32, s->prefix, id);
	if (sql_quote_name(span_of(name), server->database) != 0)
		return err_set(e,
		    "[message_db] prefix: no database can be named %s", name);
	return 0;
}

static int
grow(struct mail_servers *s, struct err *e)
{
	void *grown = array_with_room((void *)s->list, s->n, sizeof(void *));

	if (grown == NULL)
		return err_errno(e, "no memory for servers");
	s->list = grown;
	return 0;
}

struct mail_server *
mail_servers_take(struct mail_servers *s, uint32_t id, struct err *e)
{
	size_t at = place_of(s, id);
	struct mail_server *server;

	if (at < s->n && s->list[at]->id == id)
		return s->list[at];
	server = calloc(1, sizeof(*server));
	if (server == NULL) {
		(void)err_errno(e, "no memory for a server");
		return NULL;
	}
	server->id = id;
	if (name_database(s, id, server, e) != 0 || grow(s, e) != 0) {
		free(server);
		return NULL;
	}
	for (size_t i = s->n; i > at; i--)
		s->list[i] = s->list[i - 1];
	s->list[at] = server;
	s->n++;
	return server;
}

void
mail_servers_forget_ledger(struct mail_servers *s)
{
	for (size_t i = 0; i < s->n; i++) {
		s->list[i]->rows_seq = s->list[i]->hooks_seq = 0;
		s->list[i]->hooks_row = false;
	}
}

void
mail_server_forget_replica(struct mail_server *server)
{
	server->low = server->high = server->newest = 0;
	server->complete = server->started = false;
	server->unreadable = false;
	server->read_at_ms = 0;
	server->n_gaps = 0;
}

void
mail_servers_forget_replica(struct mail_servers *s)
{
	for (size_t i = 0; i < s->n; i++)
		mail_server_forget_replica(s->list[i]);
}

size_t
mail_servers_count(const struct mail_servers *s, bool broken)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->list[i]->present &&
		    (!broken || s->list[i]->broken || s->list[i]->unreadable))
			n++;
	return n;
}

void
mail_servers_clear(struct mail_servers *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->list[i]->gaps);
		free(s->list[i]);
	}
	free(s->list);
	*s = (struct mail_servers){.prefix = s->prefix};
}
