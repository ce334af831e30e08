/*
 * known_challenges.c - ACME challenges of Postal 1.x, as the forwarder says
 *
 * Runs in the store. They are kept in replica.db, in the order of Postal's
 * table. Postal writes one and has the authority ask for it at once: whoever
 * asks for one that is not known waits until the table has been read again.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_MAX ((size_t)4 * 1024 * 1024)
/* However many strangers ask. */
#define READ_EVERY_MS 500

/* --- KNOWN_CHALLENGES -------------------------------------------------- */

/* Security: what a path could be made of is refused, as in a worker's
 * question. */
static bool
are_tokens(const struct ipc_list *rows)
{
	struct cursor c = cursor_of(rows->records);
	struct ipc_challenge_row row;

	for (size_t i = 0; i < rows->count; i++) {
		ipc_next(&c, &ipc_challenge_row_record, &row);
		if (!challenge_is_token(row.token))
			return false;
	}
	return true;
}

static unsigned int
gather(struct store *s, const struct ipc_known_challenges *part)
{
	struct challenges *c = &s->challenges;
	size_t more = part->rows.records.len;
	uint8_t *grown;

	if (!are_tokens(&part->rows))
		return IPC_BREACH_FORM;
	if ((part->flags & IPC_SERVERS_FIRST) != 0) {
		c->begun = true;
		c->len = c->n = 0;
		c->table = (part->flags & IPC_CHALLENGES_TABLE) != 0;
	}
	if (!c->begun)
		return IPC_BREACH_ORDER;
	if (c->len + more > BYTES_MAX)
		return IPC_BREACH_FLOOD;
	grown = realloc(c->bytes, c->len + more + 1);
	if (grown == NULL)
		return IPC_BREACH_FLOOD;
	c->bytes = grown;
	if (more > 0)
		memcpy(grown + c->len, part->rows.records.p, more);
	c->len += more;
	c->n += part->rows.count;
	return 0;
}

static enum database_result
save(struct store *s, struct err *e)
{
	const struct challenges *all = &s->challenges;
	struct cursor c = cursor_of((struct span){all->bytes, all->len});
	enum database_result r = replica_begin(&s->links, e);
	struct ipc_challenge_row row;

	if (r == DATABASE_OK)
		r = replica_clear_challenges(&s->links, e);
	for (size_t i = 0; r == DATABASE_OK && i < all->n; i++) {
		ipc_next(&c, &ipc_challenge_row_record, &row);
		r = replica_put_challenge(&s->links, &row, e);
	}
	if (r == DATABASE_OK)
		r = replica_commit(&s->links, e);
	if (r != DATABASE_OK)
		replica_rollback(&s->links);
	return r;
}

unsigned int
known_take_challenges(struct store *s, const struct ipc_known_challenges *part,
    enum database_result *r, struct err *e)
{
	struct challenges *c = &s->challenges;
	unsigned int breach = gather(s, part);
	uint64_t hash;

	*r = DATABASE_OK;
	if (breach != 0 || (part->flags & IPC_SERVERS_LAST) == 0)
		return breach;
	c->begun = false;
	hash =
	    hash_bytes(&s->searches.key, (struct span){c->bytes, c->len}) | 1;
	if (hash != c->saved_hash)
		*r = save(s, e);
	if (*r == DATABASE_OK)
		c->saved_hash = hash;
	return 0;
}

/* --- those who wait ---------------------------------------------------- */

static void
remove_wait(struct challenges *c, size_t i)
{
	c->n_waits--;
	c->waits[i] = c->waits[c->n_waits];
}

static void
answer_wait(struct store *s, size_t i)
{
	const struct challenge_wait wait = s->challenges.waits[i];
	struct worker *w = &s->workers[wait.worker];
	struct ipc_challenge challenge = {wait.ask, {wait.token, wait.len}};

	remove_wait(&s->challenges, i);
	if (w->channel.fd >= 0 && w->instance == wait.instance)
		challenge_answer_known(w, &challenge);
}

static void
ask_forwarder(struct store *s)
{
	struct challenges *c = &s->challenges;

	if (c->n_waits == 0 || c->asked)
		return;
	if (s->loop.now_ms < c->next_ask_ms) {
		loop_wake_at(&s->loop, c->next_ask_ms);
		return;
	}
	if (!forwarder_ask_challenges(s))
		return;
	c->asked = true;
	c->asked_at_ms = s->loop.now_ms;
	c->next_ask_ms = s->loop.now_ms + READ_EVERY_MS;
}

bool
challenges_wait(struct worker *w, const struct ipc_challenge *challenge)
{
	struct store *s = w->store;
	struct challenges *c = &s->challenges;
	struct challenge_wait *wait = &c->waits[c->n_waits];

	if (!c->table || !forwarder_can_search(s) ||
	    c->n_waits == CHALLENGES_WAITING)
		return false;
	*wait = (struct challenge_wait){.worker = (uint16_t)(w - s->workers),
	    .instance = w->instance,
	    .ask = challenge->ask,
	    .since_ms = s->loop.now_ms,
	    .len = (uint8_t)challenge->token.len};
	memcpy(wait->token, challenge->token.p, challenge->token.len);
	c->n_waits++;
	ask_forwarder(s);
	loop_wake_at(&s->loop, s->loop.now_ms + s->settings.lookup_timeout_ms);
	return true;
}

void
challenges_were_read(struct store *s)
{
	struct challenges *c = &s->challenges;

	/* Those who came after the question wait for the next one, unless
	 * theirs is there already. */
	for (size_t i = c->n_waits; i > 0; i--) {
		const struct challenge_wait *wait = &c->waits[i - 1];

		if ((c->asked && wait->since_ms <= c->asked_at_ms) ||
		    challenge_is_known(
			s, (struct span){wait->token, wait->len}))
			answer_wait(s, i - 1);
	}
	c->asked = false;
	ask_forwarder(s);
}

void
challenges_due(struct store *s)
{
	struct challenges *c = &s->challenges;

	for (size_t i = c->n_waits; i > 0; i--) {
		uint64_t until =
		    c->waits[i - 1].since_ms + s->settings.lookup_timeout_ms;

		if (s->loop.now_ms >= until)
			answer_wait(s, i - 1);
		else
			loop_wake_at(&s->loop, until);
	}
	ask_forwarder(s);
}

void
challenges_forget(struct store *s)
{
	struct challenges *c = &s->challenges;

	free(c->bytes);
	c->bytes = NULL;
	c->len = c->n = 0;
	c->begun = c->asked = c->table = false;
	while (c->n_waits > 0)
		answer_wait(s, c->n_waits - 1);
}
