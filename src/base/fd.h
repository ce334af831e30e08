/*
 * fd.h - descriptors
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"

/* Closes and sets to -1; nothing for -1. Keeps errno. */
void fd_close(int *fd);
/* Close-on-exec on or off. */
int fd_set_cloexec(int fd, int on);
int fd_set_nonblock(int fd);
/* Opens a regular file for reading; a FIFO would have us wait for a writer.
 * *st is that of what was opened. The error does not have the path. Owner: the
 * caller. */
int fd_open_file(const char *path, struct stat *st, struct err *e);
/* Closes every descriptor from first upwards. */
int fd_close_from(int first);
/* A close-on-exec duplicate numbered at least `least`. Owner: the caller. */
int fd_dup_above(int fd, int least);
/*
 * Opens for reading what place, of O_PATH, stands for, when it is a regular
 * file. That is looked at before, because to open a device does something
 * already (a watchdog starts, a tape goes back). -1 with errno; EINVAL: it is
 * no regular file. Needs /proc. Owner: the caller, also of place.
 *
 * Security: for files in a directory of a user with less rights, who may put
 * a link to anything there, and another one a moment later; see base/path.h.
 */
int fd_reopen_regular(int place);
/* A pair of connected SOCK_SEQPACKET sockets, close-on-exec, non-blocking. */
int fd_seqpacket_pair(int pair[2], struct err *e);
/* Waits for poll's events, or the end of the peer, until that monotonic time.
 * true also when a signal came: try what was waited for. */
bool fd_wait(int fd, short events, uint64_t until_ms);
/* How many descriptors this process may open (RLIMIT_NOFILE); raises the
 * soft limit to the hard one first. */
int fd_raise_limit(void);
/* The same, and the hard one to `wanted` where it is lower and this process
 * may (CAP_SYS_RESOURCE). */
int fd_raise_limit_to(uint64_t wanted);

#endif
