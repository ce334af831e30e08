/*
 * notify.c - what systemd is told (sd_notify), without its library
 *
 * Runs in the monitor. One connected datagram socket.
 */
#include "monitor/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/number.h"

/* Half the time that systemd allows, as its manual recommends. */
static uint64_t
watchdog_interval(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	const char *pid_text = getenv("WATCHDOG_PID");
	uint64_t us, pid;

	if (text == NULL ||
	    number_parse(span_of(text), 1, UINT64_MAX, &us) != 0)
		return 0;
	if (pid_text != NULL &&
	    (number_parse(span_of(pid_text), 1, INT32_MAX, &pid) != 0 ||
		pid != (uint64_t)getpid()))
		return 0;
	return us / 2000 > 0 ? us / 2000 : 1;
}

static int
connect_to(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd;

	if (len < 2 || len >= sizeof(sa.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
	    connect(fd, (struct sockaddr *)&sa,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) != 0)
		fd_close(&fd);
	return fd;
}

void
notify_open(struct notify *n)
{
	const char *path = getenv("NOTIFY_SOCKET");

	n->fd = path == NULL ? -1 : connect_to(path);
	n->watchdog_ms = watchdog_interval();
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

void
notify_close(struct notify *n)
{
	fd_close(&n->fd);
}

bool
notify_send_fd(const struct notify *n, const char *state, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec part = {NULL, strlen(state)};
	struct msghdr mh = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *cm;

	if (n->fd < 0)
		return true;
	/* sendmsg only reads it. */
	memcpy(&part.iov_base, &state, sizeof(state));
	if (fd >= 0) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = sizeof(control.bytes);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	}
	return sendmsg(n->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
	       errno != EAGAIN;
}

void
notify_send(const struct notify *n, const char *state)
{
	(void)notify_send_fd(n, state, -1);
}

/* --- the states -------------------------------------------------------- */

void
notify_repeat(struct notify *n)
{
	if (n->reload[0] != '\0' && !notify_send_fd(n, n->reload, -1))
		return;
	n->reload[0] = '\0';
	if (n->state != NULL && notify_send_fd(n, n->state, -1))
		n->state = NULL;
}

void
notify_ready(struct notify *n, const char *state)
{
	n->state = state;
	notify_repeat(n);
}

void
notify_reloading(struct notify *n)
{
	(void)snprintf(n->reload, sizeof(n->reload),
	    "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_us());
	n->state = NULL;
	notify_repeat(n);
}

void
notify_stopping(struct notify *n, const char *state)
{
	n->reload[0] = '\0';
	n->state = state;
	notify_repeat(n);
}
