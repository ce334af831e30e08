/*
 * conn.c - the life of a connection: read, parse, wait, close
 *
 * Runs in the web worker. Sockets are watched edge-triggered, once: a request
 * costs one recv and one send. Bytes are read into one scratch buffer; only
 * a head that is not complete, or that has to wait, gets a buffer of its own,
 * so that an idle connection holds none.
 */
#include "web/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"

/* How long a peer may take to close after our last word. */
#define CLOSING_MS 2000

int
conns_open(struct web *w, struct err *e)
{
	w->n_conns = w->settings.max_connections;
	w->head_size = w->settings.max_header_size;
	if (w->head_size < HTTP_PROXY_HEADER_MAX)
		w->head_size = HTTP_PROXY_HEADER_MAX;
	w->head_slot = (sizeof(struct head) + w->head_size + 63) & ~(size_t)63;
	w->conns = calloc(w->n_conns, sizeof(w->conns[0]));
	w->head_memory = calloc(w->n_conns, w->head_slot);
	w->scratch = calloc(1, w->head_slot);
	if (w->conns == NULL || w->head_memory == NULL || w->scratch == NULL)
		return err_errno(
		    e, "no memory for %zu connections", w->n_conns);
	return 0;
}

/* --- buffers ----------------------------------------------------------- */

static struct head *
head_take(struct web *w)
{
	struct head *h = w->free_head;

	if (h != NULL)
		w->free_head = h->next_free;
	else
		h = (struct head *)(void *)(w->head_memory +
					    w->heads_used++ * w->head_slot);
	h->len = 0;
	http_request_init(&h->request);
	return h;
}

void
conn_drop_head(struct web *w, struct conn *c)
{
	if (c->head == NULL)
		return;
	c->head->next_free = w->free_head;
	w->free_head = c->head;
	c->head = NULL;
}

/* There are as many buffers as connections: taking one cannot fail. */
void
conn_keep_head(struct web *w, struct conn *c, struct head *h)
{
	if (c->head == h || h->len == 0)
		return;
	c->head = head_take(w);
	c->head->len = h->len;
	c->head->request = h->request;
	memcpy(c->head->bytes, h->bytes, h->len);
}

struct head *
conn_head(struct web *w, struct conn *c)
{
	if (c->head != NULL)
		return c->head;
	w->scratch->len = 0;
	http_request_init(&w->scratch->request);
	return w->scratch;
}

void
conn_consume_head(struct head *h, size_t len)
{
	h->len -= len;
	if (h->len > 0)
		memmove(h->bytes, h->bytes + len, h->len);
	http_request_init(&h->request);
}

/* --- life -------------------------------------------------------------- */

void
conn_wait(struct web *w, struct conn *c, struct conn_list *list, uint64_t in_ms)
{
	conn_list_remove(c);
	c->deadline_ms = w->loop.now_ms + in_ms;
	if (w->stopping && c->deadline_ms > w->stop_by_ms)
		c->deadline_ms = w->stop_by_ms;
	conn_list_append(list, c);
	loop_wake_at(&w->loop, c->deadline_ms);
}

void
conn_close(struct web *w, struct conn *c)
{
	if (c->state == CONN_FREE)
		return;
	if (c->state == CONN_IDLE || c->state == CONN_HEAD)
		tls_say_bye(w, c);
	access_closed(w, c);
	tls_leave(w, c);
	conn_list_remove(c);
	conn_drop_head(w, c);
	link_release(c->link);
	c->link = NULL;
	w->heap_out -= c->out_len;
	free(c->out);
	c->out = NULL;
	c->out_len = 0;
	if (c->counted)
		limits_leave(&w->limits, &c->peer);
	/* Closing the only descriptor removes it from the epoll set. */
	fd_close(&c->watch.fd);
	c->state = CONN_FREE;
	c->serial++;
	conn_list_append(&w->dead, c);
	w->n_live--;
}

void
conns_after_round(struct web *w)
{
	struct conn *c;

	while ((c = w->dead.first) != NULL) {
		conn_list_remove(c);
		conn_list_append(&w->free, c);
	}
	conns_look_for_room(w);
}

void
conn_set_idle(struct web *w, struct conn *c)
{
	c->state = CONN_IDLE;
	conn_wait(w, c, &w->idle, w->settings.idle_timeout_ms);
}

void
conn_finish(struct web *w, struct conn *c)
{
	/* Closing with unread bytes would reset the connection, and the peer
	 * might never see our answer. */
	if (!c->readable && !c->linger && c->head == NULL) {
		conn_close(w, c);
		return;
	}
	tls_say_bye(w, c);
	tls_leave(w, c);
	conn_drop_head(w, c);
	(void)shutdown(c->watch.fd, SHUT_WR);
	c->state = CONN_CLOSING;
	conn_wait(w, c, &w->closing, CLOSING_MS);
}

/* Throws away what a peer still sends after our last word. */
static void
drain(struct web *w, struct conn *c)
{
	for (int i = 0; i < 16; i++) {
		ssize_t n =
		    recv(c->watch.fd, w->scratch->bytes, w->head_size, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			conn_close(w, c);
			return;
		}
	}
	/* It does not stop sending. */
	conn_close(w, c);
}

/* --- requests ---------------------------------------------------------- */

/* A proxy that speaks the PROXY protocol to somebody who was not told so. */
static bool
is_proxy_header(const struct head *h)
{
	struct addr ignored;
	size_t len;

	switch (
	    http_proxy_parse((struct span){h->bytes, h->len}, &len, &ignored)) {
	case HTTP_PROXY_ADDRESS:
	case HTTP_PROXY_LOCAL:
	case HTTP_PROXY_BAD:
		return true;
	default: /* MORE: empty lines are the start of one too */
		return false;
	}
}

void
conn_refuse(
    struct web *w, struct conn *c, const struct head *h, enum http_reply reply)
{
	access_begin(w, c, (struct span){h->bytes, h->len}, &h->request, false);
	/* Of the request before, whose last word this is not. */
	c->keep_alive = false;
	c->head_method = false;
	c->minor = 1;
	c->linger = true;
	conn_reply(w, c, reply);
}

/*
 * What the bytes in h lead to; true when a request was answered and the next
 * may begin, false when bytes are missing or the connection cannot go on now.
 */
static bool
parse(struct web *w, struct conn *c, struct head *h)
{
	if (h->len == 0 || (c->proxy_due && !conn_take_proxy(w, c, h)))
		return false;
	switch (http_request_parse(&h->request, (struct span){h->bytes, h->len},
	    w->settings.max_header_size)) {
	case HTTP_PARSE_MORE:
		return false;
	case HTTP_PARSE_WRONG:
		w->counters[COUNTER_REQUESTS_REFUSED]++;
		if (is_proxy_header(h))
			w->counters[COUNTER_PROXY_HEADERS_UNEXPECTED]++;
		conn_refuse(w, c, h, http_reply_of_status(h->request.status));
		return false;
	default:
		access_begin(
		    w, c, (struct span){h->bytes, h->len}, &h->request, true);
		answer_request(w, c, &h->request);
	}
	/* One that waits for its link is answered from its head again. */
	if (c->state != CONN_FREE && c->state != CONN_CLOSING &&
	    c->state != CONN_ASKING)
		conn_consume_head(h, h->request.head_len);
	return c->state == CONN_IDLE;
}

static ssize_t
receive(struct conn *c, uint8_t *p, size_t room)
{
	ssize_t n;

	/* read: the filter has no argument of it to look at, so the kernel
	 * lets it pass by a bitmap; recv would be a run of the filter. */
	do
		n = read(c->watch.fd, p, room);
	while (n < 0 && errno == EINTR);
	/* A short read emptied the socket: the next byte is a new edge. */
	if (n < (ssize_t)room && !c->half_closed)
		c->readable = false;
	return n;
}

/* Reads once; 0 when there was something. */
static int
fill(struct web *w, struct conn *c, struct head *h)
{
	size_t room = w->head_size - h->len;
	ssize_t n;

	if (c->tls != NULL)
		n = tls_receive(w, c, h->bytes + h->len, room);
	else if (c->readable)
		n = receive(c, h->bytes + h->len, room);
	else
		return -1;
	if (n > 0) {
		h->len += (size_t)n;
		return 0;
	}
	if (n == 0 || errno != EAGAIN)
		conn_close(w, c);
	return -1;
}

/* More bytes are needed: starts the time-out of the head, once. */
static void
await(struct web *w, struct conn *c)
{
	if (c->list == &w->heads || (c->state == CONN_IDLE && c->head == NULL))
		return;
	c->state = CONN_HEAD;
	conn_wait(w, c, &w->heads, w->settings.header_timeout_ms);
}

void
conn_advance(struct web *w, struct conn *c)
{
	struct head *h;

	if (c->state != CONN_HEAD && c->state != CONN_IDLE)
		return;
	h = conn_head(w, c);
	do
		while (parse(w, c, h))
			;
	while ((c->state == CONN_HEAD || c->state == CONN_IDLE) &&
	       fill(w, c, h) == 0);
	if (c->state == CONN_FREE || c->state == CONN_CLOSING)
		return;
	if (h->len > 0)
		conn_keep_head(w, c, h);
	else
		conn_drop_head(w, c);
	if (c->state == CONN_IDLE && c->head == NULL && c->tls != NULL)
		tls_rest(c);
	if (c->state == CONN_HEAD || c->state == CONN_IDLE)
		await(w, c);
}

void
conn_answered(struct web *w, struct conn *c, size_t head_len)
{
	if (c->state == CONN_FREE || c->state == CONN_CLOSING)
		return;
	conn_consume_head(c->head, head_len);
	if (c->head->len == 0)
		conn_drop_head(w, c);
	conn_advance(w, c);
}

static void
lose(struct web *w, struct conn *c)
{
	if (c->state == CONN_HANDSHAKE)
		handshake_lose(w, c);
	else
		conn_close(w, c);
}

void
conn_on_event(struct loop_watch *watch, uint32_t events)
{
	struct conn *c = (struct conn *)watch;
	struct web *w = c->web;

	if ((events & (EPOLLIN | EPOLLRDHUP)) != 0)
		c->readable = true;
	if ((events & EPOLLRDHUP) != 0)
		c->half_closed = true;
	if ((events & EPOLLERR) != 0 ||
	    ((events & EPOLLHUP) != 0 && c->state != CONN_CLOSING))
		lose(w, c);
	else if (c->state == CONN_HANDSHAKE)
		handshake_go_on(w, c);
	else if (c->state == CONN_CLOSING)
		drain(w, c);
	else if (c->state == CONN_WRITING)
		conn_write_on(w, c);
	else
		conn_advance(w, c);
}

/* --- time -------------------------------------------------------------- */

static void
time_out_head(struct web *w, struct conn *c)
{
	if (c->head == NULL) {
		conn_close(w, c);
		return;
	}
	w->counters[COUNTER_REQUESTS_TIMED_OUT]++;
	conn_refuse(w, c, c->head, HTTP_REPLY_TIMEOUT);
}

static void
time_out_ask(struct web *w, struct conn *c)
{
	struct ipc_linked nothing = {.status = IPC_LINKED_UNAVAILABLE};

	answer_link(w, c, &nothing);
}

static uint64_t
list_due(struct web *w, struct conn_list *l,
    void (*end)(struct web *w, struct conn *c))
{
	while (l->first != NULL && l->first->deadline_ms <= w->loop.now_ms)
		end(w, l->first);
	return l->first == NULL ? 0 : l->first->deadline_ms;
}

uint64_t
conns_due(struct web *w)
{
	struct {
		struct conn_list *list;
		void (*end)(struct web *w, struct conn *c);
	} const lists[] = {
	    {&w->https.handshakes, handshake_time_out},
	    {&w->heads, time_out_head},
	    {&w->idle, conn_close},
	    {&w->writing, conn_close},
	    {&w->closing, conn_close},
	    {&w->to_ask, time_out_ask},
	    {&w->asked, time_out_ask},
	};
	uint64_t next = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
		uint64_t due = list_due(w, lists[i].list, lists[i].end);

		if (due != 0 && (next == 0 || due < next))
			next = due;
	}
	return next;
}

static void
hurry(struct web *w, struct conn_list *l)
{
	for (struct conn *c = l->first; c != NULL; c = c->next)
		if (c->deadline_ms > w->stop_by_ms)
			c->deadline_ms = w->stop_by_ms;
}

void
conns_stop(struct web *w)
{
	while (w->idle.first != NULL)
		conn_close(w, w->idle.first);
	conns_hurry(w);
}

void
conns_hurry(struct web *w)
{
	struct conn *c, *next;

	/* A request may be on its way to us. */
	for (c = w->heads.first; c != NULL; c = next) {
		next = c->next;
		if (c->head == NULL)
			conn_wait(w, c, &w->idle, QUIET_MS);
	}
	handshakes_stop(w);
	hurry(w, &w->https.handshakes);
	hurry(w, &w->heads);
	hurry(w, &w->writing);
	hurry(w, &w->closing);
	hurry(w, &w->to_ask);
	hurry(w, &w->asked);
	loop_wake_at(&w->loop, w->stop_by_ms);
}

/* --- asking for links -------------------------------------------------- */

uint64_t
conn_ask(const struct web *w, const struct conn *c)
{
	return (uint64_t)c->serial << 32 | (uint64_t)(c - w->conns);
}

struct conn *
conn_of_ask(struct web *w, uint64_t ask, enum http_route route)
{
	size_t i = (size_t)(ask & UINT32_MAX);

	if (i >= w->n_used || w->conns[i].serial != ask >> 32 ||
	    w->conns[i].state != CONN_ASKING || w->conns[i].asked != route)
		return NULL;
	return &w->conns[i];
}
