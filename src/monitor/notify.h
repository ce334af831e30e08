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
	/* States that found no room, in the order in which they are said. */
	char reload[64];   /* "": none */
	const char *state; /* what is so now; NULL: it was said */
};

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC and removes them. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);
/* "READY=1\nSTATUS=..."; a failure is ignored, as sd_notify's manual says. */
void notify_send(const struct notify *n, const char *state);
/* The same with a descriptor, "FDSTORE=1\nFDNAME=..."; -1: with none. False:
 * the manager does not keep up; what has to be known is said once more. */
bool notify_send_fd(const struct notify *n, const char *state, int fd);

/*
 * What the daemon is: "READY=1\nSTATUS=...", "STOPPING=1...". Where the manager
 * does not keep up, it hears of it by a later notify_repeat: of the newest
 * state, and of a reload before that is over, with the time at which it began.
 * Owner: the caller, of state, which lives as long as n.
 */
void notify_ready(struct notify *n, const char *state);
void notify_reloading(struct notify *n);
void notify_stopping(struct notify *n, const char *state);
void notify_repeat(struct notify *n);

#endif
