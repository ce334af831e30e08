/*
 * channel.c - the web worker's channels: monitor and store
 *
 * The worker is the weaker side of both: what does not follow the rules, or a
 * monitor that is gone, ends it. The store may come and go; the monitor then
 * hands over a new channel, and what was under way is sent again.
 */
#include "web/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>

#include "base/array.h"
#include "base/fd.h"

#define COUNTERS_EVERY_MS 1000
/* Of the store's messages in a round: as many as visitors who ask for links
 * mostly wait for, and no more, should it flood. */
#define MESSAGES_A_ROUND 64

static struct web *
web_of(struct loop_watch *watch, size_t offset)
{
	return (struct web *)(void *)((char *)watch - offset);
}

_Noreturn void
web_stop_for(const char *reason)
{
	log_err("stop reason=\"%s\"", reason);
	exit(EX_PROTOCOL);
}

/* --- the store --------------------------------------------------------- */

static void
on_servers(struct web *w, const union ipc_body *body)
{
	switch (servers_take(&w->servers, &body->servers)) {
	case SERVERS_TAKEN:
		break;
	case SERVERS_NO_MEMORY:
		log_err("servers error=\"no memory; the old table stays\"");
		break;
	case SERVERS_TOO_MANY:
		web_stop_for("the store sent more servers than there can be");
	}
	if (w->servers.known)
		web_start_listening(w);
}

static void
on_stored(struct web *w, const union ipc_body *body)
{
	batches_stored(w, &body->stored);
}

static void
on_linked(struct web *w, const union ipc_body *body)
{
	struct conn *c = conn_of_ask(w, body->linked.ask, HTTP_ROUTE_CLICK);

	/* NULL: the visitor went away, or was told to try again. */
	if (c != NULL)
		answer_link(w, c, &body->linked);
}

static void
on_challenged(struct web *w, const union ipc_body *body)
{
	struct conn *c =
	    conn_of_ask(w, body->challenged.ask, HTTP_ROUTE_CHALLENGE);

	if (c != NULL)
		answer_challenge(w, c, &body->challenged);
}

static const struct {
	enum ipc_type type;
	void (*handle)(struct web *w, const union ipc_body *body);
} store_handlers[] = {
    {IPC_SERVERS, on_servers},
    {IPC_STORED, on_stored},
    {IPC_LINKED, on_linked},
    {IPC_CHALLENGED, on_challenged},
};

static void
handle_store(struct web *w, const struct ipc_received *in)
{
	for (size_t i = 0; i < ARRAY_LENGTH(store_handlers); i++)
		if (store_handlers[i].type == in->message->type)
			store_handlers[i].handle(w, &in->body);
}

/* What is left comes in the next round, after the visitors. */
static void
on_store(struct loop_watch *watch, uint32_t events)
{
	struct web *w = web_of(watch, offsetof(struct web, store_watch));
	struct ipc_received in;
	enum ipc_result got = IPC_OK;

	(void)events;
	for (int i = 0; i < MESSAGES_A_ROUND; i++) {
		got = ipc_receive(&w->store, w->buffer, &in);
		if (got != IPC_OK)
			break;
		handle_store(w, &in);
		/* Mostly nothing follows an acknowledgement, and asking would
		 * be a call for each batch; a table of servers takes a
		 * while. */
		if (in.message->type == IPC_STORED ||
		    in.message->type == IPC_SERVERS)
			return;
	}
	if (got == IPC_BREACH)
		web_stop_for(
		    "the store sent a message that is not in the table");
	if (got == IPC_CLOSED) {
		(void)loop_remove(&w->loop, &w->store_watch);
		fd_close(&w->store.fd);
		w->batches.under_way = false;
	}
}

/* Those who asked the old store ask the new one, before all later ones. */
static void
ask_again(struct web *w)
{
	struct conn *c;

	while ((c = w->to_ask.first) != NULL) {
		conn_list_remove(c);
		conn_list_append(&w->asked, c);
	}
	while ((c = w->asked.first) != NULL) {
		conn_list_remove(c);
		conn_list_append(&w->to_ask, c);
	}
}

static void
take_store(struct web *w, int fd)
{
	(void)loop_remove(&w->loop, &w->store_watch);
	fd_close(&w->store.fd);
	w->store = (struct ipc_channel){fd, IPC_WEB, IPC_STORE};
	w->store_watch = (struct loop_watch){fd, on_store};
	if (loop_add(&w->loop, &w->store_watch, EPOLLIN) != 0)
		web_stop_for("cannot watch the store");
	/* First of all, that it can tell what is counted from now on. */
	w->next_counters_ms = 0;
	channels_send_counters(w);
	ask_again(w);
	batches_resend(w);
}

static int
ask_one(struct web *w, struct conn *c)
{
	const struct http_request *r;
	struct http_target target;
	struct ipc_link body = {.ask = conn_ask(w, c)};
	struct ipc_challenge challenge = {.ask = body.ask};

	http_request_init(&c->head->request);
	if (http_request_parse(&c->head->request,
		(struct span){c->head->bytes, c->head->len},
		w->settings.max_header_size) != HTTP_PARSE_DONE)
		return -1;
	r = &c->head->request;
	target = http_target_decode(r->target);
	if (target.route == HTTP_ROUTE_CHALLENGE) {
		challenge.token = target.token;
		return (int)ipc_send(
		    &w->store, w->scratch2, IPC_CHALLENGE, &challenge, -1);
	}
	body.server_id = servers_find(&w->servers, target.server);
	body.token = target.token;
	/* The server went away while the connection waited. */
	if (body.server_id == 0)
		return -1;
	return (int)ipc_send(&w->store, w->scratch2, IPC_LINK, &body, -1);
}

/* When there is no room, answers are on their way that will bring us here
 * again. */
void
channels_flush(struct web *w)
{
	struct ipc_linked nothing = {.status = IPC_LINKED_NONE};
	struct conn *c;

	while (w->store.fd >= 0 && (c = w->to_ask.first) != NULL) {
		switch (ask_one(w, c)) {
		case IPC_OK:
			conn_list_remove(c);
			conn_list_append(&w->asked, c);
			break;
		case -1:
			answer_link(w, c, &nothing);
			break;
		default:
			return;
		}
	}
}

void
channels_send_counters(struct web *w)
{
	uint8_t bytes[COUNTER_N * 16];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct ipc_counters body = {.rows = {COUNTER_N, {NULL, 0}}};

	if (w->loop.now_ms >= w->next_counters_ms) {
		for (int i = 0; i < COUNTER_N; i++) {
			struct ipc_counter_row row = {
			    (uint8_t)i, w->counters[i]};

			(void)ipc_put(&out, &ipc_counter_row_record, &row);
		}
		body.rows.records = writer_span(&out);
		/* Without a store, the next one is told at once. */
		if (w->store.fd >= 0)
			(void)ipc_send(
			    &w->store, w->scratch2, IPC_COUNTERS, &body, -1);
		w->next_counters_ms = w->loop.now_ms + COUNTERS_EVERY_MS;
	}
	loop_wake_at(&w->loop, w->next_counters_ms);
}

/* --- the monitor ------------------------------------------------------- */

static void
on_stop(struct web *w, uint32_t within_ms, uint64_t alone)
{
	log_debug("finishing connections=%zu", w->n_live);
	w->stopping = true;
	w->stop_by_ms = w->loop.now_ms + within_ms;
	w->alone = alone;
	web_update_listening(w);
	conns_stop(w);
}

static void
on_channel(struct web *w, struct ipc_received *in)
{
	const struct ipc_channel_offer *offer = &in->body.channel;

	if (offer->role == IPC_STORE)
		take_store(w, in->fd);
	else if (offer->role == IPC_KEEPER)
		keepers_take(w, offer->index, in->fd);
	else if (offer->role == IPC_LOGGER)
		access_take_logger(w, in->fd);
	else
		web_stop_for("the monitor sent a channel to nobody");
}

static void
on_monitor_stop(struct web *w, struct ipc_received *in)
{
	on_stop(w, in->body.stop.within_ms, in->body.stop.leaves);
}

static void
on_ping(struct web *w, struct ipc_received *in)
{
	(void)in;
	role_answer(&w->role);
}

static void
on_certificate(struct web *w, struct ipc_received *in)
{
	certificates_take(w, &in->body.certificate, in->fd);
}

static void
on_pair_drop(struct web *w, struct ipc_received *in)
{
	certificates_drop(w, in->body.pair_drop.pair);
}

static void
on_certificates_done(struct web *w, struct ipc_received *in)
{
	(void)in;
	certificates_use(w);
}

static const struct {
	enum ipc_type type;
	bool https; /* only with listeners of HTTPS */
	void (*handle)(struct web *w, struct ipc_received *in);
} monitor_handlers[] = {
    {IPC_STOP, false, on_monitor_stop},
    {IPC_PING, false, on_ping},
    {IPC_CHANNEL, false, on_channel},
    {IPC_CERTIFICATE, true, on_certificate},
    {IPC_PAIR_DROP, true, on_pair_drop},
    {IPC_CERTIFICATES_DONE, true, on_certificates_done},
};

static void
handle_monitor(struct web *w, struct ipc_received *in)
{
	for (size_t i = 0; i < ARRAY_LENGTH(monitor_handlers); i++)
		if (monitor_handlers[i].type == in->message->type &&
		    (!monitor_handlers[i].https || w->settings.n_https > 0)) {
			monitor_handlers[i].handle(w, in);
			return;
		}
	web_stop_for("the monitor sent a message out of order");
}

static void
on_monitor(struct loop_watch *watch, uint32_t events)
{
	struct web *w = web_of(watch, offsetof(struct web, monitor_watch));
	struct ipc_received in;
	enum ipc_result got;

	(void)events;
	while (
	    (got = ipc_receive(&w->role.monitor, w->buffer, &in)) == IPC_OK) {
		handle_monitor(w, &in);
		/* It was read, which takes a while: requests come first. */
		if (in.message->type == IPC_CERTIFICATE)
			return;
	}
	if (got == IPC_BREACH)
		web_stop_for("the monitor sent a message that is not in the "
			     "table");
	if (got == IPC_CLOSED)
		web_stop_for("the monitor is gone");
}

int
channels_open(struct web *w, struct err *e)
{
	w->store.fd = w->store_watch.fd = -1;
	keepers_init(w);
	w->buffer = w->role.buffer;
	w->scratch2 = calloc(1, IPC_RECORD_MAX);
	w->location = calloc(3, IPC_URL_MAX);
	if (w->scratch2 == NULL || w->location == NULL)
		return err_errno(e, "no memory for messages");
	w->monitor_watch = (struct loop_watch){w->role.monitor.fd, on_monitor};
	if (loop_add(&w->loop, &w->monitor_watch, EPOLLIN) != 0)
		return err_errno(e, "cannot watch the monitor");
	return 0;
}
