/*
 * keep.c - what makes events durable: the round's transaction, and what
 * happens when it fails
 *
 * Runs in the store. A failure never stops the store and never the visitors:
 * the batch is counted as lost, said once in a clear line, and the next one
 * is tried as if nothing had been.
 */
#include "store/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define RELAXED_COMMIT_MS 50
#define RELAXED_COMMIT_EVENTS 4096
#define EXPIRE_BATCHES 200
#define TEND_MS 1000
#define EXPIRE_EVERY_MS 60000

/* --- saying what is wrong ---------------------------------------------- */

void
keep_describe(
    const struct store *s, const struct err *cause, char *text, size_t size)
{
	if (cause->code == SQLITE_FULL && spool_is_open(&s->spool) &&
	    spool_is_at_max_size(&s->spool))
		(void)snprintf(text, size,
		    "the spool is full ([spool] max_size = %" PRIu64
		    " bytes); raise max_size or shorten retention",
		    s->settings.max_size);
	else if (cause->code == SQLITE_FULL)
		(void)snprintf(text, size,
		    "the disk is full; make room on the file system of "
		    "[spool] directory");
	else
		(void)snprintf(text, size,
		    "%.120s; is the file system of [spool] directory writable "
		    "and the disk sound?",
		    cause->text);
}

static void
became_unready(struct store *s, const struct err *cause, uint64_t lost)
{
	uint64_t held_back;

	keep_describe(s, cause, s->reason, sizeof(s->reason));
	s->ready = false;
	s->lost_since += lost;
	if (!log_limit_pass(&s->log_lost, clock_mono_ms(), &held_back))
		return;
	log_err(
	    "lost events=%" PRIu64 " reason=\"%s\"", s->lost_since, s->reason);
	s->said_lost = true;
}

static void
became_ready(struct store *s)
{
	if (s->said_lost) {
		log_notice(
		    "storing again, lost events=%" PRIu64, s->lost_since);
		s->lost_since = 0;
	}
	s->ready = true;
	s->reason[0] = '\0';
	/* On the edge of a full disk it goes back and forth: what was not
	 * said is in the number of the next line. */
	s->said_lost = false;
}

/* After a try to write that nobody waited for. */
static void
note_ready(struct store *s, enum database_result r, const struct err *e)
{
	if (r == DATABASE_OK) {
		became_ready(s);
		return;
	}
	spool_rollback(&s->spool);
	became_unready(s, e, 0);
}

/* --- opening ----------------------------------------------------------- */

static void
put_aside(const char *name, const struct err *cause)
{
	char aside[DATABASE_ASIDE_SIZE];
	struct err e;

	if (database_quarantine(name, "damaged", aside, &e) != 0)
		log_err("damaged file=%s cause=\"%s\": %s", name, cause->text,
		    e.text);
	else
		log_err("damaged file=%s cause=\"%s\" kept_as=%s: a new one "
			"is started; what is in the old one can be recovered "
			"by hand with `sqlite3 %s .recover`",
		    name, cause->text, aside, aside);
}

/* The replica needs no recovery. */
static void
put_replica_aside(const struct err *cause)
{
	char aside[DATABASE_ASIDE_SIZE];
	struct err e;

	if (database_quarantine("replica.db", "damaged", aside, &e) != 0)
		log_err("damaged file=replica.db cause=\"%s\": %s", cause->text,
		    e.text);
	else
		log_err("damaged file=replica.db cause=\"%s\" kept_as=%s: the "
			"replica builds itself again from Postal; the old file "
			"can be deleted",
		    cause->text, aside);
}

static void
put_links_aside(const struct store *s, const struct err *cause)
{
	if (s->settings.mode == IPC_MODE_MYSQL)
		put_replica_aside(cause);
	else
		put_aside("links.db", cause);
}

/* Events of the other mode stay what they are: nobody's data is thrown away or
 * delivered to a stranger. */
static void
put_other_mode_aside(const struct err *cause)
{
	char aside[DATABASE_ASIDE_SIZE];
	struct err e;

	if (database_quarantine("spool.db", "other-mode", aside, &e) != 0)
		log_err("put aside file=spool.db cause=\"%s\": %s", cause->text,
		    e.text);
	else
		log_err("put aside file=spool.db cause=\"%s\" kept_as=%s: a "
			"new one is "
			"started; to go on with the old one, set [postal] mode "
			"back and rename it to spool.db",
		    cause->text, aside);
}

void
keep_open_spool(struct store *s)
{
	struct err e;
	enum ipc_mode mode = (enum ipc_mode)s->settings.mode;
	enum database_result r = spool_open(&s->spool, mode, &e);

	if (r == DATABASE_DAMAGED)
		put_aside("spool.db", &e);
	if (r == DATABASE_OTHER_MODE)
		put_other_mode_aside(&e);
	if (r == DATABASE_DAMAGED || r == DATABASE_OTHER_MODE)
		r = spool_open(&s->spool, mode, &e);
	if (r != DATABASE_OK) {
		became_unready(s, &e, 0);
		return;
	}
	spool_set_max_size(&s->spool, s->settings.max_size);
	if (spool_is_at_max_size(&s->spool))
		r = spool_probe(&s->spool, s->lost_bytes, &e);
	note_ready(s, r, &e);
	/* It may have another node; the forwarder asks again. */
	forwarder_end(s, "the spool was opened again");
}

/* Events that were answered before they were committed. */
static void
lose_uncommitted(struct store *s, const struct err *e)
{
	uint64_t n = s->uncommitted;

	s->uncommitted = 0;
	if (n == 0)
		return;
	spool_count_lost(&s->spool, n);
	became_unready(s, e, n);
}

void
keep_replace_spool(struct store *s, const struct err *e)
{
	spool_rollback(&s->spool);
	lose_uncommitted(s, e);
	spool_close(&s->spool);
	selftest_spool_replaced(s);
	put_aside("spool.db", e);
	keep_open_spool(s);
}

void
keep_open_links(struct store *s)
{
	struct err e;
	enum ipc_mode mode = (enum ipc_mode)s->settings.mode;
	enum database_result r = links_open(&s->links, mode, &e);
	uint64_t held_back;

	if (r == DATABASE_DAMAGED) {
		put_links_aside(s, &e);
		r = links_open(&s->links, mode, &e);
	}
	if (r != DATABASE_OK) {
		if (log_limit_pass(&s->log_links, clock_mono_ms(), &held_back))
			log_err("cannot open file=%s: %s; only links that "
				"workers remember redirect more=%" PRIu64,
			    links_name(mode), e.text, held_back);
		return;
	}
	if (s->links.db.read_only)
		log_warn("read-only file=%s: known links redirect, none can "
			 "be added",
		    links_name(mode));
	known_load(s);
}

void
keep_replace_links(struct store *s, const struct err *e)
{
	links_close(&s->links);
	put_links_aside(s, e);
	keep_open_links(s);
	s->sweep_place = (struct replica_place){0};
	/* It takes the links that it sent for kept. */
	forwarder_end(s, "the replica begins anew");
	workers_send_servers(s, NULL);
}

/* --- the round --------------------------------------------------------- */

static enum database_result
put_batch(struct store *s, const struct spool_batch *batch, struct err *e)
{
	uint64_t last_seq = s->spool.now.last_seq;
	enum database_result r = spool_put(&s->spool, batch, e);

	if (r == DATABASE_OK)
		selftest_put(s, batch, last_seq);
	return r;
}

/* All batches of the round in one transaction. */
static enum database_result
put_round(struct store *s, struct err *e)
{
	enum database_result r = DATABASE_FAILED;

	if (!spool_is_open(&s->spool)) {
		(void)err_set(e, "%s",
		    s->reason[0] != '\0' ? s->reason : "it is not open");
		return r;
	}
	r = spool_begin(&s->spool, e);
	for (size_t i = 0; r == DATABASE_OK && i < WORKERS_MAX; i++)
		if (s->workers[i].under_way)
			r = put_batch(s, &s->workers[i].batch, e);
	if (r == DATABASE_OK && s->settings.durability == IPC_DURABILITY_SYNC)
		r = spool_commit(&s->spool, e);
	return r;
}

static void
acknowledge(struct worker *w, enum ipc_stored_status status)
{
	w->under_way = false;
	w->last_number = w->batch.number;
	worker_tell_stored(w, w->batch.number, status);
}

static uint64_t
acknowledge_round(struct store *s, enum ipc_stored_status status)
{
	uint64_t n = 0;

	for (size_t i = 0; i < WORKERS_MAX; i++) {
		struct worker *w = &s->workers[i];

		if (!w->under_way)
			continue;
		n += w->batch.n_events;
		acknowledge(w, status);
	}
	return n;
}

/* A spool that turned out to be damaged is put aside, and the round tried
 * once more in the new one. */
static enum database_result
put_round_again(struct store *s, struct err *e)
{
	keep_replace_spool(s, e);
	return put_round(s, e);
}

static size_t
round_bytes(const struct store *s)
{
	size_t n = 0;

	for (size_t i = 0; i < WORKERS_MAX; i++)
		if (s->workers[i].under_way)
			n += s->workers[i].batch.servers.len +
			     s->workers[i].batch.events.len;
	return n;
}

static void
lose_round(struct store *s, const struct err *e)
{
	uint64_t n;

	s->lost_bytes = round_bytes(s);
	if (spool_is_open(&s->spool))
		spool_rollback(&s->spool);
	selftest_rolled_back(s);
	n = s->uncommitted + acknowledge_round(s, IPC_STORED_LOST);
	s->uncommitted = 0;
	spool_count_lost(&s->spool, n);
	became_unready(s, e, n);
	/* Until it can be stored again, with nobody there to try. */
	s->tend_at_ms = s->loop.now_ms + TEND_MS;
	loop_wake_at(&s->loop, s->tend_at_ms);
}

void
keep_round(struct store *s)
{
	enum database_result r;
	struct err e = {0};
	uint64_t n;
	bool any = false;

	for (size_t i = 0; i < WORKERS_MAX && !any; i++)
		any = s->workers[i].under_way;
	if (!any)
		return;
	r = put_round(s, &e);
	if (r == DATABASE_DAMAGED)
		r = put_round_again(s, &e);
	if (r != DATABASE_OK) {
		lose_round(s, &e);
		return;
	}
	n = acknowledge_round(s, IPC_STORED_YES);
	if (s->settings.durability == IPC_DURABILITY_SYNC) {
		s->uncommitted = 0;
		became_ready(s);
		selftest_committed(s);
		drain_committed(s);
		return;
	}
	if (s->uncommitted == 0)
		s->commit_at_ms = s->loop.now_ms + RELAXED_COMMIT_MS;
	s->uncommitted += n;
	if (s->uncommitted >= RELAXED_COMMIT_EVENTS)
		keep_commit(s);
	else
		loop_wake_at(&s->loop, s->commit_at_ms);
}

void
keep_commit(struct store *s)
{
	struct err e = {0};

	if (!s->spool.in_transaction)
		return;
	if (spool_commit(&s->spool, &e) != DATABASE_OK) {
		lose_round(s, &e);
		return;
	}
	s->uncommitted = 0;
	became_ready(s);
	selftest_committed(s);
	drain_committed(s);
}

/* --- what is done now and then ----------------------------------------- */

/* One slice; more at the next turn, so that no visitor waits for it. */
static enum database_result
expire(struct store *s, struct err *e)
{
	int64_t before =
	    clock_wall_us() - (int64_t)(s->settings.retention_ms) * 1000;
	enum database_result r;
	uint64_t n = 0;

	r = spool_expire(
	    &s->spool, before, EXPIRE_BATCHES, &n, &s->expiring, e);
	return r;
}

void
keep_tend(struct store *s)
{
	bool standalone = s->settings.mode == IPC_MODE_STANDALONE;
	enum database_result r;
	struct err e = {0};

	s->tend_at_ms = s->loop.now_ms + TEND_MS;
	if (!links_is_open(&s->links) || s->links.db.read_only) {
		links_close(&s->links);
		keep_open_links(s);
		workers_send_servers(s, NULL);
		if (links_is_open(&s->links) && !s->links.db.read_only)
			forwarder_end(s, "the replica was opened again");
	}
	if (!spool_is_open(&s->spool)) {
		keep_open_spool(s);
		return;
	}
	keep_commit(s);
	if (!spool_is_open(&s->spool))
		return;
	spool_save_state(&s->spool, !s->ready);
	r = spool_begin(&s->spool, &e);
	if (r == DATABASE_OK && standalone)
		r = expire(s, &e);
	if (r == DATABASE_OK)
		r = spool_commit(&s->spool, &e);
	/* The counters need no page, and may find room where events do not. */
	if (r == DATABASE_OK && !s->ready)
		r = spool_probe(&s->spool, s->lost_bytes, &e);
	note_ready(s, r, &e);
	if (!s->expiring)
		s->tend_at_ms =
		    s->loop.now_ms + (s->ready ? EXPIRE_EVERY_MS : TEND_MS);
}
