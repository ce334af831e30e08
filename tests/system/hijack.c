/*
 * hijack.c - a role of the real binary, with a test in the monitor's place
 *
 * Linked with peer.c, keeper_peer.c and web_peer.c.
 */
#include "hijack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/fd.h"

#define WAIT_MS 10000

static uint8_t buffer[IPC_RECORD_MAX], scratch[IPC_RECORD_MAX];

_Noreturn void
stop_with(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(1);
}

/* --- messages ---------------------------------------------------------- */

enum ipc_result
receive(const struct ipc_channel *c, struct ipc_received *in)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};

	if (poll(&p, 1, WAIT_MS) != 1)
		stop_with("the role does not answer");
	return ipc_receive(c, buffer, in);
}

struct ipc_received
expect(const struct ipc_channel *c, enum ipc_type type)
{
	struct ipc_received in;

	do
		if (receive(c, &in) != IPC_OK)
			stop_with("a channel was closed");
	while (in.message->type != type);
	return in;
}

void
expect_accusation(const struct ipc_channel *monitor, unsigned int reason)
{
	struct ipc_received in = expect(monitor, IPC_REPLACE);

	if (in.body.replace.instance != BAD)
		stop_with("the wrong worker was accused");
	if (in.body.replace.reason == reason)
		return;
	(void)fprintf(stderr, "reason %u\n", in.body.replace.reason);
	stop_with("the wrong reason was given");
}

void
send_message(
    const struct ipc_channel *c, enum ipc_type type, const void *body, int fd)
{
	if (ipc_send(c, scratch, type, body, fd) != IPC_OK)
		stop_with("cannot send");
}

void
send_bytes(const struct ipc_channel *c, const void *bytes, size_t len)
{
	if (ipc_send_record(c, (struct span){bytes, len}, -1) != IPC_OK)
		stop_with("cannot send");
}

/* --- the role ---------------------------------------------------------- */

void
start_role(const char *tracker, const struct spawn *spawn, pid_t *pid,
    struct ipc_channel *monitor)
{
	int self = open(tracker, O_PATH | O_CLOEXEC);
	struct err e;

	if (self < 0)
		stop_with("cannot open the binary");
	if (spawn_role(self, spawn, pid, monitor, &e) != 0)
		stop_with(e.text);
	fd_close(&self);
	(void)expect(monitor, IPC_READY);
}

void
stop_role(pid_t pid, const struct ipc_channel *monitor)
{
	struct ipc_stop stop = {.within_ms = 0};
	int status = 0;

	send_message(monitor, IPC_STOP, &stop, -1);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		stop_with("the role did not end well");
}

struct ipc_channel
offer_channel(
    const struct ipc_channel *monitor, unsigned int role, uint64_t instance)
{
	struct ipc_channel_offer body = {(uint8_t)role, 0, instance};
	struct err e;
	int pair[2];

	if (fd_seqpacket_pair(pair, &e) != 0)
		stop_with(e.text);
	send_message(monitor, IPC_CHANNEL, &body, pair[1]);
	fd_close(&pair[1]);
	return (struct ipc_channel){pair[0], role, monitor->peer};
}
