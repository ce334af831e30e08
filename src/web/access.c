/*
 * access.c - the worker's part of the access log
 *
 * Runs in the web worker. A request's part of its line is rendered while its
 * head is there, the line when its answer leaves. Lines gather and go to the
 * logger as one message, when there are many or the oldest has waited a
 * little; when it does not take them, those that find no room any more are
 * dropped and counted, and no visitor waits.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "web/internal.h"

/* So many bytes go at once, and fewer after so long. */
#define GATHER_BYTES 16384
#define GATHER_MS 100
/* While the logger does not run: a fifth of a second at full load. Memory as it
 * is used. */
#define BUFFER_SIZE (4u << 20)
/* At the end: how long the logger may take for the last ones. */
#define FINISH_MS 500
/* The message's own fields in front of the lines. */
#define HEADER_SIZE 4
/* The client was gone before its answer; the status that nginx has for it. */
#define STATUS_CLOSED 499
/* Of the logger's messages in a round, however many there are. */
#define MESSAGES_A_ROUND 16

/* From the head of a request to its answer. */
struct access_entry {
	struct access_entry *next_free;
	uint64_t began_us;
	enum http_access_kind kind;
	enum http_access_event event;
	struct http_access_part part;
};

int
access_open(struct web *w, struct err *e)
{
	struct access *a = &w->access;

	a->watch.fd = a->channel.fd = -1;
	a->format = w->settings.access;
	if (a->format == HTTP_ACCESS_OFF)
		return 0;
	/* As much as there are connections; used as it is needed. */
	a->entries = calloc(w->n_conns, sizeof(a->entries[0]));
	a->bytes = malloc(HEADER_SIZE + BUFFER_SIZE);
	if (a->entries == NULL || a->bytes == NULL)
		return err_errno(e, "no memory for the access log");
	a->lines = writer_of(a->bytes + HEADER_SIZE, BUFFER_SIZE);
	return 0;
}

/* --- entries ----------------------------------------------------------- */

static struct access_entry *
entry_take(struct access *a)
{
	struct access_entry *entry = a->free;

	if (entry != NULL)
		a->free = entry->next_free;
	else
		entry = &a->entries[a->n_used++];
	return entry;
}

static void
entry_leave(struct access *a, struct conn *c)
{
	c->entry->next_free = a->free;
	a->free = c->entry;
	c->entry = NULL;
}

void
access_begin(struct web *w, struct conn *c, struct span head,
    const struct http_request *r, bool complete)
{
	struct access *a = &w->access;
	struct http_access_request request = {.at_us = 0};
	struct http_target target;
	struct tls_info tls;
	struct addr client = c->peer;

	if (a->format == HTTP_ACCESS_OFF || c->entry != NULL)
		return;
	/* Of a head that is refused, what trusted proxies wrote may be in the
	 * part that was not read. */
	if (complete) {
		client =
		    http_client_address(r, c->peer, w->trusted, w->n_trusted);
		target = http_target_decode(r->target);
		if (target.route == HTTP_ROUTE_OPEN ||
		    target.route == HTTP_ROUTE_CLICK) {
			request.server = target.server;
			request.token = target.token;
		}
	}
	if (c->tls != NULL) {
		tls = tls_info(c->tls);
		request.tls_suite = tls.suite != NULL ? tls.suite : "unknown";
		request.tls_name = tls.name;
	}
	request.at_us = clock_wall_us();
	request.client = &client;
	request.line = http_access_first_line(head);
	request.has_referer = r->has_referer;
	request.referer = r->referer;
	request.has_agent = r->has_user_agent;
	request.agent = r->user_agent;
	request.worker = w->role.params.index;
	c->entry = entry_take(a);
	c->entry->began_us = clock_mono_us();
	c->entry->kind = HTTP_ACCESS_NONE;
	c->entry->event = HTTP_ACCESS_NO_EVENT;
	http_access_begin(a->format, &a->clock, &request, &c->entry->part);
}

void
access_event(
    struct conn *c, enum http_access_kind kind, enum http_access_event event)
{
	if (c->entry == NULL)
		return;
	if (kind != HTTP_ACCESS_NONE)
		c->entry->kind = kind;
	c->entry->event = event;
}

const char *
access_shown(
    const struct web *w, const struct addr *a, char text[ADDR_TEXT_SIZE])
{
	if (w->access.format == HTTP_ACCESS_OFF &&
	    w->role.params.log_level < LOG_LEVEL_DEBUG)
		return "-";
	addr_format(a, text);
	return text;
}

/* --- lines ------------------------------------------------------------- */

static void
drop(struct web *w, uint64_t n)
{
	uint64_t held_back;

	w->counters[COUNTER_ACCESS_LINES_DROPPED] += n;
	if (log_limit_pass(&w->access.log_dropped, w->loop.now_ms, &held_back))
		log_warn("access log lines=%" PRIu64
			 ": dropped, because they are not written as fast as "
			 "requests come more=%" PRIu64,
		    n, held_back);
}

static bool
put_line(struct access *a, const struct http_access_part *part,
    const struct http_access_answer *answer)
{
	http_access_end(a->format, part, answer, &a->lines);
	if (!a->lines.full)
		return true;
	a->lines.full = false;
	return false;
}

/* What is sent makes room, when it is worth moving the rest. */
static bool
make_room(struct access *a)
{
	if (a->sent < a->lines.cap / 2)
		return false;
	a->lines.len -= a->sent;
	memmove(a->lines.p, a->lines.p + a->sent, a->lines.len);
	a->sent = 0;
	return true;
}

void
access_end(struct web *w, struct conn *c, int status, size_t bytes)
{
	struct access *a = &w->access;
	struct http_access_answer answer = {.status = status, .bytes = bytes};

	if (c->entry == NULL)
		return;
	answer.kind = c->entry->kind;
	answer.event = c->entry->event;
	answer.took_us = clock_mono_us() - c->entry->began_us;
	if (a->lines.len == 0) {
		a->send_at_ms = w->loop.now_ms + GATHER_MS;
		loop_wake_at(&w->loop, a->send_at_ms);
	}
	if (!put_line(a, &c->entry->part, &answer) &&
	    !(make_room(a) && put_line(a, &c->entry->part, &answer)))
		drop(w, 1);
	entry_leave(a, c);
}

void
access_closed(struct web *w, struct conn *c)
{
	access_end(w, c, STATUS_CLOSED, 0);
}

/* The next lines as a message: its fields are written over what was sent
 * before, or into the room that is left in front of the first. */
static struct span
seal(struct access *a)
{
	uint8_t *p = a->lines.p + a->sent;
	size_t len = a->lines.len - a->sent;
	struct writer head = writer_of(p - HEADER_SIZE, HEADER_SIZE);

	if (len > IPC_LINES_MAX)
		for (len = IPC_LINES_MAX; p[len - 1] != '\n'; len--)
			;
	writer_u16(&head, IPC_LINES);
	writer_u16(&head, (uint16_t)len);
	return (struct span){head.p, HEADER_SIZE + len};
}

void
access_send(struct web *w)
{
	struct access *a = &w->access;

	if (a->channel.fd < 0 || a->blocked)
		return;
	while (a->sent < a->lines.len) {
		struct span message = seal(a);

		if (ipc_send_record(&a->channel, message, -1) != IPC_OK) {
			/* Its end is told by the loop; it comes again with
			 * another channel. */
			a->blocked = loop_change(&w->loop, &a->watch,
					 EPOLLIN | EPOLLOUT) == 0;
			return;
		}
		a->sent += message.len - HEADER_SIZE;
	}
	a->sent = a->lines.len = 0;
}

uint64_t
access_due(struct web *w)
{
	struct access *a = &w->access;

	if (a->lines.len > 0 && w->loop.now_ms >= a->send_at_ms) {
		access_send(w);
		a->send_at_ms = w->loop.now_ms + GATHER_MS;
	}
	return a->lines.len > 0 && !a->blocked && a->channel.fd >= 0
		   ? a->send_at_ms
		   : 0;
}

void
access_after_round(struct web *w)
{
	if (w->access.lines.len >= GATHER_BYTES)
		access_send(w);
}

static uint64_t
count_unsent(const struct access *a)
{
	uint64_t n = 0;

	for (size_t i = a->sent; i < a->lines.len; i++)
		n += a->lines.p[i] == '\n';
	return n;
}

bool
access_finish(struct web *w)
{
	struct access *a = &w->access;

	access_send(w);
	if (a->lines.len == 0)
		return true;
	if (a->finish_by_ms == 0)
		a->finish_by_ms = w->loop.now_ms + FINISH_MS;
	if (a->channel.fd >= 0 && w->loop.now_ms < a->finish_by_ms &&
	    w->loop.now_ms < w->stop_by_ms) {
		loop_wake_at(&w->loop, a->finish_by_ms);
		return false;
	}
	drop(w, count_unsent(a));
	a->sent = a->lines.len = 0;
	return true;
}

/* --- the logger -------------------------------------------------------- */

static void
on_logger(struct loop_watch *watch, uint32_t events)
{
	struct access *a = (struct access *)watch;
	struct web *w =
	    (struct web *)(void *)((char *)a - offsetof(struct web, access));
	struct ipc_received in;
	enum ipc_result got = IPC_OK;

	if ((events & EPOLLOUT) != 0 && a->blocked) {
		(void)loop_change(&w->loop, &a->watch, EPOLLIN);
		a->blocked = false;
		access_send(w);
	}
	/* The table lets nothing through but LINES_LOST. What is left comes in
	 * the next round: one that was taken over and floods does not keep
	 * visitors from theirs. */
	for (int i = 0; i < MESSAGES_A_ROUND; i++) {
		got = ipc_receive(&a->channel, w->buffer, &in);
		if (got != IPC_OK)
			break;
		drop(w, in.body.lines_lost.n);
	}
	if (got == IPC_BREACH)
		web_stop_for(
		    "the logger sent a message that is not in the table");
	if (got == IPC_CLOSED) {
		(void)loop_remove(&w->loop, &a->watch);
		fd_close(&a->channel.fd);
		a->blocked = false;
	}
}

void
access_take_logger(struct web *w, int fd)
{
	struct access *a = &w->access;

	(void)loop_remove(&w->loop, &a->watch);
	fd_close(&a->channel.fd);
	a->blocked = false;
	a->channel = (struct ipc_channel){fd, IPC_WEB, IPC_LOGGER};
	a->watch = (struct loop_watch){fd, on_logger};
	if (loop_add(&w->loop, &a->watch, EPOLLIN) != 0)
		web_stop_for("cannot watch the logger");
	access_send(w);
}
