/*
 * conn.c - the life of a connection: accept, read, parse, wait, close
 *
 * Runs in the web worker. Sockets are watched edge-triggered, once: a request
 * costs one recv and one send. Bytes are read into one scratch buffer; only
 * a head that is not complete, or that has to wait, gets a buffer of its own,
 * so that an idle connection holds none.
 */
#include "web/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"

/* How long a peer may take to close after our last word. */
#define CLOSING_MS 2000
/* A head that has been arriving for so long may make room for others. */
#define SLOW_HEAD_MS 1000
/* At the end: how long a connection that has said nothing yet may start to. */
#define QUIET_MS 500

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

static void
head_release(struct web *w, struct conn *c)
{
	if (c->head == NULL)
		return;
	c->head->next_free = w->free_head;
	w->free_head = c->head;
	c->head = NULL;
}

/* There are as many buffers as connections: taking one cannot fail. */
static void
head_stash(struct web *w, struct conn *c, struct head *h)
{
	if (c->head == h || h->len == 0)
		return;
	c->head = head_take(w);
	c->head->len = h->len;
	c->head->request = h->request;
	memcpy(c->head->bytes, h->bytes, h->len);
}

static struct head *
head_of(struct web *w, struct conn *c)
{
	if (c->head != NULL)
		return c->head;
	w->scratch->len = 0;
	http_request_init(&w->scratch->request);
	return w->scratch;
}

/* Takes len bytes away from the front; the next request starts there. */
static void
head_consume(struct head *h, size_t len)
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
	conn_list_remove(c);
	head_release(w, c);
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
	if (w->paused && (w->free.first != NULL || w->n_used < w->n_conns))
		web_resume_listening(w);
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
	head_release(w, c);
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

/* --- who --------------------------------------------------------------- */

static bool
is_trusted(const struct web *w, const struct addr *a)
{
	return networks_contain(w->trusted, w->n_trusted, a);
}

/* Counts the connection for its address; -1 when there are too many. */
static int
enter(struct web *w, struct conn *c)
{
	char shown[ADDR_TEXT_SIZE];
	uint64_t held_back;

	if (is_trusted(w, &c->peer))
		return 0;
	c->counted = limits_enter(
	    &w->limits, &c->peer, w->settings.max_connections_per_address);
	if (c->counted)
		return 0;
	w->counters[COUNTER_CONNECTIONS_REFUSED]++;
	if (log_limit_pass(&w->log_refused, w->loop.now_ms, &held_back)) {
		addr_format(&c->peer, shown);
		log_warn("refuse address=%s reason=\"more than "
			 "max_connections_per_address = %" PRIu32
			 "\" more=%" PRIu64,
		    shown, w->settings.max_connections_per_address, held_back);
	}
	return -1;
}

static void
warn_of_proxy(struct web *w, struct conn *c, const char *what)
{
	char shown[ADDR_TEXT_SIZE];
	uint64_t held_back;

	w->counters[COUNTER_PROXY_HEADERS_BAD]++;
	if (!log_limit_pass(&w->log_proxy, w->loop.now_ms, &held_back))
		return;
	addr_format(&c->peer, shown);
	log_warn("proxy address=%s reason=\"%s\" more=%" PRIu64, shown, what,
	    held_back);
}

/* The PROXY header of a trusted proxy; true when the request may begin. */
static bool
parse_proxy(struct web *w, struct conn *c, struct head *h)
{
	struct addr client = c->peer;
	size_t len = 0;

	switch (
	    http_proxy_parse((struct span){h->bytes, h->len}, &len, &client)) {
	case HTTP_PROXY_MORE:
		return false;
	case HTTP_PROXY_BAD:
		warn_of_proxy(w, c, "a broken PROXY header");
		w->counters[COUNTER_REQUESTS_REFUSED]++;
		c->keep_alive = false;
		c->linger = true;
		conn_reply(w, c, HTTP_REPLY_BAD_REQUEST);
		return false;
	case HTTP_PROXY_ABSENT:
		warn_of_proxy(w, c,
		    "no PROXY header although proxy_protocol = yes; its own "
		    "address is used");
		break;
	default:
		head_consume(h, len);
		c->peer = client;
	}
	c->proxy_due = false;
	if (enter(w, c) == 0)
		return true;
	conn_close(w, c);
	return false;
}

/* --- requests ---------------------------------------------------------- */

static void
refuse(struct web *w, struct conn *c, const struct http_request *r)
{
	w->counters[COUNTER_REQUESTS_REFUSED]++;
	c->keep_alive = false;
	c->head_method = false;
	c->linger = true;
	c->minor = 1;
	conn_reply(w, c, http_reply_of_status(r->status));
}

/*
 * What the bytes in h lead to; true when a request was answered and the next
 * may begin, false when bytes are missing or the connection cannot go on now.
 */
static bool
parse(struct web *w, struct conn *c, struct head *h)
{
	if (h->len == 0 || (c->proxy_due && !parse_proxy(w, c, h)))
		return false;
	switch (http_request_parse(&h->request, (struct span){h->bytes, h->len},
	    w->settings.max_header_size)) {
	case HTTP_PARSE_MORE:
		return false;
	case HTTP_PARSE_WRONG:
		refuse(w, c, &h->request);
		return false;
	default:
		answer_request(w, c, &h->request);
	}
	/* One that waits for its link is answered from its head again. */
	if (c->state != CONN_FREE && c->state != CONN_CLOSING &&
	    c->state != CONN_ASKING)
		head_consume(h, h->request.head_len);
	return c->state == CONN_IDLE;
}

/* Reads once; 0 when there was something. */
static int
fill(struct web *w, struct conn *c, struct head *h)
{
	size_t room = w->head_size - h->len;
	ssize_t n;

	if (!c->readable)
		return -1;
	do
		n = recv(c->watch.fd, h->bytes + h->len, room, 0);
	while (n < 0 && errno == EINTR);
	/* A short read emptied the socket: the next byte is a new edge. */
	if (n < (ssize_t)room)
		c->readable = false;
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
	h = head_of(w, c);
	do
		while (parse(w, c, h))
			;
	while ((c->state == CONN_HEAD || c->state == CONN_IDLE) &&
	       fill(w, c, h) == 0);
	if (c->state == CONN_FREE || c->state == CONN_CLOSING)
		return;
	if (h->len > 0)
		head_stash(w, c, h);
	else
		head_release(w, c);
	if (c->state == CONN_HEAD || c->state == CONN_IDLE)
		await(w, c);
}

void
conn_answered(struct web *w, struct conn *c, size_t head_len)
{
	if (c->state == CONN_FREE || c->state == CONN_CLOSING)
		return;
	head_consume(c->head, head_len);
	if (c->head->len == 0)
		head_release(w, c);
	conn_advance(w, c);
}

static void
on_event(struct loop_watch *watch, uint32_t events)
{
	struct conn *c = (struct conn *)watch;
	struct web *w = c->web;

	if ((events & (EPOLLIN | EPOLLRDHUP)) != 0)
		c->readable = true;
	if ((events & EPOLLERR) != 0 ||
	    ((events & EPOLLHUP) != 0 && c->state != CONN_CLOSING))
		conn_close(w, c);
	else if (c->state == CONN_CLOSING)
		drain(w, c);
	else if (c->state == CONN_WRITING)
		conn_write_on(w, c);
	else
		conn_advance(w, c);
}

/* --- accept ------------------------------------------------------------ */

/* An idle connection, or one whose head dribbles in, makes room; it can be
 * used from the next round on. */
static void
make_room(struct web *w)
{
	struct conn *victim = w->idle.first;
	uint64_t young = w->loop.now_ms + w->settings.header_timeout_ms;

	if (victim == NULL && w->heads.first != NULL &&
	    w->heads.first->deadline_ms + SLOW_HEAD_MS <= young)
		victim = w->heads.first;
	if (victim != NULL) {
		w->counters[COUNTER_CONNECTIONS_RECYCLED]++;
		conn_close(w, victim);
		return;
	}
	web_pause_listening(w);
}

static struct conn *
conn_take(struct web *w)
{
	struct conn *c = w->free.first;

	if (c != NULL)
		conn_list_remove(c);
	else if (w->n_used < w->n_conns)
		c = &w->conns[w->n_used++];
	return c;
}

static void
begin(struct web *w, int fd, const struct endpoint *from)
{
	struct conn *c = conn_take(w);
	uint32_t serial = c->serial;

	*c = (struct conn){.watch = {fd, on_event},
	    .web = w,
	    .serial = serial,
	    .state = CONN_HEAD,
	    .readable = true,
	    .minor = 1,
	    .peer = from->addr};
	w->n_live++;
	w->counters[COUNTER_CONNECTIONS]++;
	c->proxy_due =
	    w->settings.proxy_protocol != 0 && is_trusted(w, &c->peer);
	if ((!c->proxy_due && enter(w, c) != 0) ||
	    loop_add(&w->loop, &c->watch, EPOLLIN | EPOLLRDHUP | EPOLLET) !=
		0) {
		conn_close(w, c);
		return;
	}
	conn_advance(w, c);
}

static bool
has_room(const struct web *w)
{
	return w->free.first != NULL || w->n_used < w->n_conns;
}

/*
 * One connection an event: the others that wait wake other workers, and so
 * spread over all of them.
 */
void
conn_accept(struct web *w, int listener)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint from;
	uint64_t held_back;
	int fd;

	if (!has_room(w)) {
		make_room(w);
		return;
	}
	fd = accept4(listener, (struct sockaddr *)&sa, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && endpoint_from_sockaddr(&sa, &from) == 0) {
		begin(w, fd, &from);
		return;
	}
	fd_close(&fd);
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR &&
	    log_limit_pass(&w->log_accept, w->loop.now_ms, &held_back))
		log_err("accept error=\"%s\" more=%" PRIu64, strerror(errno),
		    held_back);
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
	c->keep_alive = false;
	c->linger = true;
	conn_reply(w, c, HTTP_REPLY_TIMEOUT);
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
	struct conn *c, *next;

	while (w->idle.first != NULL)
		conn_close(w, w->idle.first);
	/* A request may be on its way to us. */
	for (c = w->heads.first; c != NULL; c = next) {
		next = c->next;
		if (c->head == NULL)
			conn_wait(w, c, &w->idle, QUIET_MS);
	}
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
conn_of_ask(struct web *w, uint64_t ask)
{
	size_t i = (size_t)(ask & UINT32_MAX);

	if (i >= w->n_used || w->conns[i].serial != ask >> 32 ||
	    w->conns[i].state != CONN_ASKING)
		return NULL;
	return &w->conns[i];
}
