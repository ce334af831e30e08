/*
 * main.c - the binder: opens ports for a monitor that may not
 *
 * The service with the web workers has no network of its own, so that nothing
 * that runs there can reach anything. Its monitor asks here, over a connection
 * of its own, and gets a socket that has an address and does nothing yet. It
 * is the only thing that this process can do: it opens no file, connects to
 * nobody, accepts nobody, and reads nothing but the addresses that root asks
 * for.
 */
#include "binder/binder.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "ipc/channel.h"
#include "monitor/listen.h"
#include "role/jail.h"

#define SILENCE_S 10
/* stdin, stdout, stderr, a copy of the log's, and the socket. */
#define DESCRIPTORS 16

static void
report_refused_call(int call)
{
	role_refused_call("binder", call);
}

/* Who asks is the kernel's word: root, or, for a daemon that is not root,
 * whoever started this. */
static int
check_asker(struct err *e)
{
	struct ucred who;
	int domain = 0, type = 0;
	socklen_t len = sizeof(who), int_len = sizeof(int);

	if (getsockopt(
		STDIN_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &int_len) != 0 ||
	    getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &int_len) !=
		0 ||
	    domain != AF_UNIX || type != SOCK_SEQPACKET)
		return err_set(e, "standard input is no connection; this is "
				  "started by systemd, through "
				  "postal-tracker-binder.socket");
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return err_errno(e, "cannot see who asks");
	if (who.uid != 0 && who.uid != geteuid()) {
		(void)err_set(e,
		    "uid %d asks for a port; only root may, as the daemon is",
		    (int)who.uid);
		e->code = EPERM;
		return -1;
	}
	return 0;
}

/* A blocking read that ends by itself. */
static int
limit_silence(struct err *e)
{
	const struct timeval most = {.tv_sec = SILENCE_S};

	if (setsockopt(STDIN_FILENO, SOL_SOCKET, SO_RCVTIMEO, &most,
		sizeof(most)) != 0 ||
	    setsockopt(STDIN_FILENO, SOL_SOCKET, SO_SNDTIMEO, &most,
		sizeof(most)) != 0)
		return err_errno(e, "cannot limit the wait for a question");
	return 0;
}

static int
give_up_rights(struct err *e)
{
	const struct sandbox_files none = {.binds = true};
	const struct role_jail jail = {.policy = "binder",
	    .action = SANDBOX_TRAP,
	    .refused = report_refused_call,
	    .root_fd = -1,
	    .files = &none,
	    .capabilities = UINT64_C(1) << CAP_NET_BIND_SERVICE,
	    .descriptors = DESCRIPTORS};

	if (geteuid() == 0) {
		(void)err_set(e, "this does not run as root; systemd starts it "
				 "as the user of its unit");
		e->code = EPERM;
		return -1;
	}
	return role_enter_jail(&jail, e) < 0 ? -1 : 0;
}

/* --- a question -------------------------------------------------------- */

static enum ipc_result
answer(const struct ipc_channel *c, const struct ipc_port_open *asked)
{
	struct endpoint at = {.port = asked->port, .scope = asked->scope};
	struct ipc_port_refused refused = {0};
	char shown[ENDPOINT_TEXT_SIZE];
	uint8_t bytes[16];
	struct writer w = writer_of(bytes, sizeof(bytes));
	enum ipc_result sent;
	int fd = -1;

	memcpy(at.addr.ip, asked->ip, sizeof(at.addr.ip));
	endpoint_format(&at, shown);
	if (listener_socket(&at, asked->share != 0, &fd) == 0) {
		log_info("open address=%s", shown);
		(void)ipc_encode(&w, IPC_PORT_OPENED, NULL);
	} else {
		refused.error = (uint32_t)errno;
		log_info(
		    "refuse address=%s error=\"%s\"", shown, strerror(errno));
		(void)ipc_encode(&w, IPC_PORT_REFUSED, &refused);
	}
	sent = ipc_send_record(c, writer_span(&w), fd);
	fd_close(&fd);
	return sent;
}

static int
serve(const struct ipc_channel *c, uint8_t *buffer)
{
	struct ipc_received in;
	enum ipc_result got;

	while ((got = ipc_receive(c, buffer, &in)) == IPC_OK)
		if (answer(c, &in.body.port_open) != IPC_OK)
			return EX_IOERR;
	if (got == IPC_BREACH)
		log_err("stop reason=\"the monitor sent %s\"; is the running "
			"daemon of another version? restart it",
		    ipc_breach_text(in.breach));
	return got == IPC_BREACH ? EX_PROTOCOL : EX_OK;
}

int
binder_run(void)
{
	const struct ipc_channel c = {STDIN_FILENO, IPC_BINDER, IPC_MONITOR};
	uint8_t *buffer = malloc(IPC_RECORD_MAX);
	struct err e = {0};
	int exit_code;

	log_open("binder", LOG_LEVEL_INFO);
	if (buffer == NULL) {
		log_err("not started: no memory");
		return EX_OSERR;
	}
	/* The texts of errors are translated once, from files. */
	(void)strerror(EADDRINUSE);
	if (check_asker(&e) != 0 || limit_silence(&e) != 0 ||
	    fd_close_from(STDERR_FILENO + 1) != 0 || give_up_rights(&e) != 0) {
		log_err("not started: %s", e.text);
		free(buffer);
		return e.code == EPERM ? EX_NOPERM : EX_UNAVAILABLE;
	}
	exit_code = serve(&c, buffer);
	free(buffer);
	return exit_code;
}
