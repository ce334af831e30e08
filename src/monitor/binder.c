/*
 * binder.c - asking the binder for a port
 *
 * Runs in the monitor, while nothing else waits for it: at the start and at a
 * reload. What is no socket with the address that was asked for is not taken.
 */
#include "monitor/binder.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define ANSWER_WAIT_MS 10000
#define REMEDY                                                                 \
	"`systemctl start postal-tracker-binder.socket`, or give the service " \
	"a network"

/* --- the connection ---------------------------------------------------- */

static int
away(const struct binder *b, const struct endpoint *at, struct err *e)
{
	char shown[ENDPOINT_TEXT_SIZE];
	int cause = errno;

	endpoint_format(at, shown);
	if (b->path[0] == '\0')
		return err_set(e,
		    "%s: the service may not open ports itself, and [sandbox] "
		    "binder names nobody who does; " REMEDY,
		    shown);
	(void)err_set(e,
	    "%s: the service may not open ports itself, and the binder that "
	    "does cannot be asked at %.120s (%s); " REMEDY,
	    shown, b->path, strerror(cause));
	e->code = cause;
	return -1;
}

/* Whoever listens there is root, as systemd is, or whoever we are. */
static bool
is_trusted(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static int
connect_to(struct binder *b)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = strlen(b->path);
	int fd;

	errno = ENOENT;
	if (len == 0 || len >= sizeof(sa.sun_path))
		return -1;
	memcpy(sa.sun_path, b->path, len);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
		fd_close(&fd);
		return -1;
	}
	if (!is_trusted(fd)) {
		fd_close(&fd);
		errno = EPERM;
		return -1;
	}
	b->buffer = malloc(IPC_RECORD_MAX);
	if (b->buffer == NULL) {
		fd_close(&fd);
		return -1;
	}
	b->channel = (struct ipc_channel){fd, IPC_MONITOR, IPC_BINDER};
	return 0;
}

void
binder_close(struct binder *b)
{
	fd_close(&b->channel.fd);
	free(b->buffer);
	b->buffer = NULL;
}

/* --- a question -------------------------------------------------------- */

static int
ask(struct binder *b, const struct endpoint *at, bool share)
{
	struct ipc_port_open body = {
	    .port = at->port, .scope = at->scope, .share = share};
	uint8_t bytes[64];
	struct writer w = writer_of(bytes, sizeof(bytes));

	memcpy(body.ip, at->addr.ip, sizeof(body.ip));
	if (ipc_encode(&w, IPC_PORT_OPEN, &body) != 0 ||
	    ipc_send_record(&b->channel, writer_span(&w), -1) != IPC_OK) {
		errno = EPIPE;
		return -1;
	}
	return 0;
}

static enum ipc_result
wait_for_answer(struct binder *b, struct ipc_received *in)
{
	uint64_t until = clock_mono_ms() + ANSWER_WAIT_MS;
	enum ipc_result got;

	while ((got = ipc_receive(&b->channel, b->buffer, in)) == IPC_AGAIN)
		if (clock_mono_ms() >= until ||
		    !fd_wait(b->channel.fd, POLLIN, until))
			break;
	return got;
}

static bool
is_what_was_asked(int fd, const struct endpoint *at)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa), int_len = sizeof(int);
	struct endpoint got;
	int type = 0;

	return getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
	       endpoint_from_sockaddr(&sa, &got) == 0 &&
	       addr_equal(&got.addr, &at->addr) && got.port == at->port &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_len) == 0 &&
	       type == SOCK_STREAM;
}

/* Nothing that it says later is of use: the next question has a new one. */
static enum binder_result
broken(struct binder *b, const struct endpoint *at, const char *what,
    struct err *e)
{
	char shown[ENDPOINT_TEXT_SIZE];

	endpoint_format(at, shown);
	binder_close(b);
	(void)err_set(e,
	    "%s: the binder at %.120s %s; `journalctl -u "
	    "'postal-tracker-binder@*'` has its side",
	    shown, b->path, what);
	e->code = EPROTO;
	return BINDER_AWAY;
}

enum binder_result
binder_open_port(struct binder *b, const struct endpoint *at, bool share,
    int *fd, int *cause, struct err *e)
{
	struct ipc_received in;

	if ((b->channel.fd < 0 && connect_to(b) != 0) ||
	    ask(b, at, share) != 0) {
		(void)away(b, at, e);
		return BINDER_AWAY;
	}
	switch (wait_for_answer(b, &in)) {
	case IPC_OK:
		break;
	case IPC_AGAIN:
		return broken(b, at, "does not answer", e);
	case IPC_CLOSED:
		return broken(b, at, "ended without an answer", e);
	default:
		return broken(b, at, "broke the rules", e);
	}
	if (in.message->type == IPC_PORT_REFUSED) {
		*cause = (int)in.body.port_refused.error;
		return BINDER_REFUSED;
	}
	if (!is_what_was_asked(in.fd, at)) {
		fd_close(&in.fd);
		return broken(b, at, "gave a socket of another address", e);
	}
	*fd = in.fd;
	return BINDER_OPENED;
}
