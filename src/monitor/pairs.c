/*
 * pairs.c - which pairs of chain and key there are, and who has them
 *
 * Runs in the monitor. Nothing here waits: a role that has no room gets the
 * rest when it has, and a keeper gets the next pair when it has answered.
 */
#include "monitor/internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

const char *
pairs_shown(const char *name, char text[PAIRS_SHOWN])
{
	return log_escape(span_of(name), text, PAIRS_SHOWN);
}

#define DEATHS_MOST 2

/* --- the list ---------------------------------------------------------- */

static struct pair *
find_id(struct pairs *p, uint32_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].id == id)
			return &p->list[i];
	return NULL;
}

struct pair *
pairs_find(struct pairs *p, const char *name, enum pair_state state)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].state == state &&
		    strcmp(p->list[i].name, name) == 0)
			return &p->list[i];
	return NULL;
}

size_t
pairs_count(const struct pairs *p, enum pair_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->list[i].state == state;
	return n;
}

static bool
is_of_row(const struct pair *pair)
{
	return strncmp(pair->name, PAIRS_OF_ROWS, strlen(PAIRS_OF_ROWS)) == 0;
}

size_t
pairs_count_of_rows(const struct pairs *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += is_of_row(&p->list[i]);
	return n;
}

/* As others see it: a directory's name, or a row's domain. */
static struct span
plain_name(const struct pair *pair)
{
	return span_of(
	    pair->name + (is_of_row(pair) ? strlen(PAIRS_OF_ROWS) : 0));
}

static uint8_t
kind_of(const struct pair *pair)
{
	if (is_of_row(pair))
		return IPC_CERTIFICATE_OF_ROW;
	return strcmp(pair->name, "default") == 0 ? IPC_CERTIFICATE_DEFAULT
						  : IPC_CERTIFICATE_NAMED;
}

static void
remove_pair(struct pairs *p, struct pair *pair)
{
	size_t i = (size_t)(pair - p->list);

	free(pair->name);
	fd_close(&pair->chain_fd);
	fd_close(&pair->key_fd);
	p->n--;
	memmove(pair, pair + 1, (p->n - i) * sizeof(p->list[0]));
}

void
pairs_note_change(struct monitor *m)
{
	if (m->pairs.dirty_at_ms == 0)
		m->pairs.dirty_at_ms = clock_mono_ms();
	loop_wake_at(&m->loop, m->pairs.dirty_at_ms);
}

void
pairs_drop(struct monitor *m, struct pair *pair)
{
	struct ipc_pair_drop body = {pair->id};

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &m->children[i];

		if (c->role == IPC_KEEPER && child_is_running(c) &&
		    c->pairs.sent >= pair->id)
			child_send(c, IPC_PAIR_DROP, &body, -1);
	}
	remove_pair(&m->pairs, pair);
}

void
pairs_retire(struct monitor *m, struct pair *pair)
{
	pair->state = PAIR_RETIRED;
	pair->retirement = ++m->pairs.last_retirement;
	/* Its key is wanted until those that began with it are done. */
	pair->drop_at_ms = 0;
	pairs_note_change(m);
}

/* --- web workers ------------------------------------------------------- */

/* A quarter of the channel's buffer at most is used for this: what else the
 * monitor has to say always finds room. */
bool
pairs_has_room(struct child *c)
{
	struct pollfd p = {.fd = c->channel.fd, .events = POLLOUT};

	if (c->channel.fd < 0)
		return false;
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0)
		return true;
	if (loop_change(&c->monitor->loop, &c->watch, EPOLLIN | EPOLLOUT) != 0)
		child_kill(c);
	return false;
}

static struct pair *
next_served(struct pairs *p, uint32_t after)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].id > after && p->list[i].state == PAIR_SERVED)
			return &p->list[i];
	return NULL;
}

static struct pair *
next_retired(struct pairs *p, uint64_t after)
{
	struct pair *next = NULL;

	for (size_t i = 0; i < p->n; i++) {
		struct pair *each = &p->list[i];

		if (each->state == PAIR_RETIRED && each->retirement > after &&
		    (next == NULL || each->retirement < next->retirement))
			next = each;
	}
	return next;
}

/* What it does not have yet, what it has to forget, and that this is all. */
static void
tell_worker(struct child *c)
{
	struct pairs *p = &c->monitor->pairs;
	struct ipc_certificates_done done = {0};
	struct pair *pair;

	while ((pair = next_served(p, c->pairs.sent)) != NULL) {
		struct ipc_certificate body = {
		    pair->id, kind_of(pair), plain_name(pair)};

		if (!pairs_has_room(c))
			return;
		child_send(c, IPC_CERTIFICATE, &body, pair->chain_fd);
		c->pairs.sent = pair->id;
	}
	while ((pair = next_retired(p, c->pairs.retirements)) != NULL) {
		struct ipc_pair_drop body = {pair->id};

		if (!pairs_has_room(c))
			return;
		/* One that retired before it was sent has no place there. */
		if (pair->id <= c->pairs.sent)
			child_send(c, IPC_PAIR_DROP, &body, -1);
		c->pairs.retirements = pair->retirement;
	}
	if (c->pairs.version == p->version || !pairs_has_room(c))
		return;
	child_send(c, IPC_CERTIFICATES_DONE, &done, -1);
	c->pairs.version = p->version;
}

static void
say_what_is_served(struct monitor *m)
{
	size_t n = pairs_count(&m->pairs, PAIR_SERVED);
	char text[PAIRS_SHOWN];

	if (n > 0) {
		log_notice("certificates served=%zu", n);
		m->pairs.none_was_said = false;
		return;
	}
	if (m->pairs.none_was_said)
		return;
	m->pairs.none_was_said = true;
	if (m->config.https.certificates[0] == '\0')
		log_warn("no certificate: [https] certificates is not set; "
			 "every TLS handshake fails with unrecognized_name");
	else
		log_warn("no certificate in %s: every TLS handshake fails "
			 "with unrecognized_name until there is a directory "
			 "with fullchain.pem and privkey.pem",
		    pairs_shown(m->config.https.certificates, text));
}

void
pairs_publish(struct monitor *m)
{
	m->pairs.version++;
	m->pairs.dirty_at_ms = 0;
	say_what_is_served(m);
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (child_is_worker(&m->children[i]) && m->children[i].https)
			tell_worker(&m->children[i]);
}

/* --- keepers ----------------------------------------------------------- */

static struct pair *
next_for_keeper(struct pairs *p, uint32_t after)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].id > after)
			return &p->list[i];
	return NULL;
}

static void
connect_keeper(struct child *keeper)
{
	struct monitor *m = keeper->monitor;

	keeper->pairs.connected = true;
	log_debug("complete role=keeper[%u] pid=%d pairs=%zu", keeper->index,
	    (int)keeper->pid, m->pairs.n);
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (child_is_worker(&m->children[i]))
			connect_worker(&m->children[i], keeper);
}

static void
feed_keeper(struct child *c)
{
	struct monitor *m = c->monitor;
	struct pair *pair;

	if (c->pairs.awaiting != 0)
		return;
	pair = next_for_keeper(&m->pairs, c->pairs.sent);
	if (pair != NULL) {
		struct ipc_pair_chain chain = {pair->id, span_of(pair->name)};
		struct ipc_pair_key key = {pair->id};

		if (!pairs_has_room(c))
			return;
		c->pairs.sent = c->pairs.awaiting = pair->id;
		c->pairs.awaiting_since_ms = clock_mono_ms();
		child_send(c, IPC_PAIR_CHAIN, &chain, pair->chain_fd);
		if (c->channel.fd >= 0)
			child_send(c, IPC_PAIR_KEY, &key, pair->key_fd);
		loop_wake_at(&m->loop,
		    c->pairs.awaiting_since_ms + PAIRS_ANSWER_WITHIN_MS);
	} else if (!c->pairs.connected) {
		connect_keeper(c);
	}
}

void
pairs_feed(struct monitor *m)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (m->children[i].role == IPC_KEEPER &&
		    child_is_running(&m->children[i]))
			feed_keeper(&m->children[i]);
}

/* Whether every keeper that runs has taken it. */
static bool
all_have(const struct monitor *m, uint32_t id)
{
	size_t n = 0;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		const struct child *c = &m->children[i];

		if (c->role != IPC_KEEPER || !child_is_running(c))
			continue;
		if (c->pairs.sent < id || c->pairs.awaiting == id)
			return false;
		n++;
	}
	return n > 0;
}

void
pairs_promote(struct monitor *m)
{
	struct pairs *p = &m->pairs;
	char text[PAIRS_SHOWN];

	for (size_t i = 0; i < p->n; i++) {
		struct pair *pair = &p->list[i], *old;

		if (pair->state != PAIR_OFFERED || !all_have(m, pair->id))
			continue;
		old = pairs_find(p, pair->name, PAIR_SERVED);
		if (old != NULL)
			pairs_retire(m, old);
		pair->state = PAIR_SERVED;
		log_info("certificate name=%s pair=%u %s",
		    pairs_shown(pair->name, text), pair->id,
		    old != NULL ? "replaced" : "taken");
		pairs_states_refuse(p, pair->name, NULL, NULL);
		pairs_note_change(m);
	}
}

void
pairs_say_refused(struct monitor *m, const char *name, const char *why,
    const struct pair_seen *seen)
{
	bool stays = pairs_find(&m->pairs, name, PAIR_SERVED) != NULL;
	char text[PAIRS_SHOWN];

	log_err("certificate name=%s error=\"%s\"%s", pairs_shown(name, text),
	    why, stays ? ": the pair before it stays in use" : ": not served");
	pairs_states_refuse(&m->pairs, name, why, seen);
}

static void
refuse(struct monitor *m, struct pair *pair, struct span reason)
{
	char text[600], why[ERR_TEXT_SIZE + 1];

	/* The keeper's words, but it is the weaker side. */
	(void)log_escape(reason, text, sizeof(text));
	if (pair->state != PAIR_OFFERED) {
		log_err(
		    "refuse pair=%u error=%s: a keeper that was started again "
		    "does not take it",
		    pair->id, text);
		return;
	}
	if (strlen(text) > 2)
		text[strlen(text) - 1] = '\0';
	(void)span_to_text(span_of(text + 1), why, sizeof(why));
	pairs_say_refused(m, pair->name, why, &pair->seen);
	pairs_drop(m, pair);
	loop_wake_at(&m->loop, m->loop.now_ms);
}

void
pairs_result(struct child *keeper, const union ipc_body *body)
{
	const struct ipc_pair_result *result = &body->pair_result;
	struct monitor *m = keeper->monitor;
	struct pair *pair = find_id(&m->pairs, result->pair);

	if (keeper->role != IPC_KEEPER ||
	    keeper->pairs.awaiting != result->pair) {
		log_err("replace role=keeper[%u] pid=%d reason=\"it sent the "
			"monitor %s\"",
		    keeper->index, (int)keeper->pid,
		    ipc_breach_text(IPC_BREACH_ORDER));
		child_kill(keeper);
		return;
	}
	keeper->pairs.awaiting = 0;
	if (pair != NULL)
		pair->seen = (struct pair_seen){result->chain, result->n_chain,
		    result->n_names, result->not_before, result->not_after};
	if (pair != NULL && !result->ok)
		refuse(m, pair, result->reason);
	pairs_promote(m);
	feed_keeper(keeper);
}

/* --- roles ------------------------------------------------------------- */

static void
tell_or_feed(struct child *c)
{
	struct pairs *p = &c->monitor->pairs;

	if (c->role == IPC_KEEPER)
		feed_keeper(c);
	else if (c->role == IPC_STORE)
		pairs_tell_store(c);
	/* The first set is complete, unless there is something already. */
	else if (c->https && p->version > 0 &&
		 (pairs_count(p, PAIR_SERVED) > 0 ||
		     pairs_count(p, PAIR_OFFERED) == 0))
		tell_worker(c);
}

void
pairs_child_started(struct child *c)
{
	c->pairs = (struct pairs_of_role){
	    .retirements = c->monitor->pairs.last_retirement};
	if (c->monitor->listeners.n_https > 0)
		tell_or_feed(c);
}

/* A pair that a keeper dies of twice is not offered a third time. */
void
pairs_child_ended(struct child *c)
{
	struct monitor *m = c->monitor;
	struct pair *pair = find_id(&m->pairs, c->pairs.awaiting);

	if (c->role != IPC_KEEPER || c->pairs.awaiting == 0 || pair == NULL)
		return;
	if (++pair->deaths >= DEATHS_MOST && pair->state == PAIR_OFFERED)
		refuse(m, pair, span_of("the keeper dies of it"));
}

void
pairs_child_writable(struct child *c)
{
	if (loop_change(&c->monitor->loop, &c->watch, EPOLLIN) != 0)
		child_kill(c);
	else if (child_is_running(c))
		tell_or_feed(c);
}

/* --- the end ----------------------------------------------------------- */

void
pairs_clear(struct pairs *p)
{
	while (p->n > 0)
		remove_pair(p, &p->list[p->n - 1]);
	free(p->list);
	certificates_clear(&p->directory);
	pairs_states_clear(p);
	p->list = NULL;
	p->last_error[0] = '\0';
}
