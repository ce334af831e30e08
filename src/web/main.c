/*
 * main.c - the web worker: the only role that reads what strangers send
 *
 * nobody, an empty root, no files, no private keys, no way to open a socket. It has
 * the connections that it accepts, a channel to the store and one to the
 * monitor, and a piece of memory that it shares with the other web workers.
 */
#include "web/web.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sysexits.h>

#include "base/array.h"
#include "base/fd.h"
#include "web/internal.h"

/* In the order of the descriptors that the monitor passes. */
#define EMPTY_ROOT_FD (ROLE_FIRST_FD + 0)
#define SHARED_FD (ROLE_FIRST_FD + 1)
#define SESSIONS_FD (ROLE_FIRST_FD + 2)
#define FIRST_LISTENER_FD (ROLE_FIRST_FD + 3)
/* A visitor who comes while the store is starting waits so long for the
 * table of servers; then he gets 503. */
#define TABLE_WAIT_MS 2000
/* Descriptors beside connections, listeners and keepers. */
#define OTHER_FDS 16
/* Connections that a worker takes before it is another one's turn. */
#define TURN 4
/* Who leaves takes so many of those who wait at a listener. */
#define WAITING_MOST 256

static struct web web;

/* --- listeners --------------------------------------------------------- */

static bool
is_https(const struct web *w, size_t listener)
{
	return listener + w->settings.n_https >= w->settings.n_listeners;
}

/* Exclusive: one new connection wakes one worker. */
static void
watch_listener(struct web *w, struct loop_watch *l)
{
	if (loop_add(&w->loop, l, EPOLLIN | EPOLLEXCLUSIVE) != 0)
		log_err("listen error=\"cannot watch a listener\"");
}

/*
 * Workers stand in line at a listener, and the kernel wakes the first one that
 * sleeps: always the same. Of a burst the one that runs would take all that
 * its time slice allows, while the others wait for the core. So it goes to the
 * end of the line, and lets others run.
 */
static void
end_turn(struct web *w, struct loop_watch *l)
{
	w->n_taken = 0;
	l->fd = loop_remove(&w->loop, l);
	watch_listener(w, l);
	(void)sched_yield();
}

static void
on_listener(struct loop_watch *watch, uint32_t events)
{
	size_t i = (size_t)(watch - web.listeners);

	(void)events;
	/* Afterwards it may not be watched any more: there is no more room. */
	if (conn_accept(&web, watch->fd, is_https(&web, i)) &&
	    ++web.n_taken >= TURN && watch->fd >= 0)
		end_turn(&web, watch);
}

static void
poll_listeners(struct web *w, bool https, bool on)
{
	if (w->polled[https] == on)
		return;
	w->polled[https] = on;
	for (size_t i = 0; i < w->settings.n_listeners; i++) {
		struct loop_watch *l = &w->listeners[i];
		int fd = FIRST_LISTENER_FD + (int)i;

		if (is_https(w, i) != https)
			continue;
		if (!on) {
			(void)loop_remove(&w->loop, l);
			continue;
		}
		*l = (struct loop_watch){fd, on_listener};
		watch_listener(w, l);
	}
}

void
web_update_listening(struct web *w)
{
	bool on = w->listening && !w->stopping && w->rest_until_ms == 0 &&
		  !w->full[ROOM_CONNECTIONS];

	poll_listeners(w, false, on);
	poll_listeners(
	    w, true, on && w->https.known && !w->full[ROOM_HANDSHAKES]);
}

/*
 * Whoever waits in the queue of a listener that nobody else has (a reload
 * without it, the end) would be reset when its last descriptor is closed. At the
 * others new workers take over, who may have been told something else.
 * Done at the end of a round, when what conns_stop closed is free.
 */
static void
leave_listeners(struct web *w)
{
	if (w->left || (!w->listening && w->alone != 0))
		return;
	w->left = true;
	for (size_t i = 0; i < w->settings.n_listeners; i++) {
		bool https = is_https(w, i);
		bool open =
		    (w->alone >> i & 1) != 0 && (!https || w->https.known);
		int fd = FIRST_LISTENER_FD + (int)i;

		for (int n = 0; open && n < WAITING_MOST; n++)
			open = conn_accept(w, fd, https);
		fd_close(&fd);
	}
	conns_hurry(w);
	/* Their events and questions go with the next round. */
	w->loop.poll_once = true;
}

void
web_start_listening(struct web *w)
{
	w->listening = true;
	web_update_listening(w);
}

void
web_pause_listening(struct web *w, enum room full)
{
	uint64_t held_back;

	if (w->full[full])
		return;
	w->full[full] = true;
	web_update_listening(w);
	if (full == ROOM_CONNECTIONS && !w->stopping &&
	    log_limit_pass(&w->log_full, w->loop.now_ms, &held_back))
		log_warn("full connections=%zu: new ones wait; see [clients] "
			 "max_connections",
		    w->n_live);
}

void
web_resume_listening(struct web *w, enum room full)
{
	w->full[full] = false;
	web_update_listening(w);
}

/* --- rounds ------------------------------------------------------------ */

static void
after_round(void *owner)
{
	struct web *w = owner;

	handshakes_after_round(w);
	channels_flush(w);
	batches_flush(w);
	conns_after_round(w);
	if (w->stopping)
		leave_listeners(w);
	access_after_round(w);
	if (w->stopping && w->left && w->n_live == 0 && batches_empty(w) &&
	    access_finish(w)) {
		w->next_counters_ms = 0;
		channels_send_counters(w);
		loop_stop(&w->loop);
	}
}

static void
wake_if(struct web *w, uint64_t when_ms)
{
	if (when_ms != 0)
		loop_wake_at(&w->loop, when_ms);
}

static void
on_due(void *owner)
{
	struct web *w = owner;

	if (!w->listening && w->loop.now_ms >= w->table_wait_until_ms)
		web_start_listening(w);
	else if (!w->listening)
		loop_wake_at(&w->loop, w->table_wait_until_ms);
	wake_if(w, batches_due(w));
	wake_if(w, conns_due(w));
	wake_if(w, access_due(w));
	channels_send_counters(w);
	tls_forget_sessions(w);
}

/* --- start ------------------------------------------------------------- */

static int
copy_trusted(struct web *w, struct err *e)
{
	const struct ipc_list *list = &w->settings.trusted;
	struct cursor c = cursor_of(list->records);
	struct ipc_network row;

	w->n_trusted = list->count;
	w->trusted = calloc(list->count + 1u, sizeof(w->trusted[0]));
	if (w->trusted == NULL)
		return err_errno(e, "no memory for trusted_proxies");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_network_record, &row);
		for (size_t j = 0; j < sizeof(row.ip); j++)
			w->trusted[i].addr.ip[j] = row.ip[j];
		w->trusted[i].prefix = row.prefix;
	}
	return 0;
}

static int
open_tables(struct web *w, struct err *e)
{
	struct hash_key key;

	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		return err_errno(e, "no random bytes");
	http_replies_init(&w->replies);
	servers_init(&w->servers, &key);
	w->listeners = calloc(w->settings.n_listeners, sizeof(w->listeners[0]));
	if (w->listeners == NULL || links_init(&w->links, &key) != 0 ||
	    batches_open(w) != 0)
		return err_errno(e, "no memory for tables");
	return 0;
}

static int
start(struct web *w, const char *argv0, struct err *e)
{
	struct role_needs needs = {.root_fd = EMPTY_ROOT_FD};
	struct hash_key shared_key;
	int shared = SHARED_FD, sessions = SESSIONS_FD;

	if (role_take(&w->role, IPC_WEB, argv0, IPC_WEB_SETTINGS, e) != 0)
		return -1;
	w->settings = w->role.settings.web_settings;
	shared_key = (struct hash_key){w->settings.k0, w->settings.k1};
	if (w->role.n_fds != 3 + w->settings.n_listeners ||
	    w->settings.n_https > w->settings.n_listeners)
		return err_set(e, "PARAMS and descriptors disagree");
	if (copy_trusted(w, e) != 0 || open_tables(w, e) != 0 ||
	    conns_open(w, e) != 0 || access_open(w, e) != 0 ||
	    tls_open(w, sessions, e) != 0 || loop_open(&w->loop, w, e) != 0 ||
	    limits_open(&w->limits, shared, w->settings.index,
		w->settings.workers, &shared_key, e) != 0)
		return -1;
	fd_close(&shared);
	fd_close(&sessions);
	needs.descriptors = w->settings.max_connections +
			    w->settings.n_listeners + KEEPERS_MAX + OTHER_FDS;
	if (role_restrict(&w->role, &needs, e) != 0 || channels_open(w, e) != 0)
		return -1;
	w->loop.after_round = after_round;
	w->loop.on_due = on_due;
	w->table_wait_until_ms = w->loop.now_ms + TABLE_WAIT_MS;
	loop_wake_at(&w->loop, 1);
	return role_ready(&w->role, false, e);
}

int
web_main(const char *argv0)
{
	struct err e;

	if (start(&web, argv0, &e) != 0 || loop_run(&web.loop, &e) != 0)
		role_fatal(&e);
	return EX_OK;
}
