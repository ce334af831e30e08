/*
 * binder.h - the binder: opens ports for a monitor that may not
 */
#ifndef BINDER_BINDER_H
#define BINDER_BINDER_H

/*
 * `postal-tracker bind`: answers one connection, standard input, until its
 * other side closes it or is silent for 10 s. Started by systemd for each
 * connection to [sandbox] binder, as a user of its own with
 * CAP_NET_BIND_SERVICE and nothing else. Exit code as of sysexits.h.
 */
int binder_run(void);

#endif
