/*
 * handover.c - certificates and keys of Postal 1.x, from the forwarder
 *
 * Runs in the monitor. One message a round, one question at a time. No byte
 * of a memory file is read here, and none is mapped.
 */
#include "monitor/handover.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "monitor/internal.h"
#include "monitor/place.h"

#define SUFFIX ".keys"

/* --- the connection ---------------------------------------------------- */

static void
disconnect(struct monitor *m)
{
	struct handover *h = &m->handover;

	if (h->channel.fd < 0)
		return;
	(void)loop_remove(&m->loop, &h->peer);
	fd_close(&h->channel.fd);
	fd_close(&h->half_fd);
	h->under_way = false;
	loop_wake_at(&m->loop, m->loop.now_ms);
}

static void
part_from(
    struct monitor *m, const struct ipc_message *message, unsigned int why)
{
	uint64_t held_back;

	if (log_limit_pass(&m->handover.log_breach, m->loop.now_ms, &held_back))
		log_err("close forwarder message=%s reason=\"it sent the "
			"monitor %s\" more=%" PRIu64,
		    message == NULL ? "?" : message->name, ipc_breach_text(why),
		    held_back);
	disconnect(m);
}

void
handover_answer(struct monitor *m, enum ipc_type type, const void *body)
{
	/* It asks one thing at a time: there is room for one answer. */
	if (ipc_send(&m->handover.channel, m->scratch, type, body, -1) !=
	    IPC_OK)
		disconnect(m);
}

/* --- the channel ------------------------------------------------------- */

static const struct {
	enum ipc_type type;
	/* 0, or the breach; takes the descriptor. */
	unsigned int (*handle)(
	    struct monitor *m, const union ipc_body *body, int fd);
} handlers[] = {
    {IPC_CERTIFICATE_ROWS, handover_on_rows},
    {IPC_ROW_CHAIN, handover_on_chain},
    {IPC_ROW_KEY, handover_on_key},
};

/* The key is the next message behind its chain. */
static unsigned int
handle(struct monitor *m, const struct ipc_received *in)
{
	if (m->handover.half_fd >= 0 &&
	    in->message->type == IPC_CERTIFICATE_ROWS)
		return IPC_BREACH_ORDER;
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++)
		if (handlers[i].type == in->message->type)
			return handlers[i].handle(m, &in->body, in->fd);
	return IPC_BREACH_ORDER;
}

static void
on_peer(struct loop_watch *w, uint32_t events)
{
	struct monitor *m =
	    (struct monitor *)(void *)((char *)w -
				       offsetof(struct monitor, handover.peer));
	struct ipc_received in;
	unsigned int breach;

	(void)events;
	switch (ipc_receive(&m->handover.channel, m->scratch, &in)) {
	case IPC_AGAIN:
		return;
	case IPC_BREACH:
		part_from(m, in.message, in.breach);
		return;
	case IPC_OK:
		breach = handle(m, &in);
		if (breach != 0)
			part_from(m, in.message, breach);
		return;
	default:
		log_debug("forwarder gone: what it gave stays served");
		disconnect(m);
	}
}

/* Who it is is the kernel's word. */
static bool
is_forwarder(const struct monitor *m, int fd, struct ucred *who)
{
	socklen_t len = sizeof(*who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &len) == 0 &&
	       (who->uid == 0 || who->uid == geteuid() ||
		   who->uid == m->users.forwarder.uid);
}

/* There is one forwarder: a new one takes the place of the one before. */
static void
on_listener(struct loop_watch *w, uint32_t events)
{
	struct monitor *m =
	    (struct monitor *)(void *)((char *)w - offsetof(struct monitor,
						       handover.listener));
	struct handover *h = &m->handover;
	struct ucred who = {.pid = 0};
	uint64_t held_back;
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (!is_forwarder(m, fd, &who)) {
		if (log_limit_pass(&h->log_refused, m->loop.now_ms, &held_back))
			log_warn("refused connection for certificates uid=%d: "
				 "it is not [forwarder] user more=%" PRIu64,
			    (int)who.uid, held_back);
		fd_close(&fd);
		return;
	}
	disconnect(m);
	h->channel = (struct ipc_channel){fd, IPC_MONITOR, IPC_FORWARDER};
	h->peer = (struct loop_watch){fd, on_peer};
	if (loop_add(&m->loop, &h->peer, EPOLLIN) != 0) {
		h->peer.fd = -1;
		fd_close(&h->channel.fd);
		return;
	}
	log_debug("forwarder connected pid=%d", (int)who.pid);
}

/* --- life -------------------------------------------------------------- */

int
handover_path(
    const char *store_socket, char path[HANDOVER_PATH_SIZE], struct err *e)
{
	int len = snprintf(path, HANDOVER_PATH_SIZE, "%s" SUFFIX, store_socket);

	if (len >= 0 && len < HANDOVER_PATH_SIZE)
		return 0;
	return err_set(e,
	    "[spool] socket %s: with [postal] mode = mysql its path has at "
	    "most %d bytes",
	    store_socket, HANDOVER_PATH_SIZE - (int)sizeof(SUFFIX));
}

int
handover_open(struct monitor *m, struct err *e)
{
	struct handover *h = &m->handover;
	char path[HANDOVER_PATH_SIZE];
	int fd = -1;

	if (m->config.postal.mode != CONFIG_MODE_MYSQL)
		return 0;
	if (handover_path(m->config.spool.socket, path, e) != 0 ||
	    place_open_socket(path, &fd, e) != 0)
		return -1;
	handover_allow(h);
	h->listener = (struct loop_watch){fd, on_listener};
	if (loop_add(&m->loop, &h->listener, EPOLLIN) != 0) {
		h->listener.fd = -1;
		fd_close(&fd);
		return err_errno(e, "cannot watch %s", path);
	}
	return 0;
}

/* Pairs go with HTTPS. When it comes back, all rows are named again by a
 * forwarder that connects again. */
void
handover_https(struct monitor *m, bool on)
{
	if (!on)
		handover_forget_rows(&m->handover);
	if (!on || m->handover.ignored)
		disconnect(m);
	m->handover.ignored = false;
}

bool
handover_goes_on(const struct monitor *m, uint64_t now_ms)
{
	return m->handover.under_way || now_ms < m->handover.quiet_until_ms;
}

void
handover_close(struct monitor *m)
{
	struct handover *h = &m->handover;
	char path[HANDOVER_PATH_SIZE];
	struct err ignored;
	int fd = -1;

	disconnect(m);
	handover_forget_rows(h);
	if (h->listener.fd < 0)
		return;
	fd = loop_remove(&m->loop, &h->listener);
	fd_close(&fd);
	if (handover_path(m->config.spool.socket, path, &ignored) == 0)
		(void)unlink(path);
}
