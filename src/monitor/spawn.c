/*
 * spawn.c - starts a role: exec of this same binary, empty environment
 *
 * Runs in the monitor, and in commands that ask a store of their own when no
 * daemon runs.
 */
#include "monitor/spawn.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"

/* Above every descriptor that a role gets, below any sensible limit. */
#define PARKED_FD 200
#define SPAWN_FDS_MAX 128

int
spawn_open_self(struct err *e)
{
	int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	return fd < 0 ? err_errno(e, "cannot open /proc/self/exe") : fd;
}

/* In the child: descriptors to their places, by way of parked duplicates so
 * that none overwrites another. */
static int
place_fds(const int *fds, size_t n)
{
	int parked[SPAWN_FDS_MAX];

	for (size_t i = 0; i < n; i++) {
		parked[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, PARKED_FD);
		if (parked[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(parked[i], 3 + (int)i) < 0)
			return -1;
	return 0;
}

/* Ctrl-C and systemd address the monitor; it tells its roles itself. */
static void
reset_signals(void)
{
	static const int ignored[] = {
	    SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LENGTH(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
become_role(int self_fd, const char *name, const int *fds, size_t n)
{
	char argv0[64];
	char *argv[] = {argv0, NULL};
	char *envp[] = {NULL};
	/* place_fds may overwrite it otherwise. */
	int exe = fcntl(self_fd, F_DUPFD_CLOEXEC, PARKED_FD);

	(void)snprintf(argv0, sizeof(argv0), "postal-tracker: %s", name);
	reset_signals();
	if (exe >= 0 && place_fds(fds, n) == 0)
		(void)fexecve(exe, argv, envp);
	_exit(127);
}

static int
send_params(const struct spawn *s, struct ipc_channel *c, struct err *e)
{
	struct ipc_params params = s->params;
	uint8_t *scratch = malloc((size_t)IPC_RECORD_MAX * 2);
	struct writer w = writer_of(scratch, IPC_RECORD_MAX);
	enum ipc_result sent = IPC_CLOSED;

	if (scratch == NULL)
		return err_errno(e, "no memory to start a role");
	params.n_fds = (uint8_t)(s->n_fds + 1);
	if (ipc_encode(&w, s->settings_type, s->settings) == 0) {
		params.settings = writer_span(&w);
		sent = ipc_send(
		    c, scratch + IPC_RECORD_MAX, IPC_PARAMS, &params, -1);
	}
	free(scratch);
	return sent == IPC_OK ? 0
			      : err_set(e, "cannot send PARAMS to a new role");
}

int
spawn_role(int self_fd, const struct spawn *s, pid_t *pid,
    struct ipc_channel *channel, struct err *e)
{
	char name[32];
	int fds[SPAWN_FDS_MAX];
	int pair[2] = {-1, -1};

	assert(s->n_fds < ARRAY_LENGTH(fds));
	if (fd_seqpacket_pair(pair, e) != 0)
		return -1;
	fds[0] = pair[1];
	for (size_t i = 0; i < s->n_fds; i++)
		fds[i + 1] = s->fds[i];
	(void)snprintf(name, sizeof(name), "%s[%u]", ipc_role_name(s->role),
	    s->params.index);
	*pid = fork();
	if (*pid == 0)
		become_role(self_fd, name, fds, s->n_fds + 1);
	fd_close(&pair[1]);
	if (*pid < 0) {
		fd_close(&pair[0]);
		return err_errno(e, "cannot start %s", name);
	}
	*channel = (struct ipc_channel){pair[0], IPC_MONITOR, s->role};
	if (send_params(s, channel, e) != 0) {
		(void)kill(*pid, SIGKILL);
		(void)waitpid(*pid, NULL, 0);
		fd_close(&channel->fd);
		return -1;
	}
	return 0;
}
