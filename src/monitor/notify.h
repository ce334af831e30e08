/*
 * notify.h - what systemd is told (sd_notify), without its library
 */
#ifndef MONITOR_NOTIFY_H
#define MONITOR_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct notify {
	int fd;		      /* -1: nobody wants to know */
	uint64_t watchdog_ms; /* send WATCHDOG=1 this often; 0: not wanted */
};

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC and removes them. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);
/* "READY=1\nSTATUS=..."; a failure is ignored, as sd_notify's manual says. */
void notify_send(const struct notify *n, const char *state);
/* The same with a descriptor, "FDSTORE=1\nFDNAME=..."; -1: with none. False:
 * the manager does not keep up; what has to be known is said once more. */
bool notify_send_fd(const struct notify *n, const char *state, int fd);

#endif
