/*
 * row_sender.c - the forwarder's side of the socket for certificates and keys
 *
 * Runs in the forwarder. The monitor is the stronger side: what it says wrong
 * ends the connection.
 */
#include "forward/row_sender.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "monitor/handover.h"

/* The monitor never waits for anything. */
#define ANSWER_WITHIN_MS 10000

int
row_sender_init(struct row_sender *h, struct err *e)
{
	h->channel = (struct ipc_channel){-1, IPC_FORWARDER, IPC_MONITOR};
	h->buffer = malloc(IPC_RECORD_MAX);
	return h->buffer == NULL ? err_errno(e, "no memory") : 0;
}

void
row_sender_drop(struct row_sender *h)
{
	fd_close(&h->channel.fd);
}

void
row_sender_clear(struct row_sender *h)
{
	row_sender_drop(h);
	free(h->buffer);
	h->buffer = NULL;
}

/* --- connecting -------------------------------------------------------- */

/* The store's user is none to give keys to. */
static int
check_peer(int fd, const char *path, struct err *e)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return err_errno(e, "%s", path);
	if (who.uid != 0 && who.uid != geteuid())
		return err_set(e,
		    "%s was made by uid %d, which is not root: it gets no keys",
		    path, (int)who.uid);
	return 0;
}

static int
connect_to(struct row_sender *h, const char *store_socket, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char path[HANDOVER_PATH_SIZE];
	int fd;

	if (handover_path(store_socket, path, e) != 0 ||
	    span_to_text(span_of(path), sa.sun_path, sizeof(sa.sun_path)) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		(void)err_errno(e, "certificates for the daemon: %s", path);
		fd_close(&fd);
		return -1;
	}
	if (check_peer(fd, path, e) != 0) {
		fd_close(&fd);
		return -1;
	}
	h->channel.fd = fd;
	return 0;
}

int
row_sender_is_up(
    struct row_sender *h, const char *store_socket, bool *again, struct err *e)
{
	struct pollfd p = {.fd = h->channel.fd, .events = POLLIN};

	*again = false;
	/* Nothing comes unasked but its end. */
	if (h->channel.fd >= 0 && poll(&p, 1, 0) > 0)
		row_sender_drop(h);
	if (h->channel.fd >= 0)
		return 0;
	*again = true;
	return connect_to(h, store_socket, e);
}

/* --- asking ------------------------------------------------------------ */

static int
wait_for(struct row_sender *h, short events, uint64_t until_ms, struct err *e)
{
	if (fd_wait(h->channel.fd, events, until_ms))
		return 0;
	row_sender_drop(h);
	return err_set(e, "the monitor does not take certificates");
}

static int
send_one(struct row_sender *h, enum ipc_type type, const void *body, int fd,
    struct err *e)
{
	uint64_t until = clock_mono_ms() + ANSWER_WITHIN_MS;
	enum ipc_result sent;

	while ((sent = ipc_send(&h->channel, h->buffer, type, body, fd)) ==
	       IPC_AGAIN)
		if (wait_for(h, POLLOUT, until, e) != 0)
			return -1;
	if (sent == IPC_OK)
		return 0;
	row_sender_drop(h);
	return err_set(e, "the monitor parted from us; see its log");
}

static int
receive(struct row_sender *h, enum ipc_type wanted, struct ipc_received *in,
    struct err *e)
{
	uint64_t until = clock_mono_ms() + ANSWER_WITHIN_MS;
	enum ipc_result got;

	while ((got = ipc_receive(&h->channel, h->buffer, in)) == IPC_AGAIN)
		if (wait_for(h, POLLIN, until, e) != 0)
			return -1;
	if (got == IPC_OK && in->message->type == wanted)
		return 0;
	row_sender_drop(h);
	if (got == IPC_CLOSED)
		return err_set(e, "the monitor parted from us; see its log");
	return err_set(e, "the monitor sent something else than an answer; are "
			  "daemon and forwarder of the same version?");
}

int
row_sender_name(struct row_sender *h, const struct ipc_certificate_rows *rows,
    struct ipc_list *wanted, struct err *e)
{
	struct ipc_received answer;

	if (send_one(h, IPC_CERTIFICATE_ROWS, rows, -1, e) != 0 ||
	    receive(h, IPC_ROWS_WANTED, &answer, e) != 0)
		return -1;
	*wanted = answer.body.rows_wanted.rows;
	return 0;
}

int
row_sender_give(struct row_sender *h, struct span name,
    struct row_content *content, bool *later, struct err *e)
{
	struct ipc_row_chain chain = {.name = name};
	struct ipc_row_key key = {0};
	struct ipc_received answer;
	int failed;

	for (size_t i = 0; i < sizeof(chain.mark); i++)
		chain.mark[i] = content->mark[i];
	failed =
	    send_one(h, IPC_ROW_CHAIN, &chain, content->chain_fd, e) != 0 ||
	    send_one(h, IPC_ROW_KEY, &key, content->key_fd, e) != 0 ||
	    receive(h, IPC_ROW_TAKEN, &answer, e) != 0;
	fd_close(&content->chain_fd);
	fd_close(&content->key_fd);
	if (failed)
		return -1;
	*later = answer.body.row_taken.status == IPC_ROW_LATER;
	return 0;
}
