/*
 * listen.h - the sockets that visitors, and who watches us, connect to
 */
#ifndef MONITOR_LISTEN_H
#define MONITOR_LISTEN_H

#include <stdbool.h>

#include "config/config.h"

struct listener {
	int fd;
	struct endpoint at;
	bool inherited; /* of a .socket unit of systemd */
	bool dual;	/* [::] that takes IPv4 too */
};

/* The monitor owns the descriptors; workers get duplicates. */
struct listeners {
	struct listener list[CONFIG_LISTEN_MAX];
	size_t n;	/* all, in the order HTTP, HTTPS, admin */
	size_t n_web;	/* HTTP and HTTPS */
	size_t n_https; /* of those, so many of the last ones */
	/* Not in tracker.conf now, and had by a reload that names them: what
	 * systemd holds (inherited), and what a reload gave up, while old
	 * workers still have it. */
	struct listener aside[2 * CONFIG_LISTEN_MAX];
	size_t n_aside;
};

void listeners_init(struct listeners *l);
void listeners_clear(struct listeners *l);
/* The old workers are told to end: closes what was given up. */
void listeners_let_go(struct listeners *l);

/* Whether one of them has exactly this address. */
bool listeners_have(const struct listeners *l, const struct endpoint *at);

/*
 * Takes the sockets that systemd passed (LISTEN_FDS and its kin) and removes
 * the variables. Those that an earlier monitor had it keep (fdstore.h) are as
 * if we had opened them. Has to run before anything else opens descriptors.
 */
int listeners_inherit(struct listeners *l, struct err *e);

/*
 * A socket with this address, which does not listen yet; -1 with errno. share:
 * another one of this user that has this port at another address lets it be,
 * if it has SO_REUSEPORT at this moment. Owner: the caller.
 */
int listener_socket(const struct endpoint *at, bool share, int *result);

/*
 * Binds one socket without listening, as `check` does; explains a failure:
 * who holds the port, what a privileged port needs, that the address is not
 * on this machine. section: of the directive that names it, "http". Owner: the
 * caller closes the descriptor.
 */
int listener_bind(
    const struct endpoint *at, const char *section, int *fd, struct err *e);

/*
 * Makes `next` hold a listening socket for each endpoint of [http], [https]
 * and [admin] listen: one of `have` where it fits, else a new one; `have` is
 * then empty. What nothing names is set aside. On failure `have` is as before
 * and `next` empty. Waits up to 2 s for a port that an
 * ending tracker holds. Asks [sandbox] binder where this process
 * may not open sockets. [::] is left out, with a line of the log, on a machine
 * without IPv6 when something else is named beside it.
 */
int listeners_open(struct listeners *have, const struct config *c,
    struct listeners *next, struct err *e);

#endif
