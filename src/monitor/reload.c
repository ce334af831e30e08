/*
 * reload.c - SIGHUP: a new configuration, new workers, the same ports
 *
 * Runs in the monitor. Nothing changes until everything that the new
 * configuration needs is there; the old workers stop when the new ones serve.
 * A second SIGHUP before that makes the first one's workers old ones too.
 */
#include "monitor/internal.h"
#include "monitor/monitor.h"
#include "monitor/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* A keeper that is not wanted any more has nothing to finish. */
#define KEEPER_GRACE_MS 2000
/* For the last commit. */
#define STORE_GRACE_MS 5000
/* Of a worker, beyond what a visitor may take. */
#define WORKER_GRACE_MS 1000

/* Zeroed memory that workers share, and the key of what is in it. */
static int
open_shared_memory(off_t size, int *result, uint64_t key[2], struct err *e)
{
	int fd =
	    memfd_create("postal-tracker-web", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, size) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
	    getrandom(key, 2 * sizeof(key[0]), 0) != 2 * sizeof(key[0])) {
		(void)err_errno(e, "cannot make the workers' shared memory");
		fd_close(&fd);
		return -1;
	}
	*result = fd;
	return 0;
}

/* A limit of descriptors below max_connections is said, and kept. */
static void
fit_connections(struct monitor *m)
{
	uint64_t limit = (uint64_t)fd_raise_limit();
	uint64_t room =
	    limit > SETTINGS_WORKER_FDS + 16 ? limit - SETTINGS_WORKER_FDS : 16;
	uint64_t most = room * m->workers;

	if (m->config.clients.max_connections <= most)
		return;
	log_warn("lower max_connections=%" PRIu64 " to=%" PRIu64
		 ": a process may open %" PRIu64
		 " descriptors here; raise LimitNOFILE= of the unit or "
		 "`ulimit -n`",
	    m->config.clients.max_connections, most, limit);
	m->config.clients.max_connections = most;
}

int
workers_memory_open(struct monitor *m, const struct config *c,
    struct workers_memory *memory, struct err *e)
{
	memory->workers = settings_workers(c);
	if (m->sessions_fd < 0 && open_shared_memory(IPC_SESSIONS_SIZE,
				      &m->sessions_fd, m->sessions_key, e) != 0)
		return -1;
	return open_shared_memory((off_t)memory->workers * IPC_WEB_SLICE_SIZE,
	    &memory->fd, memory->key, e);
}

int
monitor_new_workers(
    struct monitor *m, const struct workers_memory *memory, struct err *e)
{
	m->workers = memory->workers;
	fd_close(&m->shared_fd);
	m->shared_fd = memory->fd;
	memcpy(m->shared_key, memory->key, sizeof(m->shared_key));
	fit_connections(m);
	for (unsigned int i = 0; i < m->workers; i++) {
		struct child *c = child_new(m, IPC_WEB, (uint16_t)i);

		if (c == NULL)
			return err_set(e, "too many workers");
		child_start(c);
	}
	return 0;
}

int
monitor_new_admin(struct monitor *m, struct err *e)
{
	struct child *c;

	if (m->listeners.n == m->listeners.n_web)
		return 0;
	c = child_new(m, IPC_ADMIN, 0);
	if (c == NULL)
		return err_set(e, "too many roles for the admin listener");
	child_start(c);
	return 0;
}

/* One that has not started yet needs no farewell. */
static void
stop_keepers_from(struct monitor *m, size_t first)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];

		if (c->role == IPC_KEEPER && c->state != CHILD_FREE &&
		    c->index >= first)
			child_stop(c, KEEPER_GRACE_MS);
	}
}

int
monitor_set_keepers(struct monitor *m, struct err *e)
{
	size_t wanted =
	    m->listeners.n_https > 0 ? (size_t)m->config.https.keepers : 0;
	size_t n = children_count(m, IPC_KEEPER, CHILD_WAITING, CHILD_READY);

	stop_keepers_from(m, wanted);
	for (; n < wanted; n++) {
		struct child *c = child_new(m, IPC_KEEPER, (uint16_t)n);

		if (c == NULL)
			return err_set(e, "too many keepers");
		child_start(c);
	}
	handover_https(m, wanted > 0);
	if (wanted > 0)
		pairs_look_now(m);
	else
		pairs_clear(&m->pairs);
	return 0;
}

/* Keys that a running daemon cannot change, and where they are. */
static const struct {
	const char *section, *key;
} needs_restart[] = {
    {"spool", "directory"},
    {"spool", "socket"},
    {"sandbox", "sandbox"},
    {"sandbox", "keeper_user"},
    {"sandbox", "store_user"},
    {"postal", "mode"},
};

static void
say_what_needs_restart(const struct config *old, const struct config *new)
{
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];
		char before[CONFIG_PATH_SIZE], after[CONFIG_PATH_SIZE];
		bool listed = false;

		for (size_t j = 0; j < ARRAY_LENGTH(needs_restart); j++)
			listed = listed ||
				 (strcmp(d->section,
				      needs_restart[j].section) == 0 &&
				     strcmp(d->key, needs_restart[j].key) == 0);
		if (!listed)
			continue;
		config_format_value(old, d, before, sizeof(before));
		config_format_value(new, d, after, sizeof(after));
		if (strcmp(before, after) != 0)
			log_warn("reload [%s] %s = %s needs a restart; still "
				 "%s",
			    d->section, d->key, after, before);
	}
}

/* Copies what a running daemon can change. */
static void
take_over(struct config *now, const struct config *new)
{
	struct config kept = *now;

	*now = *new;
	now->spool = kept.spool;
	now->spool.durability = new->spool.durability;
	now->spool.max_wait = new->spool.max_wait;
	now->spool.max_size = new->spool.max_size;
	now->spool.retention = new->spool.retention;
	now->sandbox.sandbox = kept.sandbox.sandbox;
	memcpy(now->sandbox.store_user, kept.sandbox.store_user,
	    sizeof(now->sandbox.store_user));
	memcpy(now->sandbox.keeper_user, kept.sandbox.keeper_user,
	    sizeof(now->sandbox.keeper_user));
	now->postal = kept.postal;
}

/* A store has the directory of challenges as a descriptor and is locked into
 * it for ever: another directory is another store. */
static void
replace_store(struct monitor *m, int challenges_fd)
{
	fd_close(&m->challenges_fd);
	m->challenges_fd = challenges_fd;
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];

		if (c->role != IPC_STORE)
			continue;
		log_notice("replace role=store[%u] pid=%d reason=\"another "
			   "[https] acme_challenges\"",
		    c->index, (int)c->pid);
		child_replace(c, STORE_GRACE_MS);
	}
}

uint64_t
monitor_worker_grace(const struct monitor *m)
{
	uint64_t head = m->config.clients.header_timeout;
	uint64_t handshake = m->config.https.handshake_timeout;

	return (head > handshake ? head : handshake) +
	       m->config.spool.max_wait + WORKER_GRACE_MS;
}

/* Asked before anything changes. Logger, admin and keepers may be new too. */
static int
refuse_too_many(
    const struct monitor *m, const struct config *new, struct err *e)
{
	size_t wanted = settings_workers(new) + (size_t) new->https.keepers + 2;
	/* What waits for its restart makes room. */
	size_t there =
	    children_count(m, 0, CHILD_WAITING, CHILD_STOPPING) -
	    children_count(m, RENEWED_ROLES, CHILD_WAITING, CHILD_WAITING);

	if (there + wanted <= CHILDREN_MAX)
		return 0;
	return err_set(e,
	    "%zu processes of earlier reloads are still finishing; try again "
	    "in %" PRIu64 " s",
	    children_count(m, 0, CHILD_STOPPING, CHILD_STOPPING),
	    monitor_worker_grace(m) / 1000 + 1);
}

/* What a new configuration needs. */
struct prepared {
	struct users users;
	struct workers_memory memory;
	struct listeners listeners;
	int access_fd;	   /* -1: none */
	int challenges_fd; /* -1: none, or the directory is the same */
	bool other_challenges;
};

/* Opens all of it. On failure nothing has changed. Owner: the caller, who
 * passes it to commit: the listeners are no longer the monitor's. */
static int
prepare(struct monitor *m, const struct config *new, struct prepared *p,
    struct err *e)
{
	p->memory.fd = p->access_fd = p->challenges_fd = -1;
	p->other_challenges = strcmp(m->config.https.acme_challenges,
				  new->https.acme_challenges) != 0;
	if (refuse_too_many(m, new, e) != 0 ||
	    users_find(new, &p->users, e) != 0 ||
	    monitor_open_access_file(new, &p->access_fd, e) != 0)
		return -1;
	unnamed_unwatch(m);
	if ((!p->other_challenges ||
		place_open_challenges(new->https.acme_challenges, m->spool_fd,
		    &p->challenges_fd, e) == 0) &&
	    workers_memory_open(m, new, &p->memory, e) == 0 &&
	    listeners_open(&m->listeners, new, &p->listeners, e) == 0)
		return 0;
	unnamed_watch(m);
	fd_close(&p->memory.fd);
	fd_close(&p->access_fd);
	fd_close(&p->challenges_fd);
	return -1;
}

static void
tell_those_that_stay(struct monitor *m)
{
	struct ipc_store_settings settings =
	    settings_for_store(&m->config, &m->users);

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];

		if (c->role == IPC_STORE && c->pid != 0)
			child_send(c, IPC_STORE_SETTINGS, &settings, -1);
		/* One that waits for its restart is not needed any more. */
		if ((c->role & RENEWED_ROLES) != 0 && c->state == CHILD_WAITING)
			c->state = CHILD_FREE;
	}
}

/* From here on the new configuration is the one in use. That there are places
 * for all processes was seen to. Owner: takes all of p. */
static void
commit(struct monitor *m, const struct config *new, const struct prepared *p)
{
	struct err e = {0};
	int failed;

	say_what_needs_restart(&m->config, new);
	take_over(&m->config, new);
	m->users.web = p->users.web;
	m->users.forwarder = p->users.forwarder;
	m->listeners = p->listeners;
	unnamed_watch(m);
	fdstore_update(&m->fdstore, &m->notify, &m->listeners);
	log_set_level(settings_log_level(&m->config));
	tell_those_that_stay(m);
	if (p->other_challenges)
		replace_store(m, p->challenges_fd);
	m->generation++;
	m->reloading = true;
	failed = monitor_set_logger(m, p->access_fd, &e);
	failed |= monitor_set_keepers(m, &e);
	failed |= monitor_new_admin(m, &e);
	failed |= monitor_new_workers(m, &p->memory, &e);
	if (failed)
		log_err("reload incomplete: %s; restart the service", e.text);
}

static int
read_and_prepare(struct monitor *m, struct config *new, struct prepared *p)
{
	struct err e = {0};

	if (monitor_load_config(m->path, new) != 0) {
		log_err("reload failed: the configuration in use stays");
		return -1;
	}
	if (prepare(m, new, p, &e) != 0) {
		log_err("reload failed: %s; the configuration in use stays",
		    e.text);
		return -1;
	}
	return 0;
}

void
monitor_reload(struct monitor *m)
{
	struct config *new;
	struct prepared *p;
	struct err e;

	m->reload_wanted = m->phase == PHASE_STARTING;
	if (m->phase != PHASE_SERVING) {
		log_notice("reload: %s", m->reload_wanted
					     ? "as soon as this serves"
					     : "ignored, this is ending");
		return;
	}
	log_notice("reload");
	notify_reloading(&m->notify);
	new = calloc(1, sizeof(*new));
	p = calloc(1, sizeof(*p));
	if (new == NULL || p == NULL)
		log_err("reload failed: no memory");
	if (new != NULL && p != NULL &&read_and_prepare(m, new, p) == 0) {
		commit(m, new, p);
	} else {
		/* Whoever rotates the log by SIGHUP waits for a new file,
		 * whatever became of tracker.conf. */
		if (monitor_reopen_access_file(m, &e) < 0)
			log_err("reload failed: %s", e.text);
		notify_ready(&m->notify, MONITOR_READY);
	}
	free(p);
	free(new);
}
