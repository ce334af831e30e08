/*
 * fdstore.h - listening sockets that systemd keeps for the next monitor
 *
 * What the monitor opened itself is given to the service manager's store of
 * descriptors, so that visitors wait in the queue while the service is
 * restarted. Source: sd_notify(3), FDSTORE=1; systemd.service(5),
 * FileDescriptorStoreMax=. Without a manager nothing happens.
 */
#ifndef MONITOR_FDSTORE_H
#define MONITOR_FDSTORE_H

#include <stdbool.h>

#include "monitor/listen.h"
#include "monitor/notify.h"

/* What is in the store. */
struct fdstore {
	struct endpoint at[CONFIG_LISTEN_MAX];
	size_t n;
};

/* Whether a name of LISTEN_FDNAMES, up to its colon, is one of ours. */
bool fdstore_is_name(const char *name);

/* Notes what came out of the store: our own sockets of listeners_inherit. */
void fdstore_take(struct fdstore *s, const struct listeners *inherited);

/* Has systemd keep the sockets that are our own, and forget what is not there
 * any more. What it did not take is said again by the next call. */
void fdstore_update(
    struct fdstore *s, const struct notify *n, const struct listeners *l);

#endif
