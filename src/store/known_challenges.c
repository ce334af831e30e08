/*
 * known_challenges.c - ACME challenges of Postal 1.x, as the forwarder says
 *
 * Runs in the store. They are kept in replica.db, in the order of Postal's
 * table. Postal writes one and has the authority ask for it at once: whoever
 * asks for one that is not known waits until the table has been read again.
 */
#include "store/internal.h"

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
		if (!span_is_base64url(row.token))
			return false;
	}
	return true;
}

static enum database_result
put_next(struct links_db *l, struct cursor *c, struct err *e)
{
	struct ipc_challenge_row row;

	ipc_next(c, &ipc_challenge_row_record, &row);
	return replica_put_challenge(l, &row, e);
}

unsigned int
known_take_challenges(struct store *s, const struct ipc_known_challenges *part,
    enum database_result *r, struct err *e)
{
	static const struct known_table table = {
	    replica_clear_challenges, put_next};
	struct challenges *c = &s->challenges;
	unsigned int breach;

	*r = DATABASE_OK;
	if (!are_tokens(&part->rows))
		return IPC_BREACH_FORM;
	if ((part->flags & IPC_PART_FIRST) != 0)
		c->table = (part->flags & IPC_CHALLENGES_TABLE) != 0;
	breach =
	    known_rows_gather(&c->rows, part->flags, &part->rows, BYTES_MAX);
	if (breach == 0 && (part->flags & IPC_PART_LAST) != 0)
		*r = known_rows_save(s, &c->rows, &table, e);
	return breach;
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

	known_rows_forget(&c->rows);
	c->asked = c->table = false;
	while (c->n_waits > 0)
		answer_wait(s, c->n_waits - 1);
}
