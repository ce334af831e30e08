/*
 * fd.c - descriptors
 *
 * Used by every process.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

int
fd_set_cloexec(int fd, int on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

int
fd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int
fd_open_file(const char *path, struct stat *st, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_errno(e, "cannot open");
	if (fstat(fd, st) != 0)
		(void)err_errno(e, "cannot look at it");
	else if (!S_ISREG(st->st_mode))
		(void)err_set(e, "is not a regular file");
	else
		return fd;
	fd_close(&fd);
	return -1;
}

int
fd_close_from(int first)
{
	return close_range((unsigned int)first, UINT_MAX, 0);
}

int
fd_dup_above(int fd, int least)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, least);
}

int
fd_reopen_regular(int place)
{
	char same[32];
	struct stat st;

	if (fstat(place, &st) != 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	(void)snprintf(same, sizeof(same), "/proc/self/fd/%d", place);
	return open(same, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int
fd_seqpacket_pair(int pair[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, pair) != 0)
		return err_errno(e, "cannot make a channel");
	return 0;
}

bool
fd_wait(int fd, short events, uint64_t until_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = clock_mono_ms();
	int n = 0;

	if (now < until_ms)
		n = poll(&p, 1, (int)(until_ms - now));
	return n > 0 || (n < 0 && errno == EINTR);
}

int
fd_raise_limit(void)
{
	return fd_raise_limit_to(0);
}

int
fd_raise_limit_to(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return -1;
	if (limit.rlim_max < wanted) {
		struct rlimit higher = {wanted, wanted};

		if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
			limit = higher;
	}
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}
