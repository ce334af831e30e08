/*
 * holder.h - which process holds a port
 */
#ifndef MONITOR_HOLDER_H
#define MONITOR_HOLDER_H

#include <sys/types.h>

#include "base/addr.h"

struct holder {
	struct endpoint at; /* what it listens on */
	pid_t pid;	    /* 0: not allowed to see */
	char name[32];	    /* "nginx"; "" when pid is 0 */
};

/*
 * The first listening TCP socket that keeps `wanted` from being bound: same
 * port, and the same address or one of the two is the unspecified one. -1
 * when there is none. Reads /proc; needs root to see other users' processes.
 */
int holder_find(const struct endpoint *wanted, struct holder *h);

#endif
