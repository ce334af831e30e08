/*
 * pairs_watch.c - what the directory of certificates makes of the pairs
 *
 * Runs in the monitor: looks, offers what is new, retires what is gone, and
 * does what is due by the clock.
 */
#include "monitor/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* How often files are looked at: every second, slower when there are many. */
#define LOOK_EVERY_MS 1000
#define LOOK_EACH_MS 10
/* Workers get a set when all pairs are answered, but not later than this. */
#define PUBLISH_WITHIN_MS 5000
/* Handshakes that began with the old pair may end with it. */
#define GRACE_MS 5000

/* --- the directory ----------------------------------------------------- */

bool
pairs_offer(struct monitor *m, const char *name, int chain_fd, int key_fd)
{
	struct pairs *p = &m->pairs;
	struct pair pair = {.id = p->last_id + 1,
	    .name = strdup(name),
	    .chain_fd = chain_fd,
	    .key_fd = key_fd};
	struct pair *older = pairs_find(p, name, PAIR_OFFERED);
	/* That one makes room. */
	size_t others = older != NULL ? p->n - 1 : p->n;

	if (pair.name == NULL || p->list == NULL || others >= p->most) {
		free(pair.name);
		fd_close(&chain_fd);
		fd_close(&key_fd);
		return false;
	}
	if (older != NULL)
		pairs_drop(m, older);
	p->last_id++;
	p->list[p->n++] = pair;
	pairs_states_change(p);
	return true;
}

static void
on_changed(void *owner, const char *name, int chain_fd, int key_fd)
{
	struct monitor *m = owner;

	if (!pairs_offer(m, name, chain_fd, key_fd) &&
	    certificates_postpone(&m->pairs.directory, name))
		pairs_say_refused(m, name, PAIRS_NO_ROOM, NULL);
}

static void
on_unreadable(void *owner, const char *name, const struct err *e)
{
	pairs_say_refused(owner, name, e->text, NULL);
}

void
pairs_withdraw(struct monitor *m, const char *name)
{
	struct pair *pair;
	char text[PAIRS_SHOWN];

	log_notice("certificate name=%s is gone", pairs_shown(name, text));
	pair = pairs_find(&m->pairs, name, PAIR_OFFERED);
	if (pair != NULL)
		pairs_drop(m, pair);
	pair = pairs_find(&m->pairs, name, PAIR_SERVED);
	if (pair != NULL)
		pairs_retire(m, pair);
	pairs_states_refuse(&m->pairs, name, NULL, NULL);
}

static void
on_gone(void *owner, const char *name)
{
	pairs_withdraw(owner, name);
}

static void
on_too_many(void *owner)
{
	(void)owner;
	log_err("more than %d certificates: the others are not served",
	    CERTIFICATES_MAX);
}

/* Two descriptors each, besides those that all else needs. */
static void
fit_descriptors(struct monitor *m)
{
	struct pairs *p = &m->pairs;
	size_t limit = (size_t)fd_raise_limit();
	size_t own = settings_monitor_fds(&m->config);
	size_t room = limit > own ? (limit - own) / 2 : 0;

	p->most = room < IPC_PAIRS_MAX ? room : IPC_PAIRS_MAX;
	if (p->directory.n <= p->most) {
		p->said = 0;
	} else if (p->directory.n != p->said) {
		log_err("%zu certificates need %zu descriptors, and this "
			"process may open %zu: %zu are not served; raise "
			"LimitNOFILE= of the unit or `ulimit -n`, and restart",
		    p->directory.n, p->directory.n * 2 + own, limit,
		    p->directory.n - p->most);
		p->said = p->directory.n;
	}
}

static void
look(struct monitor *m)
{
	struct certificates_found found = {
	    m, on_changed, on_unreadable, on_gone, on_too_many};
	struct pairs *p = &m->pairs;
	const char *directory = m->config.https.certificates;
	struct err e = {0};

	if (p->list == NULL)
		p->list = calloc(IPC_PAIRS_MAX, sizeof(p->list[0]));
	fit_descriptors(m);
	if (directory[0] != '\0' && certificates_look(&p->directory, directory,
					p->look_at_once, &found, &e) != 0) {
		e.text[sizeof(p->last_error) - 1] = '\0';
		if (strcmp(e.text, p->last_error) != 0)
			log_err("[https] certificates %s", e.text);
	}
	memcpy(p->last_error, e.text, sizeof(p->last_error));
	fit_descriptors(m);
	p->look_at_once = false;
	p->next_look_ms =
	    clock_mono_ms() + LOOK_EVERY_MS + p->directory.n * LOOK_EACH_MS;
	pairs_feed(m);
}

void
pairs_look_now(struct monitor *m)
{
	m->pairs.look_at_once = true;
	m->pairs.none_was_said = false;
	look(m);
	pairs_note_change(m);
}

/* --- time -------------------------------------------------------------- */

static bool
all_workers_know(const struct monitor *m, const struct pair *pair)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		const struct child *c = &m->children[i];

		if (child_is_worker(c) &&
		    c->pairs.retirements < pair->retirement)
			return false;
	}
	return true;
}

/* Workers first; then, after the grace, the keepers. */
static uint64_t
drop_what_is_due(struct monitor *m, uint64_t now)
{
	struct pairs *p = &m->pairs;
	uint64_t next = 0;

	for (size_t i = 0; i < p->n;) {
		struct pair *pair = &p->list[i];

		if (pair->state == PAIR_RETIRED && pair->drop_at_ms == 0 &&
		    all_workers_know(m, pair))
			pair->drop_at_ms = now + GRACE_MS;
		if (pair->state == PAIR_RETIRED && pair->drop_at_ms != 0 &&
		    now >= pair->drop_at_ms) {
			log_debug("dropped pair=%u", pair->id);
			pairs_drop(m, pair);
			continue;
		}
		if (pair->state == PAIR_RETIRED)
			next = clock_earlier(next, pair->drop_at_ms != 0
						       ? pair->drop_at_ms
						       : now + LOOK_EVERY_MS);
		i++;
	}
	return next;
}

static uint64_t
end_what_hangs(struct monitor *m, uint64_t now)
{
	uint64_t next = 0;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];
		uint64_t until =
		    c->pairs.awaiting_since_ms + PAIRS_ANSWER_WITHIN_MS;

		if (c->role != IPC_KEEPER || !child_is_running(c) ||
		    c->pairs.awaiting == 0)
			continue;
		if (now < until) {
			next = clock_earlier(next, until);
			continue;
		}
		log_err("kill role=keeper[%u] pid=%d reason=\"it does not "
			"answer\"",
		    c->index, (int)c->pid);
		c->pairs.awaiting = 0;
		child_kill(c);
	}
	return next;
}

uint64_t
pairs_due(struct monitor *m)
{
	struct pairs *p = &m->pairs;
	uint64_t now = clock_mono_ms(), next;

	if (m->listeners.n_https == 0 || m->phase >= PHASE_ENDING)
		return 0;
	if (now >= p->next_look_ms)
		look(m);
	pairs_promote(m);
	if (p->dirty_at_ms != 0 &&
	    ((pairs_count(p, PAIR_OFFERED) == 0 && !handover_goes_on(m, now)) ||
		now >= p->dirty_at_ms + PUBLISH_WITHIN_MS))
		pairs_publish(m);
	next = drop_what_is_due(m, now);
	next = clock_earlier(next, end_what_hangs(m, now));
	if (p->dirty_at_ms != 0)
		next = clock_earlier(next, p->dirty_at_ms + PUBLISH_WITHIN_MS);
	return clock_earlier(next, p->next_look_ms);
}
