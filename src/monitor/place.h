/*
 * place.h - the places that the daemon needs: spool directory, store.sock,
 * and a root directory with nothing in it
 */
#ifndef MONITOR_PLACE_H
#define MONITOR_PLACE_H

#include "base/err.h"
#include "config/user.h"

/*
 * Opens the spool directory and locks it; creates it, or takes over an empty
 * one of another owner, when this process is root. One of another owner with
 * something in it is refused. Waits up to 2 s for an ending process that
 * still has the lock. owner: the store's user; its ids are ignored unless
 * root. Owner: the caller closes *fd, which ends the lock when no duplicate
 * is left.
 */
int place_open_spool(
    const char *path, const struct config_user *owner, int *fd, struct err *e);

/*
 * Binds the listening SOCK_SEQPACKET socket; makes its directory when only
 * the last component is missing; removes a socket that nobody listens on.
 */
int place_open_socket(const char *path, int *fd, struct err *e);

/*
 * A directory that is empty and stays so: it is removed at once, and lives
 * on as a descriptor in which nothing can be created. near: a path in whose
 * directory it is made; /tmp when that cannot be written.
 */
int place_open_empty(const char *near, int *fd, struct err *e);

/*
 * The directory of ACME challenges, which may be anybody's. Without Landlock
 * it has to lie in the spool directory, whose descriptor is given: the store
 * gets this one, and nothing else would keep it inside. Owner: the caller
 * closes *fd.
 */
int place_open_challenges(
    const char *path, int spool_fd, int *fd, struct err *e);

#endif
