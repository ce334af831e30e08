/*
 * tool.c - store.sock: what people and their scripts ask
 *
 * Runs in the store. Who may ask is decided by the uid that the kernel gives
 * (SO_PEERCRED). One question, one answer; a client that does not read its
 * answer is closed.
 */
#include "store/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/array.h"
#include "base/fd.h"

static void
tool_end(struct tool *t)
{
	selftest_leave(t);
	(void)loop_remove(&t->store->loop, &t->watch);
	fd_close(&t->channel.fd);
	t->watch.fd = -1;
}

static void
warn_of(struct store *s, uid_t uid, const char *message, const char *reason)
{
	uint64_t held_back;

	if (log_limit_pass(&s->log_tools, s->loop.now_ms, &held_back))
		log_warn(
		    "close tool uid=%d message=%s reason=\"%s\" more=%" PRIu64,
		    (int)uid, message, reason, held_back);
}

static void
answer(struct tool *t, enum ipc_type type, const void *body)
{
	if (ipc_send(&t->channel, t->store->scratch, type, body, -1) != IPC_OK)
		tool_end(t);
}

static void
refuse(struct tool *t, const char *reason)
{
	struct ipc_refusal body = {span_of(reason)};

	answer(t, IPC_REFUSAL, &body);
}

/* --- links ------------------------------------------------------------- */

static void
on_link_add(struct tool *t, const union ipc_body *body)
{
	struct store *s = t->store;
	char token_made[LINKS_TOKEN_MADE];
	struct ipc_link_added added;
	enum database_result r;
	bool new_server;
	struct err e;

	if (s->settings.mode != IPC_MODE_STANDALONE) {
		refuse(t, "with [postal] mode = mysql, links come from "
			  "Postal and are not added here");
		return;
	}
	if (links_add_row(&s->links, &body->link_add, token_made, &added,
		&new_server, &r, &e) != 0) {
		refuse(t, e.text);
		if (r == DATABASE_DAMAGED)
			keep_replace_links(s, &e);
		return;
	}
	if (new_server) {
		known_load(s);
		workers_send_servers(s, NULL);
	}
	answer(t, IPC_LINK_ADDED, &added);
}

/* --- events ------------------------------------------------------------ */

struct page {
	struct writer rows;
	uint16_t count;
	struct store *store;
};

static bool
put_row(void *owner, const struct spool_row *row)
{
	const struct ipc_event *event = &row->event;
	struct page *p = owner;
	struct ipc_event_row out = {.seq = row->seq,
	    .at_us = event->at_us,
	    .kind = event->kind,
	    .method = event->method,
	    .flags = event->flags,
	    .link_id = event->link_id,
	    .message_id = event->message_id,
	    .server = row->server,
	    .token = event->token,
	    .user_agent = event->user_agent};

	memcpy(out.ip, event->ip, sizeof(out.ip));
	if (event->kind == IPC_EVENT_CLICK)
		out.url = links_url(&p->store->links, event->server_id,
		    event->token, event->link_id);
	if (ipc_put(&p->rows, &ipc_event_row_record, &out) != 0)
		return false;
	links_release(&p->store->links);
	p->count++;
	return true;
}

static void
on_events_get(struct tool *t, const union ipc_body *body)
{
	struct store *s = t->store;
	struct page p = {writer_of(s->page, IPC_RECORD_MAX - 16), 0, s};
	struct ipc_event_rows rows;
	struct err e;

	if (!spool_is_open(&s->spool)) {
		refuse(t, s->reason);
		return;
	}
	if (spool_page(&s->spool, body->events_get.after_seq,
		body->events_get.most, put_row, &p, &e) != DATABASE_OK) {
		refuse(t, e.text);
		return;
	}
	rows.rows = (struct ipc_list){p.count, writer_span(&p.rows)};
	answer(t, IPC_EVENT_ROWS, &rows);
}

/* --- domains ----------------------------------------------------------- */

static bool
put_domain(void *owner, const struct ipc_domain_row *domain)
{
	struct page *p = owner;

	if (p->count == UINT16_MAX ||
	    ipc_put(&p->rows, &ipc_domain_row_record, domain) != 0)
		return false;
	p->count++;
	return true;
}

static void
on_domains_get(struct tool *t, const union ipc_body *body)
{
	struct store *s = t->store;
	struct page p = {writer_of(s->page, IPC_RECORD_MAX - 16), 0, s};
	struct ipc_domains domains;
	struct err e;

	if (s->settings.mode != IPC_MODE_MYSQL) {
		refuse(t, "tracking domains are Postal's, and [postal] mode is "
			  "standalone");
		return;
	}
	if (replica_each_domain(&s->links, &body->domains_get, put_domain, &p,
		&e) != DATABASE_OK) {
		refuse(t, e.text);
		return;
	}
	domains.rows = (struct ipc_list){p.count, writer_span(&p.rows)};
	answer(t, IPC_DOMAINS, &domains);
}

/* --- certificates ------------------------------------------------------ */

static void
on_certificates_get(struct tool *t, const union ipc_body *body)
{
	struct ipc_certificates page =
	    pair_states_page(t->store, body->certificates_get.after_name, true);

	answer(t, IPC_CERTIFICATES, &page);
}

/* --- status, check, selftest ------------------------------------------- */

static void
on_status_get(struct tool *t, const union ipc_body *body)
{
	(void)body;
	if (status_send(t->store, &t->channel) != IPC_OK)
		tool_end(t);
}

static void
on_clients_get(struct tool *t, const union ipc_body *body)
{
	(void)body;
	answer(t, IPC_CLIENTS, &t->store->clients);
}

static void
on_selftest(struct tool *t, const union ipc_body *body)
{
	const char *refused = selftest_step(t, &body->selftest);
	uint8_t rows[SELFTEST_ROWS_SIZE];
	struct ipc_selftest_state state;

	if (refused != NULL) {
		refuse(t, refused);
		return;
	}
	state = selftest_state(t->store, rows);
	answer(t, IPC_SELFTEST_STATE, &state);
}

/* --- the socket -------------------------------------------------------- */

static bool
is_version(struct tool *t, const struct ipc_hello *hello)
{
	char reason[160];

	if (hello->version == IPC_VERSION)
		return true;
	(void)snprintf(reason, sizeof(reason),
	    "this command speaks version %" PRIu32
	    " of the protocol, the daemon version %d; restart the daemon "
	    "after an upgrade",
	    hello->version, IPC_VERSION);
	refuse(t, reason);
	return false;
}

static void
greet_forwarder(struct tool *t)
{
	struct store *s = t->store;
	char reason[96];
	int fd;

	if (s->settings.mode != IPC_MODE_MYSQL) {
		refuse(t, "this daemon runs stand-alone; set [postal] mode = "
			  "mysql and restart it");
		return;
	}
	if (forwarder_is_there(s)) {
		(void)snprintf(reason, sizeof(reason),
		    "another forwarder is connected (pid %d)",
		    (int)s->forwarder.pid);
		refuse(t, reason);
		return;
	}
	/* From now on it is no tool any more. */
	fd = t->channel.fd;
	(void)loop_remove(&s->loop, &t->watch);
	t->channel.fd = -1;
	forwarder_take(s, fd, t->uid, t->pid);
}

static bool
may_ask(const struct store *s, uid_t uid)
{
	return uid == 0 || uid == s->settings.store_uid;
}

static void
on_hello(struct tool *t, const union ipc_body *body)
{
	unsigned int role = body->hello.role;
	char reason[128];

	if (!is_version(t, &body->hello))
		return;
	if (role == IPC_FORWARDER) {
		greet_forwarder(t);
	} else if (role == IPC_TOOL && may_ask(t->store, t->uid)) {
		t->greeted = true;
		t->channel.peer = IPC_TOOL;
	} else {
		(void)snprintf(reason, sizeof(reason),
		    "uid %d may only drain and replicate, as the forwarder "
		    "does; ask as root or uid %d",
		    (int)t->uid, (int)t->store->settings.store_uid);
		refuse(t, reason);
	}
}

static const struct {
	enum ipc_type type;
	void (*handle)(struct tool *t, const union ipc_body *body);
} handlers[] = {
    {IPC_HELLO, on_hello},
    {IPC_STATUS_GET, on_status_get},
    {IPC_LINK_ADD, on_link_add},
    {IPC_EVENTS_GET, on_events_get},
    {IPC_DOMAINS_GET, on_domains_get},
    {IPC_CERTIFICATES_GET, on_certificates_get},
    {IPC_CLIENTS_GET, on_clients_get},
    {IPC_SELFTEST, on_selftest},
};

static void
handle(struct tool *t, const struct ipc_received *in)
{
	if (t->greeted == (in->message->type == IPC_HELLO)) {
		warn_of(t->store, t->uid, in->message->name,
		    ipc_breach_text(IPC_BREACH_ORDER));
		tool_end(t);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++)
		if (handlers[i].type == in->message->type)
			handlers[i].handle(t, &in->body);
}

static void
on_tool(struct loop_watch *watch, uint32_t events)
{
	struct tool *t = (struct tool *)watch;
	struct ipc_received in;

	(void)events;
	switch (ipc_receive(&t->channel, t->store->buffer, &in)) {
	case IPC_OK:
		handle(t, &in);
		break;
	case IPC_AGAIN:
		break;
	case IPC_BREACH:
		warn_of(t->store, t->uid,
		    in.message == NULL ? "?" : in.message->name,
		    ipc_breach_text(in.breach));
		tool_end(t);
		break;
	default:
		tool_end(t);
	}
}

void
tool_add(struct store *s, int fd, uid_t uid, pid_t pid)
{
	char reason[128];
	struct tool *t = NULL;

	for (size_t i = 0; i < TOOLS_MAX && t == NULL; i++)
		if (s->tools[i].channel.fd < 0)
			t = &s->tools[i];
	if (t == NULL) {
		warn_of(s, uid, "-", "too many at once");
		fd_close(&fd);
		return;
	}
	*t = (struct tool){.watch = {fd, on_tool},
	    .store = s,
	    /* Which of both it is, its HELLO says. */
	    .channel = {fd, IPC_STORE, IPC_TOOL | IPC_FORWARDER},
	    .uid = uid,
	    .pid = pid};
	if (!may_ask(s, uid) && uid != s->settings.forwarder_uid) {
		(void)snprintf(reason, sizeof(reason),
		    "only root and uid %d may ask here; you are uid %d",
		    (int)s->settings.store_uid, (int)uid);
		refuse(t, reason);
		tool_end(t);
		return;
	}
	if (loop_add(&s->loop, &t->watch, EPOLLIN) != 0)
		tool_end(t);
}

static void
on_socket(struct loop_watch *watch, uint32_t events)
{
	struct store *s =
	    (struct store *)(void *)((char *)watch -
				     offsetof(struct store, socket_watch));
	struct ucred who;
	socklen_t len = sizeof(who);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
		fd_close(&fd);
		return;
	}
	tool_add(s, fd, who.uid, who.pid);
}

int
tools_open(struct store *s, int fd, struct err *e)
{
	s->socket_watch = (struct loop_watch){fd, on_socket};
	if (loop_add(&s->loop, &s->socket_watch, EPOLLIN) != 0)
		return err_errno(e, "cannot watch store.sock");
	return 0;
}
