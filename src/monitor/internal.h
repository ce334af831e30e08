/*
 * internal.h - what the files of the monitor share
 */
#ifndef MONITOR_INTERNAL_H
#define MONITOR_INTERNAL_H

#include <stdbool.h>

#include "base/loop.h"
#include "monitor/handover.h"
#include "monitor/listen.h"
#include "monitor/fdstore.h"
#include "monitor/notify.h"
#include "monitor/pairs.h"
#include "monitor/settings.h"
#include "monitor/spawn.h"

#define CHILDREN_MAX 256

/* To the service manager. */
#define MONITOR_READY "READY=1\nSTATUS=serving"

/* What each reload starts anew; the old ones stop when the new ones serve. */
#define RENEWED_ROLES (IPC_WEB | IPC_ADMIN)

struct monitor;

enum child_state {
	CHILD_FREE,	/* the slot is unused */
	CHILD_WAITING,	/* not running; starts at restart_at_ms */
	CHILD_STARTING, /* running, READY not yet seen */
	CHILD_READY,
	CHILD_STOPPING, /* told to finish; not started again */
};

/* One role that runs, or will run again. */
struct child {
	struct loop_watch watch; /* first: the watch is the child */
	struct monitor *monitor;
	struct ipc_channel channel;
	enum child_state state;
	enum ipc_role role;
	uint16_t index;
	unsigned int generation; /* of web and admin; counts reloads */
	bool https; /* a web worker that was started with ports of HTTPS */
	/* Of a web worker: what it listens on. */
	struct endpoint listens[CONFIG_LISTEN_MAX];
	size_t n_listens;
	pid_t pid;
	uint64_t instance; /* this one process */
	uint32_t starts;
	int64_t since_us;
	uint64_t started_ms;
	uint64_t restart_at_ms;
	uint64_t backoff_ms; /* of the next restart; 0: at once */
	uint64_t kill_at_ms; /* a stopping child that does not end; 0: none */
	bool again;	     /* stopping, and then started again */
	bool buried;	     /* pid was waited for */
	uint64_t pinged_ms;  /* PING was sent then; 0: it has answered */
	int refused_call;    /* reported by its SIGSYS handler; -1: none */
	struct pairs_of_role pairs;
};

enum monitor_phase {
	PHASE_STARTING, /* until every role is ready once */
	PHASE_SERVING,
	PHASE_ENDING,  /* web workers finish */
	PHASE_CLOSING, /* store, keepers and logger finish */
};

struct monitor {
	struct loop loop;
	struct loop_watch signals;
	enum monitor_phase phase;
	int exit_code;
	const char *path;
	struct config config;
	struct users users;
	struct listeners listeners;
	struct loop_watch unnamed[CONFIG_LISTEN_MAX]; /* of listeners.aside */
	size_t n_unnamed;
	struct notify notify;
	struct fdstore fdstore; /* listeners that systemd keeps */
	bool root;
	int self_fd, spool_fd, socket_fd, empty_fd;
	int challenges_fd; /* [https] acme_challenges; -1: none */
	int access_fd;	   /* [log] access_file; -1: none */
	int shared_fd;	   /* of the web workers of this generation */
	uint64_t shared_key[2];
	int sessions_fd; /* TLS sessions; of all web workers, for ever */
	uint64_t sessions_key[2];
	struct pairs pairs;
	struct handover handover;
	unsigned int generation;
	unsigned int workers;
	bool reloading;	    /* new workers are not all ready yet */
	bool reload_wanted; /* SIGHUP came before we served */
	uint64_t end_by_ms;
	uint64_t next_second_ms;
	uint64_t next_watchdog_ms;
	uint8_t scratch[IPC_RECORD_MAX];
	uint8_t trusted[SETTINGS_TRUSTED_SIZE];
	struct child children[CHILDREN_MAX];
};

/* child.c: the life of one role. */

/* A slot for a new role, not started; NULL when there are too many. */
struct child *child_new(struct monitor *m, enum ipc_role role, uint16_t index);
/* Starts the role; on failure it waits for its next try. */
void child_start(struct child *c);
/* Tells it to finish, at the latest in grace_ms. */
void child_stop(struct child *c, uint64_t grace_ms);
/* The same, and starts it again with what it is given then. */
void child_replace(struct child *c, uint64_t grace_ms);
/* Ends it at once; it is started again as after any death. */
void child_kill(struct child *c);
/* Takes note of a process that ended; false when it was none of ours. */
bool child_ended(struct monitor *m, pid_t pid, int status);
/* Restarts and kills what is due. Returns when something is due next; 0:
 * nothing. */
uint64_t children_due(struct monitor *m);
/* How many slots of these roles (0: any) are in one of these states. */
size_t children_count(const struct monitor *m, unsigned int roles,
    enum child_state least, enum child_state most);
bool child_is_running(const struct child *c);
/* Of the roles that each reload starts anew, one of an earlier reload. */
bool child_is_old(const struct child *c);
/* A web worker that runs and is not told to finish. */
bool child_is_worker(const struct child *c);
/* Sends a message to a role that runs. */
void child_send(struct child *c, enum ipc_type type, const void *body, int fd);

/* begin.c: what a role is started with, and its channels. */

/* Starts the process and sends it PARAMS; 0, or -1. */
int child_spawn(struct child *c, struct err *e);
/* Channels to those that run already. */
void connect_started(struct child *started);
/* A fresh channel between one that asks (a web worker, admin) and the store,
 * keeper or logger. */
void connect_worker(struct child *asker, struct child *other);

/* unnamed.c */

/* Resets visitors of the listeners that nothing names; stops doing so, before
 * listeners change. */
void unnamed_watch(struct monitor *m);
void unnamed_unwatch(struct monitor *m);

/* watchdog.c */

/* What systemd's watchdog asks for, when it is due. Returns when the next
 * time is; 0: never. */
uint64_t watchdog_due(struct monitor *m);
/* PONG */
void watchdog_answered(struct child *c, const union ipc_body *body);

/* monitor.c */

/* A role became ready, or ended; what that means for the whole. */
void monitor_child_ready(struct child *c, bool degraded);
void monitor_child_gone(struct child *c, bool wanted);
/* The start failed or the daemon cannot go on: stops with this exit code. */
void monitor_give_up(struct monitor *m, int exit_code);

/* logger.c: the access log */

/* Opens a file for appending; makes it. Owner: the caller closes *fd. */
int logger_open_file(const char *path, int *fd, struct err *e);
/* The one of this configuration; *fd is -1 when there is none. */
int monitor_open_access_file(const struct config *c, int *fd, struct err *e);
/* Another logger takes over, with this file, if the configuration wants one.
 * Owner: takes fd, also on failure. */
int monitor_set_logger(struct monitor *m, int fd, struct err *e);
/* The file anew, and another logger with it. 1: done, 0: there is no file,
 * -1: all is as it was. */
int monitor_reopen_access_file(struct monitor *m, struct err *e);
/* SIGUSR1: as that, and the log says so. */
void monitor_rotate(struct monitor *m);

/* reload.c: SIGHUP */
/* How long an old worker may take for what it has begun. */
uint64_t monitor_worker_grace(const struct monitor *m);
void monitor_reload(struct monitor *m);
/* Zeroed memory that the web workers of one generation share, and the key of
 * what is in it. */
struct workers_memory {
	unsigned int workers;
	int fd;
	uint64_t key[2];
};
/* Makes it for this configuration; that of sessions too, once. Owner: the
 * caller, of memory->fd. */
int workers_memory_open(struct monitor *m, const struct config *c,
    struct workers_memory *memory, struct err *e);
/* The web workers of this generation. Owner: takes memory->fd. */
int monitor_new_workers(
    struct monitor *m, const struct workers_memory *memory, struct err *e);
/* The admin role, when it has something to listen on. */
int monitor_new_admin(struct monitor *m, struct err *e);
/* As many keepers as the configuration wants: starts and stops. */
int monitor_set_keepers(struct monitor *m, struct err *e);

#endif
