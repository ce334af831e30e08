/*
 * lookup.c - which link is this: in our database, else in MySQL
 *
 * Runs in the store. Answers a worker's LINK at once, or lets it wait for the
 * forwarder as long as [links] lookup_timeout says. Whatever happens there, a
 * row of the replica that fits in all but the case of letters is better than
 * no answer.
 */
#include "store/internal.h"

#include <inttypes.h>

/* --- answers ----------------------------------------------------------- */

static void
send_linked(struct worker *w, const struct ipc_linked *linked)
{
	if (w->channel.fd < 0)
		return;
	/* No room: it does not read its answers; its visitor gets 503. */
	(void)ipc_send(&w->channel, w->store->scratch, IPC_LINKED, linked, -1);
}

static void
send_status(struct worker *w, uint64_t ask, enum ipc_linked_status status)
{
	struct ipc_linked linked = {.ask = ask, .status = (uint8_t)status};

	send_linked(w, &linked);
}

static void
send_row(struct worker *w, uint64_t ask, const struct links_row *row)
{
	struct ipc_linked linked = {.ask = ask,
	    .status = IPC_LINKED_FOUND,
	    .has_message = row->has_message,
	    .link_id = row->id,
	    .message_id = row->message_id,
	    .url = row->url};

	send_linked(w, &linked);
}

/* What the database has, else `otherwise`. */
static void
send_known(struct worker *w, uint64_t ask, uint32_t server_id,
    struct span token, enum ipc_linked_status otherwise)
{
	struct store *s = w->store;
	struct links_row row;
	struct err e;

	if (links_find_row(&s->links, server_id, token, &row, &e) ==
	    LINKS_FOUND)
		send_row(w, ask, &row);
	else
		send_status(w, ask, otherwise);
	links_release(&s->links);
}

/* --- those who wait ---------------------------------------------------- */

static struct worker *
worker_of(struct store *s, const struct search_waiter *waiter)
{
	struct worker *w = &s->workers[waiter->worker];

	return w->channel.fd >= 0 && w->instance == waiter->instance ? w : NULL;
}

/* All who wait for a search get what is known, else this. */
static void
tell_all(
    struct store *s, struct search *search, enum ipc_linked_status otherwise)
{
	struct span token = {search->token, search->len};
	struct search_waiter waiter;

	while (searches_take_waiter(&s->searches, search, &waiter)) {
		struct worker *w = worker_of(s, &waiter);

		if (w != NULL)
			send_known(
			    w, waiter.ask, search->server_id, token, otherwise);
	}
}

static void
tell_found(
    struct store *s, struct search *search, const struct ipc_searched *found)
{
	struct links_row row = {.id = found->link_id,
	    .message_id = found->message_id,
	    .has_message = found->has_message != 0,
	    .url = found->url};
	struct search_waiter waiter;

	while (searches_take_waiter(&s->searches, search, &waiter)) {
		struct worker *w = worker_of(s, &waiter);

		if (w != NULL)
			send_row(w, waiter.ask, &row);
	}
}

/* --- the forwarder's part ---------------------------------------------- */

static void
send_searches(struct store *s)
{
	struct search *search;

	while ((search = searches_to_send(&s->searches)) != NULL) {
		struct ipc_search body = {search->ask, search->server_id,
		    {search->token, search->len}};

		/* No room now: after its next answer, or never in time. */
		if (!forwarder_search(s, &body))
			return;
		searches_sent(&s->searches, search);
		s->n_searches++;
	}
}

/* A link that MySQL has: kept, so that it is asked for once. */
static void
keep_found(
    struct store *s, uint32_t server_id, const struct ipc_searched *found)
{
	const struct server_name *name = known_server(s, server_id);
	struct ipc_known_link_row row = {found->link_id, found->has_message,
	    found->message_id, found->token, found->url};
	enum database_result r;
	uint64_t held_back;
	struct err e;

	if (name == NULL || name->gone)
		return;
	r = known_take_found(s, server_id, &row, &e);
	if (r == DATABASE_OK)
		return;
	if (log_limit_pass(&s->log_links, s->loop.now_ms, &held_back))
		log_warn("cannot keep server=%" PRIu32
			 ": a link that was found: %s more=%" PRIu64,
		    server_id, e.text, held_back);
	if (r == DATABASE_DAMAGED)
		keep_replace_links(s, &e);
}

unsigned int
lookups_answered(struct store *s, const struct ipc_searched *answer)
{
	struct search *search = searches_of(&s->searches, answer->ask);
	bool found = answer->status == IPC_LINKED_FOUND;
	uint32_t server_id;

	if (!searches_had(&s->searches, answer->ask))
		return IPC_BREACH_ORDER;
	if (search == NULL)
		return 0; /* too late even for the next visitor */
	if (!search->sent)
		return IPC_BREACH_ORDER;
	if (found && (answer->link_id == 0 || answer->token.len == 0))
		return IPC_BREACH_FORM;
	server_id = search->server_id;
	if (found) {
		tell_found(s, search, answer);
	} else if (answer->status == IPC_LINKED_NONE) {
		searches_miss(&s->searches, server_id,
		    (struct span){search->token, search->len}, s->loop.now_ms);
		tell_all(s, search, IPC_LINKED_NONE);
	} else {
		tell_all(s, search, (enum ipc_linked_status)answer->status);
	}
	searches_end(&s->searches, search);
	if (found)
		keep_found(s, server_id, answer);
	send_searches(s);
	return 0;
}

void
lookups_give_up(struct store *s)
{
	for (size_t i = 0; s->searches.n > 0 && i < SEARCHES_MAX; i++) {
		struct search *search = &s->searches.list[i];

		if (search->ask == 0)
			continue;
		tell_all(s, search, IPC_LINKED_UNAVAILABLE);
		searches_end(&s->searches, search);
	}
}

void
lookups_due(struct store *s)
{
	struct search *search;
	uint64_t due;

	while ((search = searches_late(&s->searches, s->loop.now_ms)) != NULL) {
		tell_all(s, search, IPC_LINKED_UNAVAILABLE);
		searches_passed(&s->searches, search, s->loop.now_ms);
	}
	send_searches(s);
	due = searches_due(&s->searches);
	if (due != 0)
		loop_wake_at(&s->loop, due);
}

/* --- a worker's question ----------------------------------------------- */

/* The search that this question waits for; NULL when there cannot be one. */
static struct search *
search_for(struct store *s, struct server_name *name, struct span token)
{
	uint64_t due = s->loop.now_ms + s->settings.lookup_timeout_ms;
	struct search *search = searches_same(&s->searches, name->id, token);

	if (search != NULL && search->late) {
		/* The visitor who left in vain came again. */
		search->late = false;
		search->due_ms = due;
	} else if (search == NULL) {
		if (s->searches.n == SEARCHES_MAX)
			return NULL;
		if (!search_bucket_take(&name->bucket, s->loop.now_ms)) {
			s->n_searches_limited++;
			return NULL;
		}
		search = searches_add(&s->searches, name->id, token, due);
	}
	if (search != NULL)
		loop_wake_at(&s->loop, search->due_ms);
	return search;
}

static void
ask_forwarder(
    struct worker *w, struct server_name *name, const struct ipc_link *link)
{
	struct store *s = w->store;
	enum ipc_linked_status otherwise = IPC_LINKED_UNAVAILABLE;
	struct search *search = NULL;

	if (searches_missed(
		&s->searches, name->id, link->token, s->loop.now_ms))
		otherwise = IPC_LINKED_NONE;
	else if (forwarder_can_search(s))
		search = search_for(s, name, link->token);
	if (search == NULL ||
	    searches_wait(&s->searches, search, (uint16_t)(w - s->workers),
		w->instance, link->ask) != 0) {
		send_known(w, link->ask, name->id, link->token, otherwise);
		return;
	}
	send_searches(s);
}

/* Whether MySQL may have the exact spelling of what was found. */
static bool
is_enough(const struct server_name *name, const struct links_row *row)
{
	return row->exact || name->progress.complete != 0;
}

void
lookup_link(struct worker *w, const struct ipc_link *link)
{
	struct store *s = w->store;
	bool mysql = s->settings.mode == IPC_MODE_MYSQL;
	struct server_name *name = known_server(s, link->server_id);
	enum links_found found;
	struct ipc_linked linked;
	struct links_row row;
	struct err e;

	if (selftest_link(s, link, &linked)) {
		send_linked(w, &linked);
		return;
	}
	if (mysql && (name == NULL || name->gone)) {
		send_status(w, link->ask,
		    s->servers_known ? IPC_LINKED_NO_SERVER
				     : IPC_LINKED_UNAVAILABLE);
		return;
	}
	found =
	    links_find_row(&s->links, link->server_id, link->token, &row, &e);
	if (found == LINKS_DAMAGED) {
		keep_replace_links(s, &e);
		if (w->channel.fd < 0)
			return;
		name = known_server(s, link->server_id);
	}
	if (found == LINKS_FOUND && (!mysql || is_enough(name, &row)))
		send_row(w, link->ask, &row);
	else if (mysql && name != NULL)
		ask_forwarder(w, name, link);
	else
		send_status(w, link->ask,
		    found == LINKS_NONE ? IPC_LINKED_NONE
					: IPC_LINKED_UNAVAILABLE);
	links_release(&s->links);
}
