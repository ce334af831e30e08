/*
 * monitor.c - the process that starts, watches and restarts the others
 *
 * Root with a few capabilities, or whoever started it. Reads tracker.conf,
 * binds, opens; then waits for signals and for the fixed-size messages of its
 * roles. It never reads a byte of a visitor, of the spool or of a log text.
 */
#include "monitor/monitor.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "monitor/internal.h"
#include "monitor/place.h"
#include "sandbox/sandbox.h"

#define SECOND_MS 1000
/* SIGTERM to exit takes at most 5 s: so long for the web workers, and the
 * rest of END_WITHIN_MS for the store. */
#define WEB_GRACE_MS 3500
#define END_WITHIN_MS 4700
/* Of these, for the last lines of the access log. */
#define LOGGER_GRACE_MS 1000

/* What the monitor still does after it has opened everything: bind at a
 * reload, start roles (chroot, ids, their own dropping), end them, read
 * certificates that an ACME user owns. */
static const uint64_t kept_capabilities =
    UINT64_C(1) << CAP_NET_BIND_SERVICE | UINT64_C(1) << CAP_SETUID |
    UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SYS_CHROOT |
    UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SETPCAP |
    UINT64_C(1) << CAP_DAC_READ_SEARCH;

/* --- the end ----------------------------------------------------------- */

void
monitor_give_up(struct monitor *m, int exit_code)
{
	m->exit_code = exit_code;
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (m->children[i].state != CHILD_FREE)
			child_kill(&m->children[i]);
	loop_stop(&m->loop);
}

static void
stop_children(struct monitor *m, enum ipc_role role, uint64_t grace_ms)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (m->children[i].role == role)
			child_stop(&m->children[i], grace_ms);
}

/* Web workers first; the store lives until the last event has arrived, and
 * a keeper until the last handshake is over. */
static void
go_on_ending(struct monitor *m)
{
	uint64_t now = clock_mono_ms();

	if (m->phase == PHASE_ENDING &&
	    children_count(m, IPC_WEB, CHILD_WAITING, CHILD_STOPPING) == 0) {
		m->phase = PHASE_CLOSING;
		stop_children(
		    m, IPC_STORE, m->end_by_ms > now ? m->end_by_ms - now : 1);
		stop_children(
		    m, IPC_KEEPER, m->end_by_ms > now ? m->end_by_ms - now : 1);
		stop_children(m, IPC_LOGGER, LOGGER_GRACE_MS);
	}
	if (m->phase == PHASE_CLOSING &&
	    children_count(m, 0, CHILD_WAITING, CHILD_STOPPING) == 0)
		loop_stop(&m->loop);
}

static void
begin_ending(struct monitor *m, int signal_number)
{
	if (m->phase >= PHASE_ENDING) {
		log_warn("stop again signal=%d: ending at once", signal_number);
		monitor_give_up(m, EX_OK);
		return;
	}
	log_notice("stop signal=%d", signal_number);
	notify_stopping(&m->notify, "STOPPING=1\nSTATUS=finishing requests");
	m->phase = PHASE_ENDING;
	m->reloading = false;
	m->end_by_ms = clock_mono_ms() + END_WITHIN_MS;
	unnamed_unwatch(m);
	listeners_clear(&m->listeners);
	stop_children(m, IPC_WEB, WEB_GRACE_MS);
	stop_children(m, IPC_ADMIN, WEB_GRACE_MS);
	go_on_ending(m);
}

/* --- what roles do ----------------------------------------------------- */

static const char *
what_for(const struct listeners *l, size_t i)
{
	if (i >= l->n_web)
		return " for=admin";
	return i + l->n_https >= l->n_web ? " tls=yes" : "";
}

static void
say_serving(const struct monitor *m)
{
	char shown[ENDPOINT_TEXT_SIZE];

	for (size_t i = 0; i < m->listeners.n; i++) {
		endpoint_format(&m->listeners.list[i].at, shown);
		log_notice("listen address=%s%s%s", shown,
		    what_for(&m->listeners, i),
		    m->listeners.list[i].inherited ? " from=systemd" : "");
	}
	log_notice("serving workers=%u spool=%s", m->workers,
	    m->config.spool.directory);
}

/* When nobody is on the way any more, it serves; of a reload, with the new
 * ones. */
static void
settle(struct monitor *m)
{
	if (m->phase >= PHASE_ENDING ||
	    children_count(m, m->reloading ? RENEWED_ROLES : 0, CHILD_WAITING,
		CHILD_STARTING) > 0)
		return;
	if (m->phase == PHASE_STARTING) {
		m->phase = PHASE_SERVING;
		if (m->reload_wanted)
			loop_wake_at(&m->loop, m->loop.now_ms);
		say_serving(m);
		notify_ready(&m->notify, MONITOR_READY);
	}
	if (m->reloading) {
		m->reloading = false;
		listeners_let_go(&m->listeners);
		for (size_t i = 0; i < CHILDREN_MAX; i++) {
			struct child *old = &m->children[i];

			if (child_is_old(old))
				child_stop(old, monitor_worker_grace(m));
		}
		say_serving(m);
		notify_ready(&m->notify, MONITOR_READY);
	}
}

void
monitor_child_ready(struct child *c, bool degraded)
{
	if (degraded)
		log_err("degraded role=%s[%u]: links redirect, but events are "
			"not stored; see the lines before",
		    ipc_role_name(c->role), c->index);
	settle(c->monitor);
}

void
monitor_child_gone(struct child *c, bool wanted)
{
	struct monitor *m = c->monitor;

	if (m->phase == PHASE_STARTING && !wanted) {
		log_err("not started: %s[%u] ended before it was ready; the "
			"lines above say why",
		    ipc_role_name(c->role), c->index);
		monitor_give_up(m, EX_UNAVAILABLE);
		return;
	}
	if (m->reloading)
		settle(m);
	go_on_ending(m);
}

/* --- time -------------------------------------------------------------- */

static struct ipc_list
list_listeners(const struct monitor *m, uint8_t *bytes, size_t size)
{
	struct writer w = writer_of(bytes, size);
	struct ipc_list list = {0, {NULL, 0}};

	for (size_t i = 0; i < m->listeners.n; i++) {
		const struct listener *l = &m->listeners.list[i];
		struct ipc_listener_row row = {.port = l->at.port,
		    .tls = i < m->listeners.n_web &&
			   i + m->listeners.n_https >= m->listeners.n_web,
		    .admin = i >= m->listeners.n_web,
		    .inherited = l->inherited};

		memcpy(row.ip, l->at.addr.ip, sizeof(row.ip));
		if (ipc_put(&w, &ipc_listener_row_record, &row) == 0)
			list.count++;
	}
	list.records = writer_span(&w);
	return list;
}

static void
tell_store_of_roles(struct monitor *m)
{
	uint8_t bytes[CHILDREN_MAX * 32];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ipc_roles body = {.rows = {0, {NULL, 0}}};
	uint8_t listeners[IPC_LISTENERS_MAX * 20];
	struct child *store = NULL;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];
		struct ipc_role_row row = {.role = (uint8_t)c->role,
		    .index = c->index,
		    .pid = (uint32_t)c->pid,
		    .starts = c->starts,
		    .since_us = c->since_us};

		if (c->state == CHILD_FREE)
			continue;
		if (c->role == IPC_STORE && c->state == CHILD_READY)
			store = c;
		if (ipc_put(&w, &ipc_role_row_record, &row) == 0)
			body.rows.count++;
	}
	body.rows.records = writer_span(&w);
	body.listeners = list_listeners(m, listeners, sizeof(listeners));
	if (store == NULL)
		return;
	child_send(store, IPC_ROLES, &body, -1);
	pairs_tell_store(store);
}

static void
on_due(void *owner)
{
	struct monitor *m = owner;
	uint64_t now = m->loop.now_ms, next = children_due(m);
	uint64_t pairs = pairs_due(m), watchdog = watchdog_due(m);

	if (m->reload_wanted && m->phase == PHASE_SERVING) {
		m->reload_wanted = false;
		monitor_reload(m);
	}
	if (now >= m->next_second_ms) {
		tell_store_of_roles(m);
		notify_repeat(&m->notify);
		/* Of an end, what is kept is for the next monitor. */
		if (m->phase < PHASE_ENDING)
			fdstore_update(&m->fdstore, &m->notify, &m->listeners);
		m->next_second_ms = now + SECOND_MS;
	}
	loop_wake_at(&m->loop, m->next_second_ms);
	if (watchdog != 0)
		loop_wake_at(&m->loop, watchdog);
	if (next != 0)
		loop_wake_at(&m->loop, next);
	if (pairs != 0)
		loop_wake_at(&m->loop, pairs);
}

/* --- signals ----------------------------------------------------------- */

static void
reap(struct monitor *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		(void)child_ended(m, pid, status);
}

static struct monitor *
monitor_of_signals(struct loop_watch *w)
{
	return (
	    struct monitor *)((char *)w - offsetof(struct monitor, signals));
}

static void
on_signal(struct loop_watch *w, uint32_t events)
{
	struct monitor *m = monitor_of_signals(w);
	struct signalfd_siginfo info;

	(void)events;
	while (read(w->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(m);
		else if (info.ssi_signo == SIGHUP)
			monitor_reload(m);
		else if (info.ssi_signo == SIGUSR1)
			monitor_rotate(m);
		else
			begin_ending(m, (int)info.ssi_signo);
	}
}

static sigset_t
signals_wanted(void)
{
	static const int wanted[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGINT, SIGTERM};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	return set;
}

/* They wait until somebody watches: logrotate does not know that we are only
 * starting, and its signal would end us. */
static void
hold_signals(void)
{
	sigset_t set = signals_wanted();

	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
watch_signals(struct monitor *m, struct err *e)
{
	sigset_t set = signals_wanted();

	m->signals.on_event = on_signal;
	m->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || m->signals.fd < 0 ||
	    loop_add(&m->loop, &m->signals, EPOLLIN) != 0)
		return err_errno(e, "cannot watch signals");
	return 0;
}

/* --- the start --------------------------------------------------------- */

/* Exit code of a start that failed, from the cause. */
static int
exit_code_of(const struct err *e)
{
	switch (e->code) {
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case 0:
		return EX_CONFIG;
	default:
		return EX_UNAVAILABLE;
	}
}

static int
check_sandbox(struct monitor *m, struct err *e)
{
	m->root = geteuid() == 0;
	if (m->root)
		return 0;
	if (m->config.sandbox.sandbox == CONFIG_SANDBOX_REQUIRED) {
		(void)err_set(e,
		    "[sandbox] sandbox = required, but this is not root: "
		    "neither chroot nor a change of user is possible");
		e->code = EPERM;
		return -1;
	}
	log_warn("sandbox incomplete: not started as root, so roles keep uid "
		 "%d and see the file system; seccomp, limits and "
		 "no_new_privs apply",
	    (int)geteuid());
	return 0;
}

static void
warn_of_fallback(
    const char *role, const struct config_user *user, const char *name)
{
	if (user->fallback)
		log_warn("user missing role=%s name=%s: uid %d is used; the "
			 "packages make this user",
		    role, name, (int)user->uid);
}

static int
open_everything(struct monitor *m, struct err *e)
{
	const struct config *c = &m->config;

	if (users_find(c, &m->users, e) != 0)
		return -1;
	if (m->root) {
		warn_of_fallback("web", &m->users.web, c->sandbox.web_user);
		if (c->https.listen.n > 0)
			warn_of_fallback(
			    "keeper", &m->users.keeper, c->sandbox.keeper_user);
		warn_of_fallback(
		    "store", &m->users.store, c->sandbox.store_user);
	}
	m->self_fd = spawn_open_self(e);
	if (m->self_fd < 0 ||
	    place_open_spool(
		c->spool.directory, &m->users.store, &m->spool_fd, e) != 0 ||
	    place_open_socket(c->spool.socket, &m->socket_fd, e) != 0 ||
	    place_open_empty(c->spool.socket, &m->empty_fd, e) != 0 ||
	    handover_open(m, e) != 0)
		return -1;
	return place_open_challenges(
	    c->https.acme_challenges, m->spool_fd, &m->challenges_fd, e);
}

static int
open_listeners(struct monitor *m, struct err *e)
{
	struct listeners inherited = m->listeners;

	if (listeners_open(&inherited, &m->config, &m->listeners, e) != 0) {
		listeners_clear(&inherited);
		return -1;
	}
	if (m->listeners.n_web == 0)
		return err_set(e, "neither [http] listen nor [https] listen "
				  "names an address");
	listeners_let_go(&m->listeners);
	unnamed_watch(m);
	fdstore_update(&m->fdstore, &m->notify, &m->listeners);
	return 0;
}

static int
start(struct monitor *m, struct err *e)
{
	struct child *store;
	struct workers_memory memory;
	int access_fd;

	(void)fd_raise_limit_to(settings_descriptors(&m->config));
	if (loop_open(&m->loop, m, e) != 0 || watch_signals(m, e) != 0 ||
	    check_sandbox(m, e) != 0 || open_everything(m, e) != 0 ||
	    open_listeners(m, e) != 0 ||
	    monitor_open_access_file(&m->config, &m->access_fd, e) != 0)
		return -1;
	if (m->root && sandbox_keep_capabilities(kept_capabilities, e) != 0)
		return -1;
	if (sandbox_no_new_privileges(e) != 0)
		return -1;
	m->loop.on_due = on_due;
	loop_wake_at(&m->loop, 1);
	store = child_new(m, IPC_STORE, 0);
	child_start(store);
	access_fd = m->access_fd;
	m->access_fd = -1;
	if (monitor_set_logger(m, access_fd, e) != 0 ||
	    monitor_set_keepers(m, e) != 0 || monitor_new_admin(m, e) != 0 ||
	    workers_memory_open(m, &m->config, &memory, e) != 0)
		return -1;
	return monitor_new_workers(m, &memory, e);
}

static void
clear(struct monitor *m)
{
	if (m->socket_fd >= 0)
		(void)unlink(m->config.spool.socket);
	listeners_clear(&m->listeners);
	handover_close(m);
	pairs_clear(&m->pairs);
	notify_close(&m->notify);
	fd_close(&m->signals.fd);
	fd_close(&m->self_fd);
	fd_close(&m->socket_fd);
	fd_close(&m->empty_fd);
	fd_close(&m->challenges_fd);
	fd_close(&m->access_fd);
	fd_close(&m->shared_fd);
	fd_close(&m->sessions_fd);
	fd_close(&m->spool_fd);
	loop_close(&m->loop);
}

int
monitor_load_config(const char *path, struct config *c)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	int failed;

	if (errors == NULL)
		return -1;
	failed = config_load(path, c, NULL, errors);
	for (size_t i = 0; i < errors->n && i < CONFIG_ERRORS_MAX; i++)
		log_err("%s", errors->list[i].text);
	free(errors);
	return failed;
}

int
monitor_run(const char *path)
{
	struct monitor *m = calloc(1, sizeof(*m));
	struct err e = {0};
	int exit_code;

	hold_signals();
	/* Modes are as they are written, also where a service manager has a
	 * mask for secrets (UMask=0077). */
	(void)umask(022);
	log_open("monitor", LOG_LEVEL_INFO);
	if (m == NULL) {
		log_err("not started: no memory");
		return EX_OSERR;
	}
	m->path = path;
	m->self_fd = m->spool_fd = m->socket_fd = m->empty_fd = -1;
	m->challenges_fd = m->access_fd = -1;
	m->shared_fd = m->sessions_fd = m->signals.fd = m->loop.epoll_fd = -1;
	m->handover.listener.fd = m->handover.peer.fd = -1;
	m->handover.channel.fd = m->handover.half_fd = -1;
	if (listeners_inherit(&m->listeners, &e) != 0) {
		log_err("not started: %s", e.text);
		free(m);
		return EX_CONFIG;
	}
	fdstore_take(&m->fdstore, &m->listeners);
	notify_open(&m->notify);
	if (monitor_load_config(path, &m->config) != 0) {
		log_err("not started: the configuration has errors");
		clear(m);
		free(m);
		return EX_CONFIG;
	}
	log_set_level(settings_log_level(&m->config));
	if (start(m, &e) != 0) {
		log_err("not started: %s", e.text);
		monitor_give_up(m, exit_code_of(&e));
	} else if (loop_run(&m->loop, &e) != 0) {
		log_err("stopped: %s", e.text);
		monitor_give_up(m, EX_OSERR);
	}
	exit_code = m->exit_code;
	clear(m);
	log_notice("stopped exit=%d", exit_code);
	free(m);
	return exit_code;
}
