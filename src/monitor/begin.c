/*
 * begin.c - what a role is started with, and its channels to others
 *
 * Runs in the monitor. Each role gets its own descriptors and settings, and
 * what it may not have is not in its process.
 */
#include "monitor/internal.h"

#include "base/fd.h"
#include "base/log.h"

/* Of one web worker: several times what a core can ask for. */
#define SIGNS_PER_SECOND 20000

/* --- processes --------------------------------------------------------- */

static struct ipc_params
params_of(const struct child *c, const struct config_user *user)
{
	const struct monitor *m = c->monitor;
	bool kill_action = m->config.sandbox.action == CONFIG_ACTION_KILL;

	return (struct ipc_params){
	    .flags = (uint8_t)((m->root ? IPC_PARAM_ROOT : 0) |
			       (kill_action ? IPC_PARAM_KILL : 0)),
	    .log_level = settings_log_level(&m->config),
	    .index = c->index,
	    .uid = user->uid,
	    .gid = user->gid};
}

static int
spawn_web(struct child *c, struct err *e)
{
	struct monitor *m = c->monitor;
	struct ipc_web_settings settings =
	    settings_for_web(&m->config, m->workers, m->trusted);
	int fds[3 + CONFIG_LISTEN_MAX] = {
	    m->empty_fd, m->shared_fd, m->sessions_fd};
	struct spawn s = {.role = IPC_WEB,
	    .params = params_of(c, &m->users.web),
	    .settings_type = IPC_WEB_SETTINGS,
	    .settings = &settings,
	    .fds = fds,
	    .n_fds = 3 + m->listeners.n_web};

	c->n_listens = m->listeners.n_web;
	for (size_t i = 0; i < m->listeners.n_web; i++) {
		fds[3 + i] = m->listeners.list[i].fd;
		c->listens[i] = m->listeners.list[i].at;
	}
	settings.index = c->index;
	settings.k0 = m->shared_key[0];
	settings.k1 = m->shared_key[1];
	settings.s0 = m->sessions_key[0];
	settings.s1 = m->sessions_key[1];
	settings.n_listeners = (uint16_t)m->listeners.n_web;
	settings.n_https = (uint16_t)m->listeners.n_https;
	c->https = settings.n_https > 0;
	return spawn_role(m->self_fd, &s, &c->pid, &c->channel, e);
}

static int
spawn_store(struct child *c, struct err *e)
{
	struct monitor *m = c->monitor;
	struct ipc_store_settings settings =
	    settings_for_store(&m->config, &m->users);
	int fds[] = {m->spool_fd, m->socket_fd, m->challenges_fd};
	struct spawn s = {.role = IPC_STORE,
	    .params = params_of(c, &m->users.store),
	    .settings_type = IPC_STORE_SETTINGS,
	    .settings = &settings,
	    .fds = fds,
	    .n_fds = m->challenges_fd >= 0 ? 3 : 2};

	return spawn_role(m->self_fd, &s, &c->pid, &c->channel, e);
}

static int
spawn_keeper(struct child *c, struct err *e)
{
	struct monitor *m = c->monitor;
	struct ipc_keeper_settings settings = {c->index, SIGNS_PER_SECOND};
	struct spawn s = {.role = IPC_KEEPER,
	    .params = params_of(c, &m->users.keeper),
	    .settings_type = IPC_KEEPER_SETTINGS,
	    .settings = &settings,
	    .fds = &m->empty_fd,
	    .n_fds = 1};

	return spawn_role(m->self_fd, &s, &c->pid, &c->channel, e);
}

static int
spawn_logger(struct child *c, struct err *e)
{
	struct monitor *m = c->monitor;
	struct ipc_logger_settings settings = {m->access_fd >= 0};
	int fds[] = {m->empty_fd, m->access_fd};
	struct spawn s = {.role = IPC_LOGGER,
	    .params = params_of(c, &m->users.web),
	    .settings_type = IPC_LOGGER_SETTINGS,
	    .settings = &settings,
	    .fds = fds,
	    .n_fds = m->access_fd >= 0 ? 2 : 1};

	return spawn_role(m->self_fd, &s, &c->pid, &c->channel, e);
}

/* A user that owns nothing, as a web worker. */
static int
spawn_admin(struct child *c, struct err *e)
{
	struct monitor *m = c->monitor;
	const struct listeners *l = &m->listeners;
	struct ipc_admin_settings settings = {(uint16_t)(l->n - l->n_web)};
	int fds[1 + CONFIG_LISTEN_MAX] = {m->empty_fd};
	struct spawn s = {.role = IPC_ADMIN,
	    .params = params_of(c, &m->users.web),
	    .settings_type = IPC_ADMIN_SETTINGS,
	    .settings = &settings,
	    .fds = fds,
	    .n_fds = 1u + settings.n_listeners};

	for (size_t i = l->n_web; i < l->n; i++)
		fds[1 + i - l->n_web] = l->list[i].fd;
	return spawn_role(m->self_fd, &s, &c->pid, &c->channel, e);
}

int
child_spawn(struct child *c, struct err *e)
{
	switch (c->role) {
	case IPC_WEB:
		return spawn_web(c, e);
	case IPC_ADMIN:
		return spawn_admin(c, e);
	case IPC_KEEPER:
		return spawn_keeper(c, e);
	case IPC_LOGGER:
		return spawn_logger(c, e);
	default:
		return spawn_store(c, e);
	}
}

/* --- channels between roles -------------------------------------------- */

void
connect_worker(struct child *asker, struct child *other)
{
	struct ipc_channel_offer to_other = {
	    (uint8_t)asker->role, asker->index, asker->instance};
	struct ipc_channel_offer to_asker = {
	    (uint8_t)other->role, other->index, other->instance};
	struct err e;
	int pair[2];

	if (asker->channel.fd < 0 || other->channel.fd < 0)
		return;
	/* HTTPS was turned on while it was running: it has no use for it. */
	if (other->role == IPC_KEEPER && !asker->https)
		return;
	if (fd_seqpacket_pair(pair, &e) != 0) {
		log_err("channel role=%s[%u] error=\"%s\"",
		    ipc_role_name(asker->role), asker->index, e.text);
		return;
	}
	child_send(other, IPC_CHANNEL, &to_other, pair[0]);
	child_send(asker, IPC_CHANNEL, &to_asker, pair[1]);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

/* A keeper comes into it when it has all keys; see pairs.c. */
static bool
may_meet(const struct child *asker, const struct child *other)
{
	if (asker->role == IPC_ADMIN)
		return other->role == IPC_STORE;
	return asker->role == IPC_WEB &&
	       (other->role == IPC_STORE || other->role == IPC_LOGGER ||
		   (other->role == IPC_KEEPER && other->pairs.connected));
}

/* Also to web workers that finish: they have events for a new store. */
void
connect_started(struct child *started)
{
	struct monitor *m = started->monitor;

	started->pairs.connected = false;
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *other = &m->children[i];

		if (!child_is_running(other) &&
		    (other->role != IPC_WEB || other->state != CHILD_STOPPING))
			continue;
		if (may_meet(started, other))
			connect_worker(started, other);
		if (may_meet(other, started))
			connect_worker(other, started);
	}
}
