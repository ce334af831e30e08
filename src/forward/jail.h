/*
 * jail.h - the forwarder gives itself up
 *
 * The steps and their order are those of every role (role/jail.h); here is
 * what the forwarder keeps: files to resolve names and to check certificates,
 * TCP to the databases' ports and to name servers, and sockets to connect.
 */
#ifndef FORWARD_JAIL_H
#define FORWARD_JAIL_H

#include <stdbool.h>

#include "base/err.h"
#include "config/config.h"
#include "config/user.h"
#include "forward/target.h"

struct forward_jail {
	struct config_user user; /* .fallback: worth a warning */
	bool root;		 /* started as root: user was changed to */
	/* What could not be done, one sentence for one warning; "": all was
	 * done. */
	char missing[256];
};

/*
 * Confines this process for good. Before it, in any order: configuration,
 * sql_library_open, targets_open, resolver_prepare, every descriptor that is
 * not a database's connection (epoll, signals, a listener), tzset, all other
 * descriptors closed. After it: no file is written, no program started, no
 * library loaded, nobody listened to; databases and store.sock can be
 * connected to again and again.
 *
 * Not as root, the user stays; unless it is the forwarder's own already, as a
 * unit's User= makes it, `missing` says so, and [sandbox] sandbox = required
 * makes that, and a kernel without Landlock, an error (code EPERM).
 * A refused call ends the process with ROLE_EXIT_REFUSED_CALL (role/jail.h)
 * and one line in the log that names its number.
 */
int forward_enter_jail(const struct config *c, const struct targets *t,
    struct forward_jail *jail, struct err *e);

#endif
