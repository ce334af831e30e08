/*
 * channel.c - a SOCK_SEQPACKET socket that carries the messages of the table
 *
 * Used by every process; needs recvmsg and sendmsg.
 */
#include "ipc/channel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"

/* Room for more descriptors than any message has, to see that they came. */
#define FDS_SEEN_MAX 8

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * FDS_SEEN_MAX)];
};

/* Takes the descriptors out of a control message; those beyond the first are
 * closed. Returns how many came. */
static size_t
take_fds(struct msghdr *mh, int *fd)
{
	size_t n = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL;
	     cm = CMSG_NXTHDR(mh, cm)) {
		size_t here = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < here; i++) {
			int each;

			memcpy(&each, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(each));
			if (n == 0)
				*fd = each;
			else
				fd_close(&each);
			n++;
		}
	}
	return n;
}

static enum ipc_result
breach(struct ipc_received *r, unsigned int why)
{
	fd_close(&r->fd);
	r->breach = why;
	return IPC_BREACH;
}

enum ipc_result
ipc_receive(
    const struct ipc_channel *c, uint8_t *buffer, struct ipc_received *r)
{
	struct iovec part = {buffer, IPC_RECORD_MAX};
	union control control;
	struct msghdr mh = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	unsigned int why;
	size_t n_fds;
	ssize_t n;

	r->message = NULL;
	r->fd = -1;
	r->breach = 0;
	/* A reset comes once, before what the peer said until then. */
	do
		n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return errno == EAGAIN ? IPC_AGAIN : IPC_CLOSED;
	n_fds = take_fds(&mh, &r->fd);
	if (n == 0 && n_fds == 0)
		return IPC_CLOSED;
	if ((mh.msg_flags & MSG_TRUNC) != 0)
		return breach(r, IPC_BREACH_SIZE);
	if ((mh.msg_flags & MSG_CTRUNC) != 0)
		return breach(r, IPC_BREACH_DESCRIPTORS);
	why = (unsigned int)ipc_decode((struct span){buffer, (size_t)n},
	    c->peer, c->self, &r->message, &r->body);
	if (why != 0)
		return breach(r, why);
	if (n_fds != r->message->n_fds)
		return breach(r, IPC_BREACH_DESCRIPTORS);
	return IPC_OK;
}

enum ipc_result
ipc_send_record(const struct ipc_channel *c, struct span record, int fd)
{
	struct iovec part = {NULL, record.len};
	union control control = {.bytes = {0}};
	struct msghdr mh = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	/* sendmsg does not write through its iovec. */
	memcpy(&part.iov_base, &record.p, sizeof(part.iov_base));
	if (fd >= 0) {
		struct cmsghdr *cm = &control.align;

		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int));
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	}
	do
		n = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return IPC_OK;
	return errno == EAGAIN || errno == ENOBUFS ? IPC_AGAIN : IPC_CLOSED;
}

enum ipc_result
ipc_send(const struct ipc_channel *c, uint8_t *scratch, enum ipc_type type,
    const void *body, int fd)
{
	struct writer w = writer_of(scratch, IPC_RECORD_MAX);
	int failed = ipc_encode(&w, type, body);

	assert(failed == 0);
	return ipc_send_record(c, writer_span(&w), fd);
}
