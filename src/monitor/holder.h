/*
 * holder.h - which process holds a port
 */
#ifndef MONITOR_HOLDER_H
#define MONITOR_HOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"

#define HOLDER_NAME_SIZE 32

struct holder {
	struct endpoint at;	     /* what it listens on */
	pid_t pid;		     /* 0: not allowed to see */
	char name[HOLDER_NAME_SIZE]; /* "nginx"; "" when pid is 0 */
	/* systemd has it too: for a .socket unit, or in its store of
	 * descriptors. pid is 1 only when nobody else has it. */
	bool by_systemd;
	uint64_t inode; /* of the socket */
};

/*
 * The first listening TCP socket that keeps `wanted` from being bound: same
 * port, and the same address or one of the two is the unspecified one. -1
 * when there is none. Reads /proc; needs root to see other users' processes.
 */
int holder_find(const struct endpoint *wanted, struct holder *h);

/* Whether this process has the socket, be it among others. */
bool holder_has(const struct holder *h, pid_t pid);

#endif
