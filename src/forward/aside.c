/*
 * aside.c - mail servers that cannot be written, and their next chance
 *
 * Runs in the forwarder. The events of a broken database are set aside in the
 * store. After a pause that doubles a few of them are put back, and when those
 * can be written, all.
 */
#include "forward/forwarder.h"

#include <string.h>

#include "base/clock.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MOST_MS 600000
/* The store did not take a RETRY. */
#define PAUSE_MS 2000

void
aside_note_broken(struct mail_server *server, const struct err *e)
{
	uint64_t now = clock_mono_ms();

	server->backoff_ms =
	    server->backoff_ms == 0 ? RETRY_FIRST_MS : server->backoff_ms * 2;
	if (server->backoff_ms > RETRY_MOST_MS)
		server->backoff_ms = RETRY_MOST_MS;
	server->retry_at_ms = now + server->backoff_ms;
	if (!server->broken)
		log_err("broken database=%s cause=\"%s\": its events are set "
			"aside and tried again later",
		    server->database, e->text);
	server->broken = true;
	server->probing = false;
	(void)span_to_text((struct span){(const uint8_t *)e->text,
			       strnlen(e->text, sizeof(server->reason) - 1)},
	    server->reason, sizeof(server->reason));
}

void
aside_note_sound(struct mail_server *server)
{
	if (server->broken)
		log_notice("works again database=%s", server->database);
	server->broken = server->probing = false;
	server->backoff_ms = 0;
	server->reason[0] = '\0';
	/* What is left aside follows at once. */
	if (server->aside)
		server->retry_at_ms = 0;
}

int
forward_load_aside(struct forwarder *f, struct err *e)
{
	struct ipc_aside_get get = {.after_server = 0};
	struct ipc_received answer;
	struct ipc_aside_server_row row;
	struct cursor c;

	do {
		if (feed_ask(&f->feed, IPC_ASIDE_GET, &get, IPC_ASIDE, &answer,
			e) != 0)
			return -1;
		c = cursor_of(answer.body.aside.rows.records);
		for (size_t i = 0; i < answer.body.aside.rows.count; i++) {
			struct mail_server *server;

			ipc_next(&c, &ipc_aside_server_row_record, &row);
			get.after_server = row.server_id;
			server =
			    mail_servers_take(&f->servers, row.server_id, e);
			if (server == NULL)
				return -1;
			server->aside = true;
		}
	} while (answer.body.aside.rows.count > 0);
	return 0;
}

/* A few at first, to see whether it works; then all that there are. */
static int
retry(struct forwarder *f, struct mail_server *server, struct err *e)
{
	struct ipc_retry body = {
	    .server_id = server->id, .most = server->broken ? 10 : UINT16_MAX};
	uint64_t n = 0;

	if (feed_tell(&f->feed, IPC_RETRY, &body, &n, e) != 0)
		return -1;
	server->aside = n > 0;
	/* The next events show; if they fail, the next pause is longer. */
	server->probing = server->broken;
	server->retry_at_ms = n > 0 ? clock_mono_ms() : UINT64_MAX;
	f->feed.due = f->feed.due || (n > 0 && !f->feed.due_asked);
	return 0;
}

uint64_t
forward_retry_aside(struct forwarder *f)
{
	uint64_t now = clock_mono_ms(), next = 0;
	struct err e;

	if (!feed_is_up(&f->feed) || !sql_is_open(&f->message->sql) ||
	    now < f->drain_try_ms)
		return 0;
	for (size_t i = 0; i < f->servers.n; i++) {
		struct mail_server *server = f->servers.list[i];

		if ((!server->aside && !server->broken) || server->probing)
			continue;
		if (now >= server->retry_at_ms) {
			if (retry(f, server, &e) != 0) {
				forward_note_error(f, &f->log_drain, &e);
				return now + PAUSE_MS;
			}
		} else if (next == 0 || server->retry_at_ms < next) {
			next = server->retry_at_ms;
		}
	}
	return next;
}
