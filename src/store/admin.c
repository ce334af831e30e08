/*
 * admin.c - what the admin listener asks
 *
 * Runs in the store, the stronger side. Admin reads what strangers send to its
 * port, so it is taken for hijacked: each question only reads, one is under
 * way at a time, and one is answered a round, so that events and visitors'
 * questions have their turn in between.
 */
#include "store/internal.h"

#include <sys/epoll.h>

#include "base/array.h"
#include "base/fd.h"

/* --- life -------------------------------------------------------------- */

static void
end(struct admin *a)
{
	(void)loop_remove(&a->store->loop, &a->watch);
	fd_close(&a->channel.fd);
	a->watch.fd = -1;
}

static void
part_from(struct admin *a, const struct ipc_message *m, unsigned int breach)
{
	struct store *s = a->store;
	struct ipc_replace body = {a->instance, (uint8_t)breach};

	log_err("replace peer=admin[%u] message=%s reason=\"%s\"", a->index,
	    m == NULL ? "?" : m->name, ipc_breach_text(breach));
	(void)ipc_send(&s->role.monitor, s->scratch, IPC_REPLACE, &body, -1);
	end(a);
}

/* --- questions --------------------------------------------------------- */

static void
answer(struct admin *a, enum ipc_type type, const void *body)
{
	/* It has one question under way, so there is room for the answer. */
	if (ipc_send(&a->channel, a->store->scratch, type, body, -1) != IPC_OK)
		end(a);
}

static void
on_status_get(struct admin *a, const union ipc_body *body)
{
	(void)body;
	if (status_send(a->store, &a->channel) != IPC_OK)
		end(a);
}

static void
on_commits_get(struct admin *a, const union ipc_body *body)
{
	uint8_t bytes[LATENCY_BYTES];
	struct ipc_commits commits =
	    latency_report(&a->store->spool.commits, bytes);

	(void)body;
	answer(a, IPC_COMMITS, &commits);
}

static void
on_certificates_get(struct admin *a, const union ipc_body *body)
{
	struct ipc_certificates page = pair_states_page(
	    a->store, body->certificates_get.after_name, false);

	answer(a, IPC_CERTIFICATES, &page);
}

/* Stand-alone there is no Postal, and no domain of its. */
static void
on_permission_get(struct admin *a, const union ipc_body *body)
{
	struct ipc_permission permission = {.status = IPC_PERMISSION_NO};
	struct store *s = a->store;
	struct err e = {0};
	bool has = false;

	if (s->settings.mode == IPC_MODE_MYSQL &&
	    replica_has_domain(
		&s->links, body->permission_get.name, &has, &e) != DATABASE_OK)
		permission.status = IPC_PERMISSION_UNKNOWN;
	if (has)
		permission.status = IPC_PERMISSION_YES;
	answer(a, IPC_PERMISSION, &permission);
}

/* Security: to add a question, see that it changes nothing and costs little. */
static const struct {
	enum ipc_type type;
	void (*handle)(struct admin *a, const union ipc_body *body);
} handlers[] = {
    {IPC_STATUS_GET, on_status_get},
    {IPC_COMMITS_GET, on_commits_get},
    {IPC_CERTIFICATES_GET, on_certificates_get},
    {IPC_PERMISSION_GET, on_permission_get},
};

/* --- the channel ------------------------------------------------------- */

/* Whether another question came before this one was answered; what the first
 * one borrows lies in the other buffer. */
static bool
asks_more(const struct admin *a)
{
	struct ipc_received in;
	enum ipc_result got = ipc_receive(&a->channel, a->store->scratch, &in);

	return got == IPC_OK || got == IPC_BREACH;
}

static void
handle(struct admin *a, const struct ipc_received *in)
{
	if (asks_more(a)) {
		part_from(a, in->message, IPC_BREACH_FLOOD);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++)
		if (handlers[i].type == in->message->type)
			handlers[i].handle(a, &in->body);
}

static void
on_channel(struct loop_watch *watch, uint32_t events)
{
	struct admin *a = (struct admin *)watch;
	struct ipc_received in;

	(void)events;
	switch (ipc_receive(&a->channel, a->store->buffer, &in)) {
	case IPC_OK:
		handle(a, &in);
		break;
	case IPC_AGAIN:
		break;
	case IPC_BREACH:
		part_from(a, in.message, in.breach);
		break;
	default:
		end(a);
	}
}

void
admin_add(struct store *s, const struct ipc_channel_offer *o, int fd)
{
	struct admin *a = NULL;

	for (size_t i = 0; i < ADMINS_MAX && a == NULL; i++)
		if (s->admins[i].channel.fd < 0)
			a = &s->admins[i];
	if (a == NULL) {
		log_err("channel peer=admin[%u]: too many", o->index);
		fd_close(&fd);
		return;
	}
	*a = (struct admin){.watch = {fd, on_channel},
	    .store = s,
	    .channel = {fd, IPC_STORE, IPC_ADMIN},
	    .index = o->index,
	    .instance = o->instance};
	if (loop_add(&s->loop, &a->watch, EPOLLIN) != 0)
		end(a);
}
