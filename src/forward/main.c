/*
 * main.c - the forwarder: starts, gives itself up, takes turns
 *
 * Reads tracker.conf and the passwords, opens the client library, enters its
 * jail, and then goes round: connections, searches, events, replica. What it
 * waits for is store.sock, a signal, or the next time that something is due.
 */
#include "forward/forward.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "forward/forwarder.h"
#include "forward/jail.h"
#include "forward/ledger.h"
#include "forward/resolver.h"
#include "monitor/monitor.h"
#include "monitor/notify.h"
#include "monitor/settings.h"

#define FEED_BACKOFF_FIRST_MS 100
#define FEED_BACKOFF_MOST_MS 2000
#define STATE_EVERY_MS 1000

struct process {
	struct config config;
	struct forwarder forwarder;
	struct notify notify;
	int signals_fd;
	bool ready; /* said so */
	uint64_t watchdog_at_ms;
	bool stopping;
};

/* --- errors ------------------------------------------------------------- */

void
forward_note_error(
    struct forwarder *f, struct log_limit *limit, const struct err *e)
{
	char text[ERR_TEXT_SIZE];
	uint64_t held_back, now = clock_mono_ms();

	(void)log_escape(span_of(e->text), text, sizeof(text));
	(void)snprintf(f->error, sizeof(f->error), "%.255s", e->text);
	f->state_at_ms = 0;
	if (log_limit_pass(limit, now, &held_back))
		log_err("failed error=%s more=%" PRIu64, text, held_back);
}

void
forward_note_success(struct forwarder *f)
{
	if (f->error[0] == '\0')
		return;
	f->error[0] = '\0';
	f->state_at_ms = 0;
}

/* --- connections -------------------------------------------------------- */

static bool
connect_host(struct forwarder *f, struct host *h, struct log_limit *limit)
{
	uint64_t session = h->session;
	struct err e;
	bool tried;

	if (host_is_up(h, clock_mono_ms(), &tried, &e)) {
		if (h->session != session) {
			log_notice("connected section=%s server=%s tls=%s",
			    h->section, sql_server_version(&h->sql),
			    sql_cipher(&h->sql)[0] != '\0' ? sql_cipher(&h->sql)
							   : "off");
			*limit = (struct log_limit){0, 0};
			forward_note_success(f);
		}
		return true;
	}
	if (tried)
		forward_note_error(f, limit, &e);
	return false;
}

/* Both servers; they are asked for, whatever the other one does. */
static bool
connect_hosts(struct forwarder *f)
{
	bool main = connect_host(f, f->main, &f->log_host[0]);
	bool message = f->main == f->message
			   ? main
			   : connect_host(f, f->message, &f->log_host[1]);
	bool was = f->state.connected != 0;

	f->state.connected = main && message;
	if (was != (main && message))
		f->state_at_ms = 0;
	return main && message;
}

/* What another store was told it has to be told too. */
static int
begin_with_store(struct forwarder *f, struct err *e)
{
	f->servers_sent = f->domains_sent = 0;
	f->servers_at_ms = f->domains_at_ms = 0;
	f->certificates.challenges_sent = f->certificates.at_ms = 0;
	f->state_at_ms = 0;
	f->feed.due = true;
	return forward_load_aside(f, e);
}

static bool
connect_store(struct forwarder *f)
{
	uint64_t now = clock_mono_ms();
	struct err e;

	if (feed_is_up(&f->feed))
		return true;
	if (now < f->feed_try_ms)
		return false;
	if (feed_connect(&f->feed, f->config->spool.socket, f->store_uid, &e) ==
		0 &&
	    begin_with_store(f, &e) == 0) {
		log_notice("connected socket=%s", f->config->spool.socket);
		f->feed_backoff_ms = 0;
		f->log_feed = (struct log_limit){0, 0};
		return true;
	}
	feed_drop(&f->feed);
	f->feed_backoff_ms = f->feed_backoff_ms == 0 ? FEED_BACKOFF_FIRST_MS
						     : f->feed_backoff_ms * 2;
	if (f->feed_backoff_ms > FEED_BACKOFF_MOST_MS)
		f->feed_backoff_ms = FEED_BACKOFF_MOST_MS;
	f->feed_try_ms = now + f->feed_backoff_ms;
	forward_note_error(f, &f->log_feed, &e);
	return false;
}

/* --- what the store tells people ----------------------------------------- */

/* Events a second since the oldest of the last samples; takes one more when
 * a second has passed. */
static uint32_t
measure_rate(struct forwarder *f, uint64_t now)
{
	size_t n = f->n_samples, at = n % FORWARD_SAMPLES;
	size_t newest = (n + FORWARD_SAMPLES - 1) % FORWARD_SAMPLES;
	size_t oldest = n < FORWARD_SAMPLES ? 0 : at;
	uint64_t passed;

	if (n == 0 || now - f->samples[newest].at_ms >= STATE_EVERY_MS) {
		f->samples[at].at_ms = now;
		f->samples[at].written = f->state.written;
		f->n_samples++;
		if (n >= FORWARD_SAMPLES)
			oldest = (at + 1) % FORWARD_SAMPLES;
	}
	passed = now - f->samples[oldest].at_ms;
	if (passed < STATE_EVERY_MS)
		return 0;
	return (uint32_t)((f->state.written - f->samples[oldest].written) *
			  1000 / passed);
}

static void
say_state(struct forwarder *f)
{
	uint64_t now = clock_mono_ms();

	if (now < f->state_at_ms || !feed_is_up(&f->feed))
		return;
	f->state.databases = (uint32_t)mail_servers_count(&f->servers, false);
	f->state.broken = (uint32_t)mail_servers_count(&f->servers, true);
	f->state.error = span_of(f->error);
	f->state.rate = measure_rate(f, now);
	feed_say(&f->feed, IPC_FORWARDER_STATE, &f->state);
	f->state_at_ms = now + STATE_EVERY_MS;
}

/* --- turns ---------------------------------------------------------------- */

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* A try that was never put off is due at once, and 0 stands for "never". */
static uint64_t
try_at(uint64_t try_ms)
{
	return try_ms == 0 ? 1 : try_ms;
}

/* When something is due that no descriptor announces. */
static uint64_t
next_due(const struct forwarder *f, uint64_t retry_ms)
{
	uint64_t next = clock_earlier(retry_ms, f->state_at_ms);
	bool main = sql_is_open(&f->main->sql);
	bool message = sql_is_open(&f->message->sql);

	if (!feed_is_up(&f->feed))
		return f->feed_try_ms;
	if (!main)
		next = clock_earlier(next, try_at(f->main->next_try_ms));
	else
		next = clock_earlier(next, f->certificates.at_ms);
	if (!message)
		next = clock_earlier(next, try_at(f->message->next_try_ms));
	if (!main || !message)
		return next;
	next = clock_earlier(next, later(f->links_at_ms, f->replicate_try_ms));
	next =
	    clock_earlier(next, later(f->servers_at_ms, f->replicate_try_ms));
	if (f->feed.due && f->servers_known)
		next = clock_earlier(next, try_at(f->drain_try_ms));
	return next;
}

/* One round of everything. Returns when the next one is due; 0: at once. */
static uint64_t
take_turns(struct forwarder *f)
{
	enum turn drain = TURN_IDLE, replica = TURN_IDLE, certificates;
	uint64_t retry_ms = 0;
	bool hosts = connect_hosts(f);

	if (!connect_store(f))
		return next_due(f, 0);
	say_state(f);
	forward_search(f);
	certificates = forward_replicate_certificates(f);
	if (hosts) {
		drain = forward_drain(f);
		if (drain == TURN_MORE)
			forward_note_success(f);
		replica = forward_replicate(f);
		retry_ms = forward_retry_aside(f);
	}
	feed_await_events(&f->feed);
	if (drain == TURN_MORE || replica == TURN_MORE ||
	    certificates == TURN_MORE ||
	    (f->feed.challenges_due && certificates == TURN_IDLE &&
		sql_is_open(&f->main->sql)))
		return 0;
	return next_due(f, retry_ms);
}

/* --- signals --------------------------------------------------------------- */

static sigset_t
signals_wanted(void)
{
	static const int wanted[] = {SIGHUP, SIGINT, SIGTERM};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	return set;
}

/* They wait until somebody watches: a reload that comes while we are only
 * starting would end us. */
static void
hold_signals(void)
{
	sigset_t set = signals_wanted();

	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int
watch_signals(struct process *p, struct err *e)
{
	sigset_t set = signals_wanted();

	p->signals_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || p->signals_fd < 0)
		return err_errno(e, "cannot watch signals");
	return 0;
}

/* Everything that was read once is read again. The jail has no tracker.conf,
 * so that a changed one needs a restart; nothing is lost by it. */
static void
read_again(struct forwarder *f)
{
	log_notice("reload: servers, webhooks and links are read again; a "
		   "changed tracker.conf needs a restart of the forwarder");
	f->servers_sent = f->domains_sent = 0;
	f->servers_at_ms = f->domains_at_ms = f->links_at_ms = 0;
	f->replicate_try_ms = f->drain_try_ms = 0;
	host_try_now(f->main);
	host_try_now(f->message);
	f->certificates.challenges_sent = f->certificates.at_ms = 0;
	f->certificates.told = 0;
	hooks_forget(&f->hooks);
	ledger_forget(f);
	for (size_t i = 0; i < f->servers.n; i++) {
		struct mail_server *server = f->servers.list[i];

		server->unreadable = false;
		server->read_at_ms = 0;
		server->quiet = 0;
		if (server->broken || server->aside)
			server->retry_at_ms = 0;
		server->probing = false;
	}
}

static void
take_signals(struct process *p)
{
	struct signalfd_siginfo info;

	while (read(p->signals_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			read_again(&p->forwarder);
			continue;
		}
		log_notice("stop signal=%d", (int)info.ssi_signo);
		p->stopping = true;
	}
}

static void
wait_until(struct process *p, uint64_t due_ms)
{
	uint64_t now = clock_mono_ms();
	struct pollfd fds[] = {
	    {.fd = p->signals_fd, .events = POLLIN},
	    {.fd = p->forwarder.feed.channel.fd, .events = POLLIN},
	};
	int timeout = due_ms <= now ? 0 : (int)(due_ms - now);

	(void)poll(fds, ARRAY_LENGTH(fds), timeout);
	take_signals(p);
}

/* A database that takes its time is no reason to be restarted; a turn has a
 * bound. Returns when the next turn has to be at the latest. */
static uint64_t
feed_watchdog(struct process *p, uint64_t due_ms)
{
	uint64_t now = clock_mono_ms();

	if (p->notify.watchdog_ms == 0)
		return due_ms;
	if (now >= p->watchdog_at_ms) {
		notify_send(&p->notify, "WATCHDOG=1");
		p->watchdog_at_ms = now + p->notify.watchdog_ms;
	}
	return due_ms < p->watchdog_at_ms ? due_ms : p->watchdog_at_ms;
}

static void
serve(struct process *p)
{
	struct forwarder *f = &p->forwarder;

	while (!p->stopping) {
		uint64_t due_ms = take_turns(f);

		if (!p->ready && feed_is_up(&f->feed)) {
			p->ready = true;
			notify_ready(
			    &p->notify, "READY=1\nSTATUS=forwarding events");
		}
		notify_repeat(&p->notify);
		wait_until(p, feed_watchdog(p, due_ms));
	}
}

/* --- start and end ---------------------------------------------------------- */

static int
get_memory(struct forwarder *f, struct err *e)
{
	f->text = malloc(FORWARD_TEXT_SIZE);
	f->rows = malloc(IPC_RECORD_MAX);
	if (f->text == NULL || f->rows == NULL)
		return err_errno(e, "no memory");
	if (row_sender_init(&f->certificates.sender, e) != 0)
		return -1;
	return feed_open(&f->feed, e);
}

static int
open_hosts(struct forwarder *f, struct err *e)
{
	f->main = &f->main_host;
	f->message =
	    f->targets.same_connection ? &f->main_host : &f->message_host;
	f->servers.prefix = f->targets.prefix;
	if (host_open(&f->main_host, &f->library, "[main_db]", &f->targets.main,
		e) != 0)
		return -1;
	if (f->main == f->message)
		return 0;
	return host_open(&f->message_host, &f->library, "[message_db]",
	    &f->targets.message, e);
}

/* The store's user, to know its socket by; the forwarder's is the jail's. */
static int
find_store_user(struct process *p, struct err *e)
{
	struct config_user user;

	if (config_user_find(p->config.sandbox.store_user, &user, e) != 0)
		return -1;
	p->forwarder.store_uid = user.uid;
	return 0;
}

static int
enter_jail(struct process *p, struct err *e)
{
	struct forward_jail jail;

	if (forward_enter_jail(&p->config, &p->forwarder.targets, &jail, e) !=
	    0)
		return -1;
	if (jail.user.fallback && jail.root)
		log_warn("user missing role=forwarder name=%s: uid %d is used; "
			 "the packages make this user",
		    p->config.forwarder.user, (int)jail.user.uid);
	if (jail.missing[0] != '\0')
		log_warn("sandbox incomplete: %s", jail.missing);
	return 0;
}

static int
start(struct process *p, struct err *e)
{
	struct forwarder *f = &p->forwarder;
	char main_name[SQL_QUOTED_SIZE];

	if (p->config.postal.mode != CONFIG_MODE_MYSQL)
		return err_set(e,
		    "[postal] mode = standalone: nothing is forwarded; set "
		    "mode = mysql for the daemon and the forwarder");
	f->config = &p->config;
	(void)tzset();
	if (sql_quote_name(span_of(p->config.main_db.database), main_name) != 0)
		return err_set(e,
		    "[main_db] database: no database can be named %s",
		    p->config.main_db.database);
	memcpy(f->main_database, main_name, sizeof(main_name));
	if (watch_signals(p, e) != 0 || find_store_user(p, e) != 0 ||
	    get_memory(f, e) != 0 ||
	    targets_open(&p->config, &f->targets, e) != 0 ||
	    sql_library_open(&f->library, e) != 0 || open_hosts(f, e) != 0)
		return -1;
	resolver_prepare();
	return enter_jail(p, e);
}

static void
clear(struct process *p)
{
	struct forwarder *f = &p->forwarder;

	notify_stopping(&p->notify, "STOPPING=1");
	feed_drop(&f->feed);
	host_drop(&f->main_host);
	host_drop(&f->message_host);
	free(f->main_host.statements);
	free(f->message_host.statements);
	hooks_clear(&f->hooks);
	mail_servers_clear(&f->servers);
	arena_clear(&f->page);
	arena_clear(&f->work);
	arena_clear(&f->search);
	row_sender_clear(&f->certificates.sender);
	free(f->certificates.list);
	free(f->feed.buffer);
	free(f->feed.scratch);
	free(f->feed.searches);
	free(f->text);
	free(f->rows);
	targets_clear(&f->targets);
	notify_close(&p->notify);
	fd_close(&p->signals_fd);
}

/* Exit code of a start that failed, from the cause. */
static int
exit_code_of(const struct err *e)
{
	return e->code == EACCES || e->code == EPERM ? EX_NOPERM : EX_CONFIG;
}

int
forward_run(const char *path)
{
	struct process *p = calloc(1, sizeof(*p));
	struct err e = {0};
	int exit_code = EX_OK;

	hold_signals();
	log_open("forwarder", LOG_LEVEL_INFO);
	if (p == NULL) {
		log_err("not started: no memory");
		return EX_OSERR;
	}
	p->signals_fd = p->notify.fd = p->forwarder.feed.channel.fd = -1;
	p->forwarder.certificates.sender.channel.fd = -1;
	notify_open(&p->notify);
	if (monitor_load_config(path, &p->config) != 0) {
		log_err("not started: the configuration has errors");
		exit_code = EX_CONFIG;
	} else {
		log_set_level(settings_log_level(&p->config));
		if (start(p, &e) != 0) {
			log_err("not started: %s", e.text);
			exit_code = exit_code_of(&e);
		} else {
			serve(p);
		}
	}
	clear(p);
	log_notice("stopped exit=%d", exit_code);
	free(p);
	return exit_code;
}
