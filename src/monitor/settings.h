/*
 * settings.h - tracker.conf as the messages that roles get
 */
#ifndef MONITOR_SETTINGS_H
#define MONITOR_SETTINGS_H

#include "config/config.h"
#include "config/user.h"
#include "ipc/message.h"

/* The users of the roles, found before anything is started. */
struct users {
	struct config_user web, keeper, store, forwarder;
};

/* -1 when one that tracker.conf names does not exist. */
int users_find(const struct config *c, struct users *u, struct err *e);

/* Descriptors that a worker has beside its connections. */
#define SETTINGS_WORKER_FDS 96
/* Descriptors that the monitor has beside those of pairs, which have two
 * each: ports, channels, what it hands to roles that it starts. */
uint64_t settings_monitor_fds(const struct config *c);
/* How many descriptors a process may have to open; the hard limit is raised
 * to it where that is possible. With room for as many pairs as there may be:
 * they come without a restart. */
uint64_t settings_descriptors(const struct config *c);

/* Networks of trusted proxies as records; borrowed by the web settings. */
#define SETTINGS_TRUSTED_SIZE (CONFIG_TRUSTED_MAX * 17)

/* index, keys and numbers of listeners are filled in by the caller, for each worker. */
struct ipc_web_settings settings_for_web(const struct config *c,
    unsigned int workers, uint8_t trusted[SETTINGS_TRUSTED_SIZE]);

struct ipc_store_settings settings_for_store(
    const struct config *c, const struct users *u);

/* The log level of base/log.h. */
uint8_t settings_log_level(const struct config *c);

/* Workers to start: as configured, or one for each core of this process. */
unsigned int settings_workers(const struct config *c);

#endif
