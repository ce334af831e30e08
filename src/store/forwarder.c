/*
 * forwarder.c - the forwarder's channel, and Postal's tables that come over it
 *
 * Runs in the store. The forwarder asks and is answered, one question at a
 * time; drain.c answers what it asks of events. It speaks with the outside, so
 * it is the weaker side: a rule that it breaks ends its channel, and it
 * connects again by itself.
 */
#include "store/internal.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"

/* Of one round; the rest waits in the socket. */
#define MESSAGES_A_ROUND 16
/* More than a socket holds. */
#define MESSAGES_AT_END 4096
/* Room for a message's own fields in front of its rows. */
#define ROWS_SIZE (IPC_RECORD_MAX - 16)

/* --- life -------------------------------------------------------------- */

bool
forwarder_is_connected(const struct store *s)
{
	return s->forwarder.channel.fd >= 0;
}

void
forwarder_end(struct store *s, const char *reason)
{
	struct forwarder *f = &s->forwarder;

	if (!forwarder_is_connected(s))
		return;
	if (reason != NULL)
		log_warn("close forwarder pid=%d reason=\"%s\"", (int)f->pid,
		    reason);
	else
		log_notice("forwarder gone pid=%d", (int)f->pid);
	(void)loop_remove(&s->loop, &f->watch);
	fd_close(&f->channel.fd);
	f->waits = false;
	f->state = (struct ipc_forwarder_state){.connected = 0};
	known_forget_parts(s);
	challenges_forget(s);
	lookups_give_up(s);
}

static void
part_from(struct store *s, const struct ipc_message *m, unsigned int breach)
{
	log_err("close forwarder pid=%d message=%s", (int)s->forwarder.pid,
	    m == NULL ? "?" : m->name);
	forwarder_end(s, ipc_breach_text(breach));
}

void
forwarder_answer(struct store *s, enum ipc_type type, const void *body)
{
	if (!forwarder_is_connected(s))
		return;
	switch (ipc_send(&s->forwarder.channel, s->scratch, type, body, -1)) {
	case IPC_OK:
		break;
	case IPC_AGAIN:
		forwarder_end(s, "it does not read its answers");
		break;
	default:
		forwarder_end(s, NULL);
	}
}

void
forwarder_done(struct store *s, uint64_t n)
{
	struct ipc_done body = {n};

	forwarder_answer(s, IPC_DONE, &body);
}

void
forwarder_refuse(struct store *s, const char *reason)
{
	struct ipc_refusal body = {
	    span_of(reason[0] != '\0' ? reason : "the spool is not open")};

	forwarder_answer(s, IPC_REFUSAL, &body);
}

/* --- Postal's tables --------------------------------------------------- */

/* DONE or REFUSAL; a damaged replica is put aside, which ends the channel. */
static void
answer_written(
    struct store *s, enum database_result r, uint64_t n, const struct err *e)
{
	if (r == DATABASE_OK)
		forwarder_done(s, n);
	else
		forwarder_refuse(s, e->text);
	if (r == DATABASE_DAMAGED)
		keep_replace_links(s, e);
}

static unsigned int
on_known_servers(struct store *s, const union ipc_body *body)
{
	enum database_result r;
	struct err e = {0};
	unsigned int breach =
	    known_take_servers(s, &body->known_servers, &r, &e);

	if (breach == 0)
		answer_written(s, r, body->known_servers.rows.count, &e);
	return breach;
}

static unsigned int
on_known_domains(struct store *s, const union ipc_body *body)
{
	enum database_result r;
	struct err e = {0};
	unsigned int breach =
	    known_take_domains(s, &body->known_domains, &r, &e);

	if (breach == 0)
		answer_written(s, r, body->known_domains.rows.count, &e);
	return breach;
}

static unsigned int
on_known_challenges(struct store *s, const union ipc_body *body)
{
	const struct ipc_known_challenges *part = &body->known_challenges;
	enum database_result r;
	struct err e = {0};
	unsigned int breach = known_take_challenges(s, part, &r, &e);

	if (breach != 0)
		return breach;
	answer_written(s, r, part->rows.count, &e);
	if ((part->flags & IPC_PART_LAST) != 0)
		challenges_were_read(s);
	return 0;
}

static unsigned int
on_known_links(struct store *s, const union ipc_body *body)
{
	const struct ipc_known_links *links = &body->known_links;
	enum database_result r;
	struct err e = {0};

	/* One above high: all links are older than retention. */
	if (links->progress.low > links->progress.high + 1)
		return IPC_BREACH_FORM;
	r = known_take_links(s, links, &e);
	answer_written(s, r, links->rows.count, &e);
	return 0;
}

static unsigned int
on_replica_get(struct store *s, const union ipc_body *body)
{
	struct writer rows = writer_of(s->page, ROWS_SIZE);
	struct ipc_replica out = {.rows = {0, {NULL, 0}}};

	for (size_t i = 0; i < s->n_servers; i++) {
		const struct ipc_replica_row *row = &s->servers[i].progress;

		if (row->server_id <= body->replica_get.after_server)
			continue;
		if (ipc_put(&rows, &ipc_replica_row_record, row) != 0)
			break;
		out.rows.count++;
	}
	out.rows.records = writer_span(&rows);
	forwarder_answer(s, IPC_REPLICA, &out);
	return 0;
}

/* --- searches, state --------------------------------------------------- */

bool
forwarder_can_search(const struct store *s)
{
	return forwarder_is_connected(s) && s->forwarder.state.connected != 0;
}

bool
forwarder_search(struct store *s, const struct ipc_search *search)
{
	enum ipc_result sent;

	if (!forwarder_can_search(s))
		return false;
	sent =
	    ipc_send(&s->forwarder.channel, s->scratch, IPC_SEARCH, search, -1);
	if (sent == IPC_CLOSED)
		forwarder_end(s, NULL);
	return sent == IPC_OK;
}

bool
forwarder_ask_challenges(struct store *s)
{
	struct ipc_challenges_due body = {0};
	enum ipc_result sent;

	if (!forwarder_can_search(s))
		return false;
	sent = ipc_send(
	    &s->forwarder.channel, s->scratch, IPC_CHALLENGES_DUE, &body, -1);
	if (sent == IPC_CLOSED)
		forwarder_end(s, NULL);
	return sent == IPC_OK;
}

static unsigned int
on_searched(struct store *s, const union ipc_body *body)
{
	return lookups_answered(s, &body->searched);
}

static unsigned int
on_state(struct store *s, const union ipc_body *body)
{
	struct forwarder *f = &s->forwarder;

	f->state = body->forwarder_state;
	if (f->state.error.len > 0)
		memcpy(f->error, f->state.error.p, f->state.error.len);
	f->state.error.p = f->error;
	return 0;
}

/* --- the channel ------------------------------------------------------- */

static const struct {
	enum ipc_type type;
	/* 0, or the breach. */
	unsigned int (*handle)(struct store *s, const union ipc_body *body);
} handlers[] = {
    {IPC_DUE_GET, drain_due_get},
    {IPC_SETTLE, drain_settle},
    {IPC_ASIDE_GET, drain_aside_get},
    {IPC_RETRY, drain_retry},
    {IPC_NEW_NODE, drain_new_node},
    {IPC_KNOWN_SERVERS, on_known_servers},
    {IPC_KNOWN_DOMAINS, on_known_domains},
    {IPC_KNOWN_CHALLENGES, on_known_challenges},
    {IPC_REPLICA_GET, on_replica_get},
    {IPC_KNOWN_LINKS, on_known_links},
    {IPC_SEARCHED, on_searched},
    {IPC_FORWARDER_STATE, on_state},
};

/* HELLO comes once, and tool.c took it. */
static unsigned int
handle(struct store *s, const struct ipc_received *in)
{
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++)
		if (handlers[i].type == in->message->type)
			return handlers[i].handle(s, &in->body);
	return IPC_BREACH_ORDER;
}

static void
read_messages(struct store *s, int most)
{
	struct forwarder *f = &s->forwarder;
	struct ipc_received in;
	unsigned int breach;

	for (int i = 0; i < most && forwarder_is_connected(s); i++) {
		switch (ipc_receive(&f->channel, s->buffer, &in)) {
		case IPC_AGAIN:
			return;
		case IPC_CLOSED:
			forwarder_end(s, NULL);
			return;
		case IPC_BREACH:
			part_from(s, in.message, in.breach);
			return;
		default:
			breach = handle(s, &in);
			if (breach != 0)
				part_from(s, in.message, breach);
			else
				lookups_due(s);
		}
	}
}

static void
on_channel(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	read_messages(((struct forwarder *)watch)->store, MESSAGES_A_ROUND);
}

bool
forwarder_is_there(struct store *s)
{
	/* Its end may wait behind what it said before. */
	if (forwarder_is_connected(s))
		read_messages(s, MESSAGES_AT_END);
	return forwarder_is_connected(s);
}

void
forwarder_take(struct store *s, int fd, uid_t uid, pid_t pid)
{
	struct forwarder *f = &s->forwarder;

	*f = (struct forwarder){.watch = {fd, on_channel},
	    .store = s,
	    .channel = {fd, IPC_STORE, IPC_FORWARDER},
	    .uid = uid,
	    .pid = pid,
	    .since_us = clock_wall_us()};
	if (loop_add(&s->loop, &f->watch, EPOLLIN) != 0) {
		f->watch.fd = -1;
		fd_close(&f->channel.fd);
		return;
	}
	log_notice("forwarder connected pid=%d uid=%d", (int)pid, (int)uid);
	if (drain_have_spool(s))
		drain_welcome(s);
	else
		forwarder_end(s, "the spool is not open");
}
