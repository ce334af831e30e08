/*
 * binder.h - asking the binder for a port
 *
 * A service without a network of its own cannot open a port. Then systemd
 * starts, for each connection to [sandbox] binder, a process in the machine's
 * network that does nothing else (binder/).
 */
#ifndef MONITOR_BINDER_H
#define MONITOR_BINDER_H

#include "base/addr.h"
#include "ipc/channel.h"

/* A connection that is made when it is needed; fd -1: not yet. */
struct binder {
	const char *path; /* "": there is none */
	struct ipc_channel channel;
	uint8_t *buffer; /* IPC_RECORD_MAX bytes */
};

enum binder_result {
	BINDER_OPENED,
	BINDER_REFUSED, /* by the kernel; *cause is errno there */
	BINDER_AWAY,	/* it cannot be asked, or broke the rules; see e */
};

/*
 * A socket with this address that does not listen yet, as listener_socket
 * makes it. Waits 10 s for an answer at most. Owner of *fd: the caller.
 */
enum binder_result binder_open_port(struct binder *b, const struct endpoint *at,
    bool share, int *fd, int *cause, struct err *e);

void binder_close(struct binder *b);

#endif
