/*
 * child.c - the life of one role: start, watch, name its death, start again
 *
 * Runs in the monitor. A role is restarted alone: at once the first time,
 * then after 100 ms, doubling up to 5 s, until it has lived for 10 s.
 */
#include "monitor/internal.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "sandbox/sandbox.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
#define BACKOFF_RESET_MS 10000
/* Longer than any start; a role that hangs in it is killed and tried again. */
#define START_WITHIN_MS 10000
/* Of one role, before the next one's turn: one that never stops sending must
 * not keep us from signals and from the others. */
#define MESSAGES_A_ROUND 16
/* More than fit into a channel. */
#define LAST_WORDS_MOST 1024

struct child *
child_new(struct monitor *m, enum ipc_role role, uint16_t index)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];

		if (c->state != CHILD_FREE)
			continue;
		*c = (struct child){.monitor = m,
		    .watch = {.fd = -1},
		    .channel = {.fd = -1},
		    .state = CHILD_WAITING,
		    .role = role,
		    .index = index,
		    .generation = m->generation,
		    .refused_call = -1};
		return c;
	}
	return NULL;
}

static void
close_channel(struct child *c)
{
	(void)loop_remove(&c->monitor->loop, &c->watch);
	fd_close(&c->channel.fd);
}

void
child_send(struct child *c, enum ipc_type type, const void *body, int fd)
{
	/* A role that does not read this is as good as dead. */
	if (ipc_send(&c->channel, c->monitor->scratch, type, body, fd) !=
		IPC_OK &&
	    c->state != CHILD_STOPPING)
		child_kill(c);
}

/* --- what roles say ---------------------------------------------------- */

static void
on_ready(struct child *c, const union ipc_body *body)
{
	if (c->state != CHILD_STARTING)
		return;
	c->state = CHILD_READY;
	c->kill_at_ms = 0;
	log_info("ready role=%s[%u] pid=%d", ipc_role_name(c->role), c->index,
	    (int)c->pid);
	monitor_child_ready(c, body->ready.degraded != 0);
}

static void
on_refused_call(struct child *c, const union ipc_body *body)
{
	c->refused_call = (int)body->refused_call.number;
}

static void
on_replace(struct child *accuser, const union ipc_body *body)
{
	struct monitor *m = accuser->monitor;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];

		if (c->pid == 0 || (c->role & RENEWED_ROLES) == 0 ||
		    c->instance != body->replace.instance)
			continue;
		log_err("replace role=%s[%u] pid=%d reason=\"it sent the %s "
			"%s\"",
		    ipc_role_name(c->role), c->index, (int)c->pid,
		    ipc_role_name(accuser->role),
		    ipc_breach_text(body->replace.reason));
		child_kill(c);
	}
}

static const struct {
	enum ipc_type type;
	void (*handle)(struct child *c, const union ipc_body *body);
} handlers[] = {
    {IPC_READY, on_ready},
    {IPC_REFUSED_CALL, on_refused_call},
    {IPC_REPLACE, on_replace},
    {IPC_PAIR_RESULT, pairs_result},
    {IPC_PONG, watchdog_answered},
};

static void
handle(struct child *c, const struct ipc_received *in)
{
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++)
		if (handlers[i].type == in->message->type)
			handlers[i].handle(c, &in->body);
}

static void
take_messages(struct child *c, int most)
{
	struct ipc_received in;
	enum ipc_result got = IPC_AGAIN;

	for (int i = 0; i < most; i++) {
		got = ipc_receive(&c->channel, c->monitor->scratch, &in);
		if (got != IPC_OK)
			break;
		handle(c, &in);
		if (c->watch.fd < 0)
			return;
	}
	if (got == IPC_AGAIN || got == IPC_OK)
		return;
	if (got == IPC_BREACH) {
		log_err("replace role=%s[%u] pid=%d reason=\"it sent the "
			"monitor %s\"",
		    ipc_role_name(c->role), c->index, (int)c->pid,
		    ipc_breach_text(in.breach));
		child_kill(c);
		return;
	}
	/* Closed: it is ending; SIGCHLD tells how. */
	close_channel(c);
}

static void
on_channel(struct loop_watch *w, uint32_t events)
{
	struct child *c = (struct child *)w;

	if ((events & EPOLLOUT) != 0)
		pairs_child_writable(c);
	if (w->fd >= 0)
		take_messages(c, MESSAGES_A_ROUND);
}

bool
child_is_running(const struct child *c)
{
	return c->state == CHILD_STARTING || c->state == CHILD_READY;
}

bool
child_is_old(const struct child *c)
{
	return (c->role & RENEWED_ROLES) != 0 &&
	       c->generation != c->monitor->generation;
}

bool
child_is_worker(const struct child *c)
{
	return c->role == IPC_WEB && child_is_running(c);
}

/* --- start ------------------------------------------------------------- */

static void
wait_for_restart(struct child *c)
{
	uint64_t now = clock_mono_ms();

	if (c->started_ms != 0 && now - c->started_ms >= BACKOFF_RESET_MS)
		c->backoff_ms = 0;
	c->state = CHILD_WAITING;
	c->restart_at_ms = now + c->backoff_ms;
	c->backoff_ms =
	    c->backoff_ms == 0 ? BACKOFF_FIRST_MS : c->backoff_ms * 2;
	if (c->backoff_ms > BACKOFF_MOST_MS)
		c->backoff_ms = BACKOFF_MOST_MS;
	loop_wake_at(&c->monitor->loop, c->restart_at_ms);
}

void
child_start(struct child *c)
{
	struct monitor *m = c->monitor;
	struct err e;
	int failed = child_spawn(c, &e);

	c->starts++;
	c->since_us = clock_wall_us();
	c->started_ms = clock_mono_ms();
	if (failed) {
		c->pid = 0;
		log_err("start role=%s[%u] error=\"%s\"",
		    ipc_role_name(c->role), c->index, e.text);
		wait_for_restart(c);
		return;
	}
	if (getrandom(&c->instance, sizeof(c->instance), 0) !=
	    sizeof(c->instance))
		c->instance = (uint64_t)clock_wall_us();
	c->state = CHILD_STARTING;
	c->buried = false;
	c->refused_call = -1;
	c->pinged_ms = 0;
	c->kill_at_ms = c->started_ms + START_WITHIN_MS;
	loop_wake_at(&m->loop, c->kill_at_ms);
	c->watch = (struct loop_watch){c->channel.fd, on_channel};
	if (loop_add(&m->loop, &c->watch, EPOLLIN) != 0) {
		child_kill(c);
		return;
	}
	log_debug("started role=%s[%u] pid=%d", ipc_role_name(c->role),
	    c->index, (int)c->pid);
	connect_started(c);
	pairs_child_started(c);
}

/* --- end --------------------------------------------------------------- */

/* Those of its listeners that the monitor does not have any more. */
static uint64_t
listens_alone(const struct child *c)
{
	uint64_t alone = 0;

	for (size_t i = 0; i < c->n_listens; i++)
		if (!listeners_have(&c->monitor->listeners, &c->listens[i]))
			alone |= UINT64_C(1) << i;
	return alone;
}

void
child_stop(struct child *c, uint64_t grace_ms)
{
	/* The rest is for its end: what it cannot finish it says itself. */
	struct ipc_stop body = {
	    (uint32_t)(grace_ms - grace_ms / 8), listens_alone(c)};
	uint64_t until = clock_mono_ms() + grace_ms;
	/* A worker of before a reload had as long as its visitors may take. */
	bool hurry = c->state == CHILD_STOPPING && c->kill_at_ms > until;

	if (c->state == CHILD_WAITING)
		c->state = CHILD_FREE;
	if (!child_is_running(c) && !hurry)
		return;
	c->state = CHILD_STOPPING;
	c->kill_at_ms = until;
	loop_wake_at(&c->monitor->loop, c->kill_at_ms);
	/* Others have nothing that could end sooner. */
	if (!hurry || c->role == IPC_WEB)
		child_send(c, IPC_STOP, &body, -1);
}

void
child_replace(struct child *c, uint64_t grace_ms)
{
	/* One that does not run gets what is new when it starts. */
	if (!child_is_running(c))
		return;
	c->again = true;
	child_stop(c, grace_ms);
}

void
child_kill(struct child *c)
{
	/* Once it was waited for, its number may be another process's. */
	if (c->pid > 0 && !c->buried)
		(void)kill(c->pid, SIGKILL);
	close_channel(c);
}

/* "signal 9 (Killed)", "refused system call 41 (socket)", "exit status 70" */
static void
describe_end(const struct child *c, int status, char *text, size_t size)
{
	char call[64];

	if (c->refused_call >= 0)
		(void)snprintf(text, size, "refused system call %d (%s)",
		    c->refused_call,
		    sandbox_call_name(c->refused_call, call, sizeof(call)));
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		(void)snprintf(text, size,
		    "signal 31 (refused system call; the kernel's audit log "
		    "names it, so does [sandbox] action = trap)");
	else if (WIFSIGNALED(status))
		(void)snprintf(text, size, "signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		(void)snprintf(
		    text, size, "exit status %d", WEXITSTATUS(status));
}

/* What is still in the channel may say why it died. */
static void
read_last_words(struct child *c)
{
	if (c->watch.fd >= 0)
		take_messages(c, LAST_WORDS_MOST);
}

static void
bury(struct child *c, int status)
{
	bool wanted = c->state == CHILD_STOPPING;
	bool again = c->again && c->monitor->phase == PHASE_SERVING;
	char cause[160];

	c->buried = true;
	read_last_words(c);
	close_channel(c);
	describe_end(c, status, cause, sizeof(cause));
	if (wanted && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		log_debug("ended role=%s[%u] pid=%d", ipc_role_name(c->role),
		    c->index, (int)c->pid);
	else
		log_err("died role=%s[%u] pid=%d cause=\"%s\"",
		    ipc_role_name(c->role), c->index, (int)c->pid, cause);
	pairs_child_ended(c);
	c->pid = 0;
	c->instance = 0;
	c->kill_at_ms = 0;
	if (again)
		c->backoff_ms = 0;
	c->again = false;
	/* Those that take the place of one of before a reload are on their
	 * way; with the new settings it would be a stranger among them. */
	if ((wanted || child_is_old(c)) && !again)
		c->state = CHILD_FREE;
	else
		wait_for_restart(c);
	monitor_child_gone(c, wanted);
}

bool
child_ended(struct monitor *m, pid_t pid, int status)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		if (m->children[i].pid != pid)
			continue;
		bury(&m->children[i], status);
		return true;
	}
	return false;
}

uint64_t
children_due(struct monitor *m)
{
	uint64_t now = clock_mono_ms(), next = 0;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];

		if (c->state == CHILD_WAITING && now >= c->restart_at_ms)
			child_start(c);
		if (c->kill_at_ms != 0 && now >= c->kill_at_ms) {
			log_err("kill role=%s[%u] pid=%d reason=\"it does not "
				"%s\"",
			    ipc_role_name(c->role), c->index, (int)c->pid,
			    c->state == CHILD_STOPPING ? "end" : "get ready");
			c->kill_at_ms = 0;
			child_kill(c);
		}
		if (c->state == CHILD_WAITING)
			next = clock_earlier(next, c->restart_at_ms);
		next = clock_earlier(next, c->kill_at_ms);
	}
	return next;
}

size_t
children_count(const struct monitor *m, unsigned int roles,
    enum child_state least, enum child_state most)
{
	size_t n = 0;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		const struct child *c = &m->children[i];

		if (c->state >= least && c->state <= most &&
		    (roles == 0 || (c->role & roles) != 0))
			n++;
	}
	return n;
}
