/*
 * unnamed.c - sockets that systemd holds and tracker.conf does not name
 *
 * Runs in the monitor. systemd has them listening, so that visitors would wait
 * for an answer that nobody gives: each connection is reset, as if nobody
 * listened. A reload that names the address gives the socket to the workers.
 * No byte of a connection is read.
 */
#include "monitor/internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

static void
on_connection(struct loop_watch *w, uint32_t events)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	fd_close(&fd);
}

void
unnamed_unwatch(struct monitor *m)
{
	for (size_t i = 0; i < m->n_unnamed; i++)
		(void)loop_remove(&m->loop, &m->unnamed[i]);
	m->n_unnamed = 0;
}

void
unnamed_watch(struct monitor *m)
{
	const struct listeners *l = &m->listeners;
	char shown[ENDPOINT_TEXT_SIZE];

	unnamed_unwatch(m);
	for (size_t i = 0; i < l->n_aside; i++) {
		struct loop_watch *w = &m->unnamed[m->n_unnamed];

		if (!l->aside[i].inherited)
			continue;
		endpoint_format(&l->aside[i].at, shown);
		log_notice("listen address=%s from=systemd: no listen of "
			   "tracker.conf names it; connections are reset",
		    shown);
		*w = (struct loop_watch){l->aside[i].fd, on_connection};
		if (loop_add(&m->loop, w, EPOLLIN) == 0)
			m->n_unnamed++;
	}
}
