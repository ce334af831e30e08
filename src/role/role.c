/*
 * role.c - how every role begins: what the monitor says of it, its jail, ready
 *
 * Runs in each process that the monitor starts, before it has read a byte
 * from anyone but the monitor.
 */
#include "role/role.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "role/jail.h"
#include "sandbox/sandbox.h"

/* The monitor sends PARAMS before it goes on; longer means it is gone. */
#define PARAMS_WAIT_MS 10000

static void
open_log(const char *argv0)
{
	const char *name = strrchr(argv0, ' ');

	log_open(name != NULL ? name + 1 : argv0, LOG_LEVEL_INFO);
}

/* 0 and 1 become stderr: a stray print is a log line, never an answer. */
static int
close_standard_descriptors(struct err *e)
{
	if (dup2(STDERR_FILENO, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return err_errno(e, "cannot replace stdin and stdout");
	return 0;
}

static int
receive_params(struct role *r, struct err *e)
{
	struct pollfd p = {.fd = ROLE_MONITOR_FD, .events = POLLIN};
	struct ipc_received in;

	if (poll(&p, 1, PARAMS_WAIT_MS) != 1 ||
	    ipc_receive(&r->monitor, r->buffer, &in) != IPC_OK ||
	    in.message->type != IPC_PARAMS)
		return err_set(e, "no PARAMS came from the monitor; roles are "
				  "started by `postal-tracker run`, not by "
				  "hand");
	r->params = in.body.params;
	return 0;
}

int
role_take(struct role *r, enum ipc_role self, const char *argv0,
    enum ipc_type settings_type, struct err *e)
{
	const struct ipc_message *m;

	*r = (struct role){.monitor = {ROLE_MONITOR_FD, self, IPC_MONITOR},
	    .policy = ipc_role_name(self),
	    .parent = getppid()};
	open_log(argv0);
	/* exec by descriptor left a number as the name that ps and top show. */
	(void)prctl(PR_SET_NAME, "postal-tracker");
	/* The C library looks for the time zone once, in a file. */
	tzset();
	r->buffer = malloc(IPC_RECORD_MAX);
	if (r->buffer == NULL)
		return err_errno(e, "no memory for the receive buffer");
	if (close_standard_descriptors(e) != 0 || receive_params(r, e) != 0)
		return -1;
	log_set_level(r->params.log_level);
	r->n_fds = r->params.n_fds - 1;
	if (fd_close_from(ROLE_MONITOR_FD + r->params.n_fds) != 0)
		return err_errno(e, "cannot close inherited descriptors");
	for (int fd = ROLE_MONITOR_FD; fd < ROLE_FIRST_FD + r->n_fds; fd++)
		if (fd_set_cloexec(fd, 1) != 0)
			return err_errno(e, "descriptor %d is missing", fd);
	if (ipc_decode(
		r->params.settings, IPC_MONITOR, self, &m, &r->settings) != 0 ||
	    m->type != settings_type)
		return err_set(e, "PARAMS hold settings of another role");
	return 0;
}

/* Only what is safe in a signal handler. */
static void
report_refused_call(int call)
{
	struct ipc_refused_call body = {(uint32_t)call};
	uint8_t bytes[16];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (ipc_encode(&w, IPC_REFUSED_CALL, &body) == 0 &&
	    write(ROLE_MONITOR_FD, bytes, w.len) < 0)
		_exit(ROLE_EXIT_REFUSED_CALL + 1);
	_exit(ROLE_EXIT_REFUSED_CALL);
}

int
role_restrict(struct role *r, const struct role_needs *needs, struct err *e)
{
	const struct role_jail jail = {.policy = r->policy,
	    .action = (r->params.flags & IPC_PARAM_KILL) != 0 ? SANDBOX_KILL
							      : SANDBOX_TRAP,
	    .refused = report_refused_call,
	    .root = (r->params.flags & IPC_PARAM_ROOT) != 0,
	    .uid = r->params.uid,
	    .gid = r->params.gid,
	    .root_fd = needs->root_fd,
	    .files = needs->files,
	    .parent = r->parent,
	    .descriptors = needs->descriptors,
	    .file_size = needs->file_size};

	return role_enter_jail(&jail, e);
}

int
role_ready(struct role *r, bool degraded, struct err *e)
{
	struct ipc_ready body = {degraded};
	uint8_t bytes[16];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (ipc_encode(&w, IPC_READY, &body) != 0 ||
	    ipc_send_record(&r->monitor, writer_span(&w), -1) != IPC_OK)
		return err_set(e, "cannot tell the monitor that all is ready");
	return 0;
}

void
role_answer(struct role *r)
{
	struct ipc_ping body = {0};
	uint8_t bytes[8];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (ipc_encode(&w, IPC_PONG, &body) == 0)
		(void)ipc_send_record(&r->monitor, writer_span(&w), -1);
}

void
role_fatal(const struct err *e)
{
	log_err("stop reason=\"%s\"", e->text);
	exit(EX_SOFTWARE);
}
