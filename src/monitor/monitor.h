/*
 * monitor.h - the process that starts, watches and restarts the others
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "config/config.h"

/*
 * `postal-tracker run`: the daemon, in the foreground. path is kept for
 * reloads; NULL: the packaged place. Returns an exit code of sysexits.h.
 */
int monitor_run(const char *path);

/* Reads the configuration for a process that logs: its errors go there. */
int monitor_load_config(const char *path, struct config *c);

#endif
