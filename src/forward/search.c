/*
 * search.c - a visitor waits for a link that the replica does not have
 *
 * Runs in the forwarder, between any two steps of other work.
 */
#include "forward/forwarder.h"

#include "base/clock.h"

/* Rows that match without case; one of them is exact, or none is. */
#define CANDIDATES "100"

struct found {
	struct ipc_searched answer;
	bool exact;
};

static int
take(struct forwarder *f, const struct sql_cell *cells, struct span wanted,
    struct found *found, struct err *e)
{
	int64_t id, message_id = 0;
	struct span token, url;
	bool exact = !cells[2].null && span_equal(cells[2].text, wanted);

	if (sql_cell_int64(&cells[0], &id) != 0 || id < 1)
		return 0;
	/* An exact one wins; else the first, which has the lowest id. */
	if (found->answer.status == IPC_LINKED_FOUND &&
	    (found->exact || !exact))
		return 0;
	if (arena_copy(&f->search, cells[2].text, &token) != 0 ||
	    arena_copy(&f->search, cells[3].text, &url) != 0)
		return err_errno(e, "no memory for a link");
	found->exact = exact;
	found->answer.status = IPC_LINKED_FOUND;
	found->answer.link_id = (uint64_t)id;
	found->answer.has_message =
	    !cells[1].null && sql_cell_int64(&cells[1], &message_id) == 0;
	found->answer.message_id = (uint64_t)message_id;
	found->answer.token = token;
	found->answer.url = cells[3].null ? span_of("") : url;
	return 0;
}

static int
look_up(struct forwarder *f, const struct mail_server *server,
    struct span token, struct found *found, struct err *e)
{
	struct writer w = writer_of(f->text, FORWARD_TEXT_SIZE);
	struct sql_value value = sql_text(token);
	struct sql_statement *s;
	int got;

	writer_text(&w, "SELECT id, message_id, token, url FROM ");
	writer_text(&w, server->database);
	writer_text(&w, ".links WHERE token = ? ORDER BY id LIMIT " CANDIDATES);
	s = host_execute(f->message, writer_span(&w), &value, 1, e);
	if (s == NULL)
		return -1;
	while ((got = sql_fetch(s, e)) == 1)
		if (take(f, s->cells, token, found, e) != 0)
			return -1;
	return got;
}

/* What the visitor gets when the look-up fails. */
static uint8_t
status_of_failure(const struct host *h)
{
	/* Its message database is gone: so is the server, for a visitor. */
	return h->sql.failure == SQL_GONE ? IPC_LINKED_NO_SERVER
					  : IPC_LINKED_UNAVAILABLE;
}

static void
search_one(struct forwarder *f, const struct feed_search *search)
{
	struct mail_server *server =
	    mail_servers_find(&f->servers, search->server_id);
	struct span token = {search->token, search->len};
	struct found found = {.answer = {.ask = search->ask,
				  .status = IPC_LINKED_NONE,
				  .token = span_of(""),
				  .url = span_of("")}};
	struct err e;

	arena_reset(&f->search);
	f->state.searches++;
	if (server != NULL)
		server->quiet = 0;
	if (!sql_is_open(&f->message->sql)) {
		found.answer.status = IPC_LINKED_UNAVAILABLE;
	} else if (server != NULL && server->present &&
		   look_up(f, server, token, &found, &e) != 0) {
		found.answer.status = status_of_failure(f->message);
		forward_note_error(f, &f->log_links, &e);
	}
	feed_say(&f->feed, IPC_SEARCHED, &found.answer);
}

void
forward_search(struct forwarder *f)
{
	struct err e;

	if (!feed_is_up(&f->feed) || feed_listen(&f->feed, &e) != 0)
		return;
	for (size_t i = 0; i < f->feed.n_searches; i++)
		search_one(f, &f->feed.searches[i]);
	f->feed.n_searches = 0;
}
