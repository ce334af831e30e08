/*
 * forward.h - the forwarder: events into Postal's MySQL, links back
 *
 * A service of its own, with a user of its own, and the only process that has
 * the database's password.
 */
#ifndef FORWARD_FORWARD_H
#define FORWARD_FORWARD_H

/* `postal-tracker forward`: runs until SIGTERM; returns the exit code. path
 * as for config_load. */
int forward_run(const char *path);

#endif
