/*
 * match.c - whether a chain and a private key belong together
 *
 * The keeper says so: the same role, asked with the same messages as the
 * daemon's, as ask.c does with the store.
 */
#include "cli/match.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "monitor/place.h"
#include "monitor/settings.h"
#include "monitor/spawn.h"

/* What a pair may take, before it counts as waiting. */
#define A_PAIR_MS 100

static int
start_role(struct match *m, int empty_fd, struct err *e)
{
	struct ipc_keeper_settings settings = {0, 1};
	struct spawn s = {.role = IPC_KEEPER,
	    .params = {.flags = geteuid() == 0 ? IPC_PARAM_ROOT : 0,
		.log_level = LOG_LEVEL_ERR},
	    .settings_type = IPC_KEEPER_SETTINGS,
	    .settings = &settings,
	    .fds = &empty_fd,
	    .n_fds = 1};
	struct users users;
	int self_fd, failed = -1;

	if (users_find(m->config, &users, e) != 0)
		return -1;
	s.params.uid = users.keeper.uid;
	s.params.gid = users.keeper.gid;
	self_fd = spawn_open_self(e);
	if (self_fd >= 0)
		failed = spawn_role(self_fd, &s, &m->keeper, &m->monitor, e);
	fd_close(&self_fd);
	return failed;
}

static int
start(struct match *m, struct err *e)
{
	struct ipc_received in = {.message = NULL};
	int empty_fd = -1, failed;

	if (place_open_empty(m->config->spool.socket, &empty_fd, e) != 0)
		return -1;
	failed = start_role(m, empty_fd, e);
	fd_close(&empty_fd);
	if (failed != 0 ||
	    ask_receive(&m->monitor, m->buffer, &m->waited_ms, &in, e) != 0)
		return -1;
	if (in.message->type != IPC_READY)
		return err_set(e, "the keeper could not start; see above");
	return 0;
}

static void
kill_role(struct match *m)
{
	if (m->keeper > 0) {
		(void)kill(m->keeper, SIGKILL);
		(void)waitpid(m->keeper, NULL, 0);
	}
	m->keeper = 0;
	fd_close(&m->monitor.fd);
}

int
match_open(struct match *m, const struct config *c, struct err *e)
{
	*m = (struct match){.config = c, .monitor = {.fd = -1}};
	m->buffer = malloc(IPC_RECORD_MAX);
	m->scratch = malloc(IPC_RECORD_MAX);
	if (m->buffer == NULL || m->scratch == NULL)
		return err_errno(e, "no memory");
	return start(m, e);
}

void
match_close(struct match *m)
{
	if (m->keeper > 0)
		ask_end_role(&m->monitor, m->scratch, &m->keeper);
	fd_close(&m->monitor.fd);
	free(m->buffer);
	free(m->scratch);
	m->buffer = m->scratch = NULL;
}

bool
match_has_time(const struct match *m)
{
	return m->waited_ms < ASK_WITHIN_MS;
}

/* -1: it did not answer. */
static int
ask_keeper(struct match *m, const char *name, int chain_fd, int key_fd,
    struct ipc_received *in)
{
	struct ipc_pair_chain chain = {++m->last, span_of(name)};
	struct ipc_pair_key key = {m->last};
	struct err e;

	if (ipc_send(&m->monitor, m->scratch, IPC_PAIR_CHAIN, &chain,
		chain_fd) != IPC_OK ||
	    ipc_send(&m->monitor, m->scratch, IPC_PAIR_KEY, &key, key_fd) !=
		IPC_OK ||
	    ask_receive(&m->monitor, m->buffer, &m->waited_ms, in, &e) != 0 ||
	    in->message->type != IPC_PAIR_RESULT)
		return -1;
	return 0;
}

int
match_pair(struct match *m, const char *name, int chain_fd, int key_fd,
    struct ipc_pair_result *result, struct err *e)
{
	struct ipc_received in;

	if (m->monitor.fd < 0 && start(m, e) != 0)
		return -1;
	if (ask_keeper(m, name, chain_fd, key_fd, &in) != 0) {
		kill_role(m);
		return err_set(e, "the keeper dies of it");
	}
	ask_give_back(&m->waited_ms, A_PAIR_MS);
	*result = in.body.pair_result;
	return 0;
}
