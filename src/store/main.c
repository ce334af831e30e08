/*
 * main.c - the store: the only role that writes files
 *
 * A user of its own, the spool directory as its root. It has the databases
 * there, a channel to each web worker, store.sock, and the monitor; and, to be
 * read only, the directory of ACME challenges.
 */
#include "store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "store/internal.h"

/* In the order of the descriptors that the monitor passes. */
#define SPOOL_FD (ROLE_FIRST_FD + 0)
#define SOCKET_FD (ROLE_FIRST_FD + 1)
#define CHALLENGES_FD (ROLE_FIRST_FD + 2)
#define DESCRIPTORS (WORKERS_MAX + TOOLS_MAX + ADMINS_MAX + 32)

static struct store store;

const char *
store_library_version(void)
{
	return sqlite3_libversion();
}

/* --- the monitor ------------------------------------------------------- */

static void
on_channel_offer(struct store *s, const union ipc_body *body, int fd)
{
	if (body->channel.role == IPC_TOOL) {
		/* A command that started this store for itself. */
		tool_add(s, fd, 0, 0);
		return;
	}
	if (body->channel.role == IPC_ADMIN)
		admin_add(s, &body->channel, fd);
	else
		worker_add(s, &body->channel, fd);
}

static void
on_settings(struct store *s, const union ipc_body *body, int fd)
{
	(void)fd;
	keep_commit(s);
	s->settings = body->store_settings;
	log_set_level(s->settings.log_level);
	spool_set_max_size(&s->spool, s->settings.max_size);
	log_info("settings taken");
}

/* Copies rows, which lie in the receive buffer. */
static void
keep_rows(
    struct ipc_list *list, const struct ipc_list *from, uint8_t *p, size_t size)
{
	if (from->records.len > size)
		return;
	if (from->records.len > 0)
		memcpy(p, from->records.p, from->records.len);
	*list = (struct ipc_list){from->count, {p, from->records.len}};
}

/* It comes once a second: the time to look at the counters. */
static void
on_roles(struct store *s, const union ipc_body *body, int fd)
{
	uint64_t totals[COUNTER_N];

	(void)fd;
	keep_rows(&s->role_rows, &body->roles.rows, s->roles, sizeof(s->roles));
	keep_rows(&s->listener_rows, &body->roles.listeners, s->listeners,
	    sizeof(s->listeners));
	for (int i = 0; i < COUNTER_N; i++)
		totals[i] = workers_counter(s, (enum counter)i);
	rates_note(&s->rates, s->loop.now_ms, totals);
}

static void
on_certificate_states(struct store *s, const union ipc_body *body, int fd)
{
	(void)fd;
	pair_states_take(s, &body->certificate_states);
}

static void
on_ping(struct store *s, const union ipc_body *body, int fd)
{
	(void)body;
	(void)fd;
	role_answer(&s->role);
}

static void
on_stop(struct store *s, const union ipc_body *body, int fd)
{
	(void)body;
	(void)fd;
	s->stopping = true;
}

static const struct {
	enum ipc_type type;
	void (*handle)(struct store *s, const union ipc_body *body, int fd);
} handlers[] = {
    {IPC_CHANNEL, on_channel_offer},
    {IPC_STORE_SETTINGS, on_settings},
    {IPC_ROLES, on_roles},
    {IPC_PING, on_ping},
    {IPC_CERTIFICATE_STATES, on_certificate_states},
    {IPC_STOP, on_stop},
};

static void
stop_for(const char *reason)
{
	log_err("stop reason=\"%s\"", reason);
	exit(EX_PROTOCOL);
}

static void
on_monitor(struct loop_watch *watch, uint32_t events)
{
	struct store *s = &store;
	struct ipc_received in;
	enum ipc_result got;
	bool known;

	(void)watch;
	(void)events;
	while (
	    (got = ipc_receive(&s->role.monitor, s->buffer, &in)) == IPC_OK) {
		known = false;
		for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++) {
			if (handlers[i].type != in.message->type)
				continue;
			known = true;
			handlers[i].handle(s, &in.body, in.fd);
		}
		if (!known)
			stop_for("the monitor sent a message out of order");
	}
	if (got == IPC_BREACH)
		stop_for("the monitor sent a message that is not in the table");
	if (got == IPC_CLOSED)
		s->stopping = true;
}

/* --- rounds ------------------------------------------------------------ */

static void
after_round(void *owner)
{
	struct store *s = owner;

	keep_round(s);
	if (!s->stopping)
		return;
	workers_hear_out(s);
	keep_round(s);
	loop_stop(&s->loop);
}

static void
on_due(void *owner)
{
	struct store *s = owner;

	if (s->uncommitted > 0 && s->loop.now_ms >= s->commit_at_ms)
		keep_commit(s);
	if (s->loop.now_ms >= s->tend_at_ms)
		keep_tend(s);
	if (s->loop.now_ms >= s->sweep_at_ms)
		known_sweep(s);
	lookups_due(s);
	challenges_due(s);
	loop_wake_at(&s->loop, s->tend_at_ms);
	loop_wake_at(&s->loop, s->sweep_at_ms);
	if (s->uncommitted > 0)
		loop_wake_at(&s->loop, s->commit_at_ms);
}

/* --- start and end ----------------------------------------------------- */

static int
get_memory(struct store *s, struct err *e)
{
	s->buffer = s->role.buffer;
	s->scratch = malloc(IPC_RECORD_MAX);
	s->page = malloc(IPC_RECORD_MAX);
	if (s->scratch == NULL || s->page == NULL)
		return err_errno(e, "no memory");
	for (size_t i = 0; i < WORKERS_MAX; i++)
		s->workers[i].channel.fd = s->workers[i].watch.fd = -1;
	for (size_t i = 0; i < TOOLS_MAX; i++)
		s->tools[i].channel.fd = s->tools[i].watch.fd = -1;
	for (size_t i = 0; i < ADMINS_MAX; i++)
		s->admins[i].channel.fd = s->admins[i].watch.fd = -1;
	s->forwarder.channel.fd = s->forwarder.watch.fd = -1;
	return 0;
}

/*
 * The lock on the spool directory is tied to its open descriptor; a duplicate
 * keeps it until this process has ended, even when the monitor was killed.
 */
static int
keep_lock(struct store *s, struct err *e)
{
	s->spool_fd = fcntl(SPOOL_FD, F_DUPFD_CLOEXEC, 0);
	if (s->spool_fd < 0)
		return err_errno(e, "cannot keep the lock of the spool");
	return 0;
}

/*
 * The directory of challenges is a descriptor of something outside the root:
 * without Landlock it would be a way out. The monitor has then seen to it
 * that it lies inside.
 */
static int
restrict_store(struct store *s, struct err *e)
{
	const struct sandbox_hierarchy kept[] = {
	    {s->spool_fd, true}, {CHALLENGES_FD, false}};
	struct sandbox_files files = {.hierarchies = kept, .n_hierarchies = 1};
	struct role_needs needs = {.root_fd = SPOOL_FD,
	    .files = &files,
	    .descriptors = DESCRIPTORS,
	    .file_size = UINT64_MAX};

	s->challenges_fd = -1;
	if (s->role.n_fds > 2) {
		s->challenges_fd = CHALLENGES_FD;
		files.n_hierarchies = 2;
	}
	return role_restrict(&s->role, &needs, e) < 0 ? -1 : 0;
}

/* Only with Postal is anything looked for elsewhere. */
static int
open_searches(struct store *s, struct err *e)
{
	struct hash_key key;

	s->sweep_at_ms = UINT64_MAX;
	if (s->settings.mode != IPC_MODE_MYSQL)
		return 0;
	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		return err_errno(e, "no random bytes");
	searches_init(&s->searches, &key);
	s->sweep_at_ms = 0;
	return 0;
}

/* The terms of the conservation law, at both ends of a store's life; between
 * them accepted grows by what its workers recorded. */
static void
say_numbers(const struct store *s, const char *when)
{
	const struct spool_counts *c = &s->spool.now;

	log_info("numbers when=%s accepted=%" PRIu64 " written=%" PRIu64
		 " unmatched=%" PRIu64 " duplicates=%" PRIu64
		 " set_aside=%" PRIu64 " expired=%" PRIu64 " pending=%" PRIu64
		 " lost=%" PRIu64 " late=%" PRIu64 " opens=%" PRIu64
		 " clicks=%" PRIu64,
	    when, c->accepted, c->written, c->unmatched, c->duplicates,
	    c->set_aside, c->expired, c->pending, c->lost, c->late,
	    workers_counter(s, COUNTER_OPENS),
	    workers_counter(s, COUNTER_CLICKS));
}

static int
start(struct store *s, const char *argv0, struct err *e)
{
	(void)umask(077);
	if (role_take(&s->role, IPC_STORE, argv0, IPC_STORE_SETTINGS, e) != 0)
		return -1;
	s->settings = s->role.settings.store_settings;
	s->started_us = clock_wall_us();
	if (get_memory(s, e) != 0 || open_searches(s, e) != 0 ||
	    loop_open(&s->loop, s, e) != 0 || database_setup(e) != 0 ||
	    keep_lock(s, e) != 0 || restrict_store(s, e) != 0)
		return -1;
	keep_open_links(s);
	keep_open_spool(s);
	s->monitor_watch = (struct loop_watch){s->role.monitor.fd, on_monitor};
	if (loop_add(&s->loop, &s->monitor_watch, EPOLLIN) != 0)
		return err_errno(e, "cannot watch the monitor");
	if (s->role.n_fds > 1 && tools_open(s, SOCKET_FD, e) != 0)
		return -1;
	s->loop.after_round = after_round;
	s->loop.on_due = on_due;
	loop_wake_at(&s->loop, 1);
	say_numbers(s, "start");
	return role_ready(&s->role, !s->ready, e);
}

static void
end(struct store *s)
{
	/* What workers sent before they ended. */
	for (size_t i = 0; i < WORKERS_MAX; i++)
		if (s->workers[i].channel.fd >= 0)
			worker_end(&s->workers[i]);
	if (spool_is_open(&s->spool) &&
	    (s->spool.in_transaction || spool_has_unsaved_counts(&s->spool)))
		keep_tend(s);
	say_numbers(s, "end");
	/* Closing the last connection checkpoints the log and removes it. */
	spool_close(&s->spool);
	links_close(&s->links);
}

int
store_main(const char *argv0)
{
	struct err e;

	if (start(&store, argv0, &e) != 0 || loop_run(&store.loop, &e) != 0)
		role_fatal(&e);
	end(&store);
	return EX_OK;
}
