/*
 * loop.c - one epoll event loop a process
 *
 * Needs epoll_wait, epoll_ctl and the clock; opened before the jail.
 */
#include "base/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"

#define EVENTS_A_ROUND 256

int
loop_open(struct loop *l, void *owner, struct err *e)
{
	*l = (struct loop){.owner = owner};
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->now_ms = clock_mono_ms();
	return l->epoll_fd < 0 ? err_errno(e, "cannot make an epoll set") : 0;
}

void
loop_close(struct loop *l)
{
	fd_close(&l->epoll_fd);
}

static int
control(struct loop *l, int op, struct loop_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	return epoll_ctl(l->epoll_fd, op, w->fd, &ev);
}

int
loop_add(struct loop *l, struct loop_watch *w, uint32_t events)
{
	return control(l, EPOLL_CTL_ADD, w, events);
}

int
loop_change(struct loop *l, struct loop_watch *w, uint32_t events)
{
	return control(l, EPOLL_CTL_MOD, w, events);
}

int
loop_remove(struct loop *l, struct loop_watch *w)
{
	int fd = w->fd;

	if (fd >= 0)
		(void)control(l, EPOLL_CTL_DEL, w, 0);
	w->fd = -1;
	return fd;
}

void
loop_wake_at(struct loop *l, uint64_t when_ms)
{
	if (l->due_ms == 0 || when_ms < l->due_ms)
		l->due_ms = when_ms;
}

static int
timeout_ms(const struct loop *l)
{
	uint64_t now_ms;

	if (l->poll_once)
		return 0;
	if (l->due_ms == 0)
		return -1;
	/* The round has taken a while. */
	now_ms = clock_mono_ms();
	if (l->due_ms <= now_ms)
		return 0;
	if (l->due_ms - now_ms > 60000)
		return 60000;
	return (int)(l->due_ms - now_ms);
}

int
loop_run(struct loop *l, struct err *e)
{
	struct epoll_event events[EVENTS_A_ROUND];

	while (!l->stopped) {
		int n = epoll_wait(l->epoll_fd, events,
		    (int)ARRAY_LENGTH(events), timeout_ms(l));

		if (n < 0 && errno != EINTR)
			return err_errno(e, "epoll_wait");
		l->now_ms = clock_mono_ms();
		l->poll_once = false;
		l->n_events = n < 0 ? 0 : n;
		for (int i = 0; i < n; i++) {
			struct loop_watch *w = events[i].data.ptr;

			if (w->fd >= 0)
				w->on_event(w, events[i].events);
		}
		if (l->due_ms != 0 && l->now_ms >= l->due_ms) {
			l->due_ms = 0;
			l->on_due(l->owner);
		}
		if (l->after_round != NULL)
			l->after_round(l->owner);
	}
	return 0;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
}
