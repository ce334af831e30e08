/*
 * answer.c - what a request gets, and what is recorded of it
 *
 * Runs in the web worker. Decides by the table of servers, the cache of links
 * and the settings; writes no byte itself.
 */
#include "web/internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

/* Longer agents are cut; the tables take 255 characters, webhooks more. */
#define USER_AGENT_CHARS 1024
/* Beyond [links] lookup_timeout, for the way to the store and back. */
#define ASK_MARGIN_MS 500

/* --- what is recorded -------------------------------------------------- */

static bool
is_recorded(const struct web *w, const struct conn *c)
{
	return !c->head_method || w->settings.count_head != 0;
}

/*
 * Records the event and sends the reply: after the store has it, or at once
 * when nothing is recorded.
 */
static void
record_and_reply(struct web *w, struct conn *c, const struct http_request *r,
    struct ipc_event *event, enum http_reply reply)
{
	struct addr client;

	if (!is_recorded(w, c)) {
		conn_reply(w, c, reply);
		return;
	}
	client = http_client_address(r, c->peer, w->trusted, w->n_trusted);
	memcpy(event->ip, client.ip, sizeof(event->ip));
	event->at_us = clock_wall_us();
	event->method = c->head_method ? IPC_METHOD_HEAD : IPC_METHOD_GET;
	if (r->has_user_agent) {
		event->flags |= IPC_EVENT_HAS_AGENT;
		event->user_agent.p = w->agent;
		event->user_agent.len = utf8_repair(r->user_agent,
		    USER_AGENT_CHARS, w->agent, sizeof(w->agent));
	}
	w->counters[event->kind == IPC_EVENT_OPEN ? COUNTER_OPENS
						  : COUNTER_CLICKS]++;
	access_event(c,
	    event->kind == IPC_EVENT_OPEN ? HTTP_ACCESS_OPEN
					  : HTTP_ACCESS_CLICK,
	    HTTP_ACCESS_QUEUED);
	c->reply = (uint8_t)reply;
	if (!batches_put(w, c, event))
		conn_reply(w, c, reply);
}

/* --- opens ------------------------------------------------------------- */

static void
answer_open(struct web *w, struct conn *c, const struct http_request *r,
    uint32_t server_id, struct span token)
{
	struct ipc_event event = {
	    .kind = IPC_EVENT_OPEN, .server_id = server_id, .token = token};

	/* No message has such a token; the picture comes all the same. */
	if (token.len > IPC_TOKEN_MAX)
		conn_reply(w, c, HTTP_REPLY_PICTURE);
	else
		record_and_reply(w, c, r, &event, HTTP_REPLY_PICTURE);
}

/* --- clicks ------------------------------------------------------------ */

static void
redirect(struct web *w, struct conn *c, const struct http_request *r,
    struct link *link, struct span token)
{
	struct ipc_event event = {.kind = IPC_EVENT_CLICK,
	    .flags = link->has_message ? IPC_EVENT_HAS_MESSAGE : 0,
	    .server_id = link->server_id,
	    .link_id = link->link_id,
	    .message_id = link->message_id,
	    .token = token};

	c->link = link;
	record_and_reply(w, c, r, &event, HTTP_REPLY_REDIRECT);
}

static void
ask_store(struct web *w, struct conn *c, enum http_route route)
{
	/* An answer to a question before, which came too late, is not one to
	 * this. */
	c->serial++;
	c->asked = (uint8_t)route;
	c->state = CONN_ASKING;
	conn_wait(
	    w, c, &w->to_ask, w->settings.lookup_timeout_ms + ASK_MARGIN_MS);
}

static void
unknown_server(struct web *w, struct conn *c)
{
	w->counters[COUNTER_UNKNOWN_SERVERS]++;
	conn_reply(w, c, HTTP_REPLY_UNKNOWN_SERVER);
}

static void
unknown_link(struct web *w, struct conn *c)
{
	w->counters[COUNTER_UNKNOWN_LINKS]++;
	conn_reply(w, c, HTTP_REPLY_UNKNOWN_LINK);
}

static void
answer_click(struct web *w, struct conn *c, const struct http_request *r,
    uint32_t server_id, struct span token)
{
	struct link *link;

	if (token.len > IPC_TOKEN_MAX) {
		unknown_link(w, c);
		return;
	}
	link = links_find(&w->links, server_id, token, w->loop.now_ms);
	if (link == NULL) {
		w->counters[COUNTER_LINK_LOOKUPS]++;
		ask_store(w, c, HTTP_ROUTE_CLICK);
		return;
	}
	w->counters[COUNTER_LINK_CACHE_HITS]++;
	redirect(w, c, r, link, token);
}

/* A stored URL that no browser should be sent to. */
static void
warn_of_scheme(struct web *w, const struct ipc_linked *linked)
{
	uint64_t held_back;

	if (log_limit_pass(&w->log_scheme, w->loop.now_ms, &held_back))
		log_warn("refuse link=%" PRIu64 " reason=\"its URL is neither "
			 "http: nor https:\" more=%" PRIu64,
		    linked->link_id, held_back);
}

/* A reference to the link as it was found; else why there is none to use. */
static enum ipc_linked_status
take_link(struct web *w, const struct ipc_linked *linked, uint32_t server_id,
    struct span token, struct link **taken)
{
	struct writer out = writer_of(w->location, 3 * (size_t)IPC_URL_MAX);
	struct link *link;

	if (http_location_encode(linked->url, &out) != HTTP_LOCATION_OK) {
		warn_of_scheme(w, linked);
		return IPC_LINKED_NONE;
	}
	link = links_add(
	    &w->links, server_id, token, writer_span(&out), w->loop.now_ms);
	/* There may be memory when the visitor's browser tries again. */
	if (link == NULL)
		return IPC_LINKED_UNAVAILABLE;
	link->link_id = linked->link_id;
	link->message_id = linked->message_id;
	link->has_message = linked->has_message != 0;
	*taken = link;
	return IPC_LINKED_FOUND;
}

/*
 * The connection kept its head; it is read once more, so that nothing of a
 * request has to be copied for the wait.
 */
void
answer_link(struct web *w, struct conn *c, const struct ipc_linked *linked)
{
	struct http_request *r = &c->head->request;
	struct http_target target;
	struct link *link = NULL;
	unsigned int status = linked->status;
	size_t head_len;
	uint32_t server_id;

	http_request_init(r);
	if (http_request_parse(r, (struct span){c->head->bytes, c->head->len},
		w->settings.max_header_size) != HTTP_PARSE_DONE) {
		conn_close(w, c);
		return;
	}
	head_len = r->head_len;
	target = http_target_decode(r->target);
	server_id = servers_find(&w->servers, target.server);
	/* 0: it went away while its link was looked for. */
	if (status == IPC_LINKED_FOUND && server_id != 0)
		status = take_link(w, linked, server_id, target.token, &link);
	if (link != NULL) {
		redirect(w, c, r, link, target.token);
	} else if (status == IPC_LINKED_UNAVAILABLE) {
		/* Of a challenge too, which has no server. */
		w->counters[COUNTER_UNAVAILABLE]++;
		conn_reply(w, c, HTTP_REPLY_UNAVAILABLE);
	} else if (status == IPC_LINKED_NO_SERVER || server_id == 0) {
		unknown_server(w, c);
	} else {
		unknown_link(w, c);
	}
	conn_answered(w, c, head_len);
}

/* --- challenges -------------------------------------------------------- */

void
answer_challenge(
    struct web *w, struct conn *c, const struct ipc_challenged *challenged)
{
	static const enum http_reply replies[] = {
	    [IPC_CHALLENGE_FOUND] = HTTP_REPLY_CHALLENGE,
	    [IPC_CHALLENGE_NONE] = HTTP_REPLY_NO_CHALLENGE,
	    [IPC_CHALLENGE_OFF] = HTTP_REPLY_HELLO,
	};
	size_t head_len = c->head->request.head_len;

	w->challenge = challenged->text;
	conn_reply(w, c, replies[challenged->status]);
	w->challenge = (struct span){NULL, 0};
	conn_answered(w, c, head_len);
}

/* --- routes ------------------------------------------------------------ */

static void
answer_tracked(struct web *w, struct conn *c, const struct http_request *r,
    const struct http_target *target)
{
	uint32_t server_id = servers_find(&w->servers, target->server);

	if (!w->servers.known) {
		w->counters[COUNTER_UNAVAILABLE]++;
		conn_reply(w, c, HTTP_REPLY_UNAVAILABLE);
	} else if (server_id == 0) {
		unknown_server(w, c);
	} else if (target->route == HTTP_ROUTE_OPEN) {
		answer_open(w, c, r, server_id, target->token);
	} else {
		answer_click(w, c, r, server_id, target->token);
	}
}

void
answer_request(struct web *w, struct conn *c, const struct http_request *r)
{
	struct http_target target;

	c->keep_alive = r->keep_alive;
	c->minor = r->minor;
	c->head_method = r->method == HTTP_METHOD_HEAD;
	if (r->method == HTTP_METHOD_OTHER) {
		w->counters[COUNTER_REQUESTS_REFUSED]++;
		c->linger = !r->keep_alive;
		conn_reply(w, c, HTTP_REPLY_METHOD_NOT_ALLOWED);
		return;
	}
	target = http_target_decode(r->target);
	switch (target.route) {
	case HTTP_ROUTE_OPEN:
	case HTTP_ROUTE_CLICK:
		answer_tracked(w, c, r, &target);
		break;
	case HTTP_ROUTE_CHALLENGE:
		ask_store(w, c, target.route);
		break;
	case HTTP_ROUTE_ROBOTS:
		conn_reply(w, c, HTTP_REPLY_ROBOTS);
		break;
	default:
		conn_reply(w, c, HTTP_REPLY_HELLO);
	}
}
