/*
 * ask.c - a question to the store, over [spool] socket
 *
 * When no daemon runs, a store is started for the time of the command: the
 * same role behind the same sandbox, asked with the same messages, so that
 * there is one way to read and write a spool.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "cli/internal.h"
#include "monitor/place.h"
#include "monitor/settings.h"
#include "monitor/spawn.h"

#define ANSWER_WITHIN_MS 10000
#define END_WITHIN_MS 5000

int
ask_receive(const struct ipc_channel *c, uint8_t *buffer, uint64_t *waited_ms,
    struct ipc_received *in, struct err *e)
{
	const char *who = ipc_role_name((enum ipc_role)c->peer);
	uint64_t left = ASK_WITHIN_MS - *waited_ms, begun = clock_mono_ms();
	enum ipc_result got = IPC_AGAIN;

	if (left > ANSWER_WITHIN_MS)
		left = ANSWER_WITHIN_MS;
	while (got == IPC_AGAIN && fd_wait(c->fd, POLLIN, begun + left))
		got = ipc_receive(c, buffer, in);
	*waited_ms += clock_mono_ms() - begun;
	if (*waited_ms >= ASK_WITHIN_MS) {
		*waited_ms = ASK_WITHIN_MS;
		if (got == IPC_OK)
			fd_close(&in->fd);
		return err_set(e,
		    "the %s takes too long; all its answers together had "
		    "%u s, see its log",
		    who, (unsigned int)(ASK_WITHIN_MS / 1000));
	}
	if (got == IPC_AGAIN)
		return err_set(e, "the %s does not answer; see its log", who);
	if (got == IPC_CLOSED)
		return err_set(e, "the %s closed the connection", who);
	if (got == IPC_BREACH)
		return err_set(e,
		    "the %s sent %s; are the daemon and this command of "
		    "the same version?",
		    who, ipc_breach_text(in->breach));
	return 0;
}

void
ask_give_back(uint64_t *waited_ms, uint64_t ms)
{
	*waited_ms -= ms < *waited_ms ? ms : *waited_ms;
}

/* The store's words, for a terminal; who asks is root, and the stronger side. */
static int
take_refusal(struct span reason, struct err *e)
{
	uint8_t text[ERR_TEXT_SIZE];
	struct writer w = writer_of(text, sizeof(text));

	while (reason.len > 0 && !w.full) {
		struct span c = utf8_take(&reason);

		if (utf8_is_control(c))
			writer_u8(&w, '?');
		else
			writer_bytes(&w, c);
	}
	return err_set(e, "%.*s", (int)w.len, (const char *)text);
}

int
ask(struct ask *a, enum ipc_type type, const void *body, enum ipc_type wanted,
    struct ipc_received *answer, struct err *e)
{
	/* A store that closed on us may have said why: the reason waits. */
	(void)ipc_send(&a->channel, a->scratch, type, body, -1);
	if (ask_receive(&a->channel, a->buffer, &a->waited_ms, answer, e) != 0)
		return -1;
	if (answer->message->type == IPC_REFUSAL)
		return take_refusal(answer->body.refusal.reason, e);
	if (answer->message->type != wanted)
		return err_set(e, "the store sent another answer");
	return 0;
}

static void
say_hello(struct ask *a)
{
	struct ipc_hello hello = {IPC_VERSION, IPC_TOOL};

	(void)ipc_send(&a->channel, a->scratch, IPC_HELLO, &hello, -1);
}

/* --- the daemon's store ------------------------------------------------ */

static int
connect_to_daemon(struct ask *a, const struct config *c)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    span_to_text(span_of(c->spool.socket), sa.sun_path,
		sizeof(sa.sun_path)) != 0 ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		fd_close(&fd);
		return -1;
	}
	a->channel = (struct ipc_channel){fd, IPC_TOOL, IPC_STORE};
	return 0;
}

pid_t
ask_daemon(const struct config *c)
{
	struct ask a = {.channel = {.fd = -1}};
	struct ucred who = {.pid = 0};
	socklen_t len = sizeof(who);

	/* The kernel notes who calls listen(2). */
	if (connect_to_daemon(&a, c) != 0 ||
	    getsockopt(a.channel.fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		who.pid = 0;
	fd_close(&a.channel.fd);
	return who.pid;
}

/* --- a store of our own ------------------------------------------------ */

static int
start_role(
    struct ask *a, const struct config *c, const struct users *u, struct err *e)
{
	struct ipc_store_settings settings = settings_for_store(c, u);
	struct spawn s = {.role = IPC_STORE,
	    .params = {.flags = geteuid() == 0 ? IPC_PARAM_ROOT : 0,
		.log_level = 4,
		.uid = u->store.uid,
		.gid = u->store.gid},
	    .settings_type = IPC_STORE_SETTINGS,
	    .settings = &settings,
	    .fds = &a->spool_fd,
	    .n_fds = 1};
	int self_fd = spawn_open_self(e);
	int failed = -1;

	if (self_fd >= 0)
		failed = spawn_role(self_fd, &s, &a->store, &a->monitor, e);
	fd_close(&self_fd);
	return failed;
}

static int
hand_over_channel(struct ask *a, struct err *e)
{
	struct ipc_channel_offer offer = {IPC_TOOL, 0, 1};
	int pair[2];
	enum ipc_result sent;

	if (fd_seqpacket_pair(pair, e) != 0)
		return -1;
	sent = ipc_send(&a->monitor, a->scratch, IPC_CHANNEL, &offer, pair[1]);
	fd_close(&pair[1]);
	a->channel = (struct ipc_channel){pair[0], IPC_TOOL, IPC_STORE};
	return sent == IPC_OK ? 0 : err_set(e, "the store did not start");
}

static int
start_store(struct ask *a, const struct config *c, struct err *e)
{
	struct ipc_received in = {.message = NULL};
	struct users users;

	if (users_find(c, &users, e) != 0 ||
	    place_open_spool(
		c->spool.directory, &users.store, &a->spool_fd, e) != 0 ||
	    start_role(a, c, &users, e) != 0 || hand_over_channel(a, e) != 0 ||
	    ask_receive(&a->monitor, a->buffer, &a->waited_ms, &in, e) != 0)
		return -1;
	if (in.message == NULL || in.message->type != IPC_READY)
		return err_set(e, "the store could not start; see above");
	return 0;
}

int
ask_open(struct ask *a, const struct config *c, bool start, struct err *e)
{
	*a = (struct ask){
	    .channel = {.fd = -1}, .monitor = {.fd = -1}, .spool_fd = -1};
	a->buffer = malloc(IPC_RECORD_MAX);
	a->scratch = malloc(IPC_RECORD_MAX);
	if (a->buffer == NULL || a->scratch == NULL)
		return err_errno(e, "no memory");
	if (connect_to_daemon(a, c) != 0) {
		if (errno != ENOENT && errno != ECONNREFUSED)
			return err_errno(
			    e, "[spool] socket %s", c->spool.socket);
		if (!start)
			return err_set(e,
			    "no daemon listens on %s; is it running, and is "
			    "this its tracker.conf?",
			    c->spool.socket);
		if (start_store(a, c, e) != 0)
			return -1;
	}
	say_hello(a);
	return 0;
}

void
ask_end_role(struct ipc_channel *monitor, uint8_t *scratch, pid_t *pid)
{
	struct ipc_stop stop = {.within_ms = END_WITHIN_MS};
	uint64_t until = clock_mono_ms() + END_WITHIN_MS;
	pid_t ended = 0;

	(void)ipc_send(monitor, scratch, IPC_STOP, &stop, -1);
	while (ended == 0 && clock_mono_ms() < until) {
		ended = waitpid(*pid, NULL, WNOHANG);
		if (ended == 0)
			(void)usleep(1000);
	}
	if (ended == 0) {
		(void)kill(*pid, SIGKILL);
		(void)waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

uint64_t
ask_counter(const struct ipc_list *counters, enum counter wanted)
{
	struct cursor c = cursor_of(counters->records);
	struct ipc_counter_row row;

	for (size_t i = 0; i < counters->count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		if (row.counter == wanted)
			return row.value;
	}
	return 0;
}

void
ask_close(struct ask *a)
{
	fd_close(&a->channel.fd);
	if (a->store > 0)
		ask_end_role(&a->monitor, a->scratch, &a->store);
	fd_close(&a->monitor.fd);
	fd_close(&a->spool_fd);
	free(a->buffer);
	free(a->scratch);
	a->buffer = a->scratch = NULL;
}
