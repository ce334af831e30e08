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
	bool inherited; /* from systemd */
};

/* The monitor owns the descriptors; workers get duplicates. */
struct listeners {
	struct listener list[CONFIG_LISTEN_MAX];
	size_t n;	/* all, in the order HTTP, HTTPS, admin */
	size_t n_web;	/* HTTP and HTTPS */
	size_t n_https; /* of those, so many of the last ones */
	/* From systemd, and not in tracker.conf now. */
	struct listener unnamed[CONFIG_LISTEN_MAX];
	size_t n_unnamed;
};

void listeners_init(struct listeners *l);
void listeners_clear(struct listeners *l);

/*
 * Takes the sockets that systemd passed (LISTEN_FDS, LISTEN_PID) and removes
 * the two variables. Has to run before anything else opens descriptors.
 */
int listeners_inherit(struct listeners *l, struct err *e);

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
 * then empty. A socket of systemd that nothing names is kept aside. On failure
 * `have` is as before and `next` empty. Waits up to 2 s for a port that an
 * ending tracker holds.
 */
int listeners_open(struct listeners *have, const struct config *c,
    struct listeners *next, struct err *e);

#endif
