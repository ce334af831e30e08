/*
 * role.h - how every role begins: what the monitor says of it, its jail, ready
 *
 * A role is started by the monitor with exec of the same binary and an empty
 * environment. Descriptor 3 is its channel to the monitor, those from 4 on
 * are its own in an order that PARAMS' settings describe. It calls, in this
 * order, role_take, whatever opens what only it needs, role_restrict,
 * role_ready, and then serves.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "ipc/channel.h"
#include "sandbox/sandbox.h"

#define ROLE_MONITOR_FD 3
#define ROLE_FIRST_FD 4

struct role {
	struct ipc_channel monitor;
	struct ipc_params params;
	union ipc_body settings;
	int n_fds; /* own descriptors, ROLE_FIRST_FD and up */
	pid_t parent;
	const char *policy; /* "web" */
	/* What params.settings and settings borrow; receive buffer later. */
	uint8_t *buffer; /* IPC_RECORD_MAX bytes */
};

/*
 * Opens the log under the name that argv0 ends with ("postal-tracker:
 * web[0]" gives "web[0]"), reads PARAMS (waits for it), closes every
 * descriptor that is not the role's, and decodes the settings, which have to
 * be of settings_type.
 */
int role_take(struct role *r, enum ipc_role self, const char *argv0,
    enum ipc_type settings_type, struct err *e);

struct role_needs {
	int root_fd; /* directory that becomes the root */
	/* What Landlock leaves, where there is Landlock; NULL: not asked. */
	const struct sandbox_files *files;
	uint64_t descriptors;
	uint64_t file_size; /* 0: may not write files */
};

/*
 * Gives up everything: limits, root directory, capabilities, ids; tries to
 * get them back and fails if that works; then the seccomp filter. Without
 * root (IPC_PARAM_ROOT not set) the steps that need it are left out and the
 * working directory is changed instead of the root. 0, -1, or
 * SANDBOX_UNAVAILABLE: all but Landlock, which this kernel does not have.
 */
int role_restrict(
    struct role *r, const struct role_needs *needs, struct err *e);

/* Tells the monitor that this role serves. */
int role_ready(struct role *r, bool degraded, struct err *e);

/* Answers the monitor's PING; call it from the loop, or it means nothing. A
 * monitor that does not read is found out otherwise. */
void role_answer(struct role *r);

/* Logs the error and ends the process with EX_SOFTWARE. */
void role_fatal(const struct err *e) __attribute__((noreturn));

#endif
