/*
 * spawn.h - starts a role: exec of this same binary, empty environment
 */
#ifndef MONITOR_SPAWN_H
#define MONITOR_SPAWN_H

#include <sys/types.h>

#include "base/err.h"
#include "ipc/channel.h"

struct spawn {
	enum ipc_role role;
	struct ipc_params params; /* n_fds and settings are filled in here */
	enum ipc_type settings_type;
	const void *settings;
	const int *fds; /* borrowed; become 4, 5, ... in the role */
	size_t n_fds;
};

/* The running binary; the same bytes even after an upgrade replaced the file.
 * Owner: the caller. -1 on failure. */
int spawn_open_self(struct err *e);

/* Starts the role and sends it PARAMS. channel: the monitor's end. Owner: the
 * caller closes channel->fd and waits for pid. */
int spawn_role(int self_fd, const struct spawn *s, pid_t *pid,
    struct ipc_channel *channel, struct err *e);

#endif
