/*
 * main.c - the admin role: health and numbers, for those who watch
 *
 * nobody, an empty root, no files, no secrets, no way to open a socket. It has
 * its listeners, the connections that it accepts, a channel to the store, of
 * which it may ask what changes nothing, and one to the monitor.
 */
#include "admin/admin.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>

#include "admin/internal.h"
#include "base/array.h"
#include "base/fd.h"

/* In the order of the descriptors that the monitor passes. */
#define EMPTY_ROOT_FD (ROLE_FIRST_FD + 0)
#define FIRST_LISTENER_FD (ROLE_FIRST_FD + 1)
/* Beside connections and listeners. */
#define OTHER_FDS 16

static struct admin admin;

_Noreturn void
admin_stop_for(const char *reason)
{
	log_err("stop reason=\"%s\"", reason);
	exit(EX_PROTOCOL);
}

/* --- listeners --------------------------------------------------------- */

static void
on_listener(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	admin_accept(&admin, watch->fd);
}

void
admin_listen(struct admin *a, bool on)
{
	if (a->listening == on)
		return;
	a->listening = on;
	for (size_t i = 0; i < a->settings.n_listeners; i++) {
		struct loop_watch *l = &a->listeners[i];

		if (!on) {
			(void)loop_remove(&a->loop, l);
			continue;
		}
		*l = (struct loop_watch){
		    FIRST_LISTENER_FD + (int)i, on_listener};
		if (loop_add(&a->loop, l, EPOLLIN) != 0)
			admin_stop_for("cannot watch a listener");
	}
}

/* --- the monitor ------------------------------------------------------- */

static void
on_channel(struct admin *a, const struct ipc_received *in)
{
	if (in->body.channel.role != IPC_STORE)
		admin_stop_for("the monitor sent a channel to nobody");
	admin_ask_take_store(a, in->fd);
}

static void
on_ping(struct admin *a, const struct ipc_received *in)
{
	(void)in;
	role_answer(&a->role);
}

static void
on_stop(struct admin *a, const struct ipc_received *in)
{
	a->stopping = true;
	a->stop_by_ms = a->loop.now_ms + in->body.stop.within_ms;
	admin_listen(a, false);
	for (int i = 0; i < (int)a->settings.n_listeners; i++) {
		int fd = FIRST_LISTENER_FD + i;

		fd_close(&fd);
	}
	admin_conns_stop(a);
}

static const struct {
	enum ipc_type type;
	void (*handle)(struct admin *a, const struct ipc_received *in);
} handlers[] = {
    {IPC_CHANNEL, on_channel},
    {IPC_PING, on_ping},
    {IPC_STOP, on_stop},
};

static void
handle(struct admin *a, const struct ipc_received *in)
{
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++)
		if (handlers[i].type == in->message->type) {
			handlers[i].handle(a, in);
			return;
		}
	admin_stop_for("the monitor sent a message out of order");
}

static void
on_monitor(struct loop_watch *watch, uint32_t events)
{
	struct admin *a = &admin;
	struct ipc_received in;
	enum ipc_result got;

	(void)watch;
	(void)events;
	while ((got = ipc_receive(&a->role.monitor, a->role.buffer, &in)) ==
	       IPC_OK)
		handle(a, &in);
	if (got == IPC_BREACH)
		admin_stop_for(
		    "the monitor sent a message that is not in the table");
	if (got == IPC_CLOSED)
		admin_stop_for("the monitor is gone");
}

/* --- the whole --------------------------------------------------------- */

static void
after_round(void *owner)
{
	struct admin *a = owner;

	admin_conns_after_round(a);
	if (a->stopping && a->n_live == 0)
		loop_stop(&a->loop);
}

static void
on_due(void *owner)
{
	struct admin *a = owner;
	uint64_t next = admin_conns_due(a);

	if (next != 0)
		loop_wake_at(&a->loop, next);
}

static int
get_memory(struct admin *a, struct err *e)
{
	a->listeners = calloc(a->settings.n_listeners, sizeof(a->listeners[0]));
	a->scratch = malloc(IPC_RECORD_MAX);
	a->page = malloc(PAGE_SIZE);
	if (a->listeners == NULL || a->scratch == NULL || a->page == NULL)
		return err_errno(e, "no memory");
	for (size_t i = 0; i < a->settings.n_listeners; i++)
		a->listeners[i].fd = -1;
	http_replies_init(&a->replies);
	return admin_ask_open(a, e);
}

static int
start(struct admin *a, const char *argv0, struct err *e)
{
	struct role_needs needs = {.root_fd = EMPTY_ROOT_FD};

	if (role_take(&a->role, IPC_ADMIN, argv0, IPC_ADMIN_SETTINGS, e) != 0)
		return -1;
	a->settings = a->role.settings.admin_settings;
	if (a->role.n_fds != 1 + a->settings.n_listeners)
		return err_set(e, "PARAMS and descriptors disagree");
	needs.descriptors = CONNS_MAX + a->settings.n_listeners + OTHER_FDS;
	if (get_memory(a, e) != 0 || loop_open(&a->loop, a, e) != 0 ||
	    role_restrict(&a->role, &needs, e) != 0)
		return -1;
	a->monitor_watch = (struct loop_watch){a->role.monitor.fd, on_monitor};
	if (loop_add(&a->loop, &a->monitor_watch, EPOLLIN) != 0)
		return err_errno(e, "cannot watch the monitor");
	a->loop.after_round = after_round;
	a->loop.on_due = on_due;
	admin_listen(a, true);
	return role_ready(&a->role, false, e);
}

int
admin_main(const char *argv0)
{
	struct err e;

	if (start(&admin, argv0, &e) != 0 || loop_run(&admin.loop, &e) != 0)
		role_fatal(&e);
	return EX_OK;
}
