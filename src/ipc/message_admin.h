/*
 * message_admin.h - the messages between the admin listener and the store
 *
 * A part of message.h. Admin asks, one question at a time, and every question
 * is of the kind that changes nothing: STATUS_GET, as a tool does, and those
 * below.
 */
#ifndef IPC_MESSAGE_ADMIN_H
#define IPC_MESSAGE_ADMIN_H

#include "ipc/message.h"

/* In PARAMS of the admin role. Its descriptors: monitor, chroot, listeners. */
struct ipc_admin_settings {
	uint16_t n_listeners;
};

/* How long the store's commits took, since it started; answered by COMMITS. */
struct ipc_commits_get {
	uint8_t unused;
};
#define IPC_COMMIT_ROWS_MAX 32
struct ipc_commits {
	uint64_t sum_us;
	struct ipc_list rows; /* struct ipc_commit_row, ascending */
};
struct ipc_commit_row {
	uint64_t most_us; /* UINT64_MAX, the last row: all that took longer */
	uint64_t n;	  /* that took no longer, and longer than the last */
};

/* Whether a name is a tracking domain of Postal's; by PERMISSION. */
#define IPC_DOMAIN_MAX 253
struct ipc_permission_get {
	struct span name;
};
enum ipc_permission_status {
	IPC_PERMISSION_YES = 1,
	IPC_PERMISSION_NO,
	IPC_PERMISSION_UNKNOWN, /* the replica cannot be read */
};
struct ipc_permission {
	uint8_t status; /* enum ipc_permission_status */
};

#endif
