/*
 * watchdog.c - whether the roles still answer
 *
 * Runs in the monitor when a service manager wants to hear from it
 * (WatchdogSec=). Each role that is ready is asked twice in that time; one that
 * has not answered for all of it is ended and started again alone, while the
 * others serve. The manager hears of us as long as this loop runs and visitors
 * have a worker: a store that cannot live is no reason to restart what still
 * redirects.
 */
#include "monitor/internal.h"

#include "base/log.h"

void
watchdog_answered(struct child *c, const union ipc_body *body)
{
	(void)body;
	c->pinged_ms = 0;
}

static void
ask(struct child *c, uint64_t now)
{
	struct ipc_ping body = {0};
	/* notify.h: half of what the manager allows. */
	uint64_t allowed_ms = 2 * c->monitor->notify.watchdog_ms;

	if (c->pinged_ms == 0) {
		c->pinged_ms = now;
		child_send(c, IPC_PING, &body, -1);
	} else if (now - c->pinged_ms >= allowed_ms) {
		log_err("kill role=%s[%u] pid=%d reason=\"it does not answer\"",
		    ipc_role_name(c->role), c->index, (int)c->pid);
		c->pinged_ms = 0;
		child_kill(c);
	}
}

static bool
visitors_have_a_worker(const struct monitor *m)
{
	return m->phase != PHASE_SERVING ||
	       children_count(m, IPC_WEB, CHILD_READY, CHILD_READY) > 0;
}

uint64_t
watchdog_due(struct monitor *m)
{
	uint64_t now = m->loop.now_ms;

	if (m->notify.watchdog_ms == 0 || now < m->next_watchdog_ms)
		return m->next_watchdog_ms;
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (m->children[i].state == CHILD_READY)
			ask(&m->children[i], now);
	if (visitors_have_a_worker(m))
		notify_send(&m->notify, "WATCHDOG=1");
	m->next_watchdog_ms = now + m->notify.watchdog_ms;
	return m->next_watchdog_ms;
}
