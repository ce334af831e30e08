/*
 * search.c - links that are being looked for in MySQL, and who waits for them
 *
 * Pure.
 */
#include "store/search.h"

#include <string.h>

void
searches_init(struct searches *t, const struct hash_key *key)
{
	/* Too large for a compound literal, which may live on the stack. */
	memset(t, 0, sizeof(*t));
	t->key = *key;
	t->free_waiters = 1;
	for (uint16_t i = 0; i < SEARCH_WAITERS_MAX; i++)
		t->waiters[i].next =
		    (uint16_t)(i + 1 < SEARCH_WAITERS_MAX ? i + 2 : 0);
}

static uint64_t
hash_of(const struct searches *t, uint32_t server_id, struct span token)
{
	uint8_t bytes[IPC_TOKEN_MAX + 4];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u32(&w, server_id);
	writer_bytes(&w, token);
	return hash_bytes(&t->key, writer_span(&w));
}

/* --- searches ---------------------------------------------------------- */

struct search *
searches_same(struct searches *t, uint32_t server_id, struct span token)
{
	uint64_t hash = hash_of(t, server_id, token);

	for (size_t i = 0; t->n > 0 && i < SEARCHES_MAX; i++) {
		struct search *s = &t->list[i];

		if (s->ask != 0 && s->hash == hash &&
		    s->server_id == server_id &&
		    span_equal((struct span){s->token, s->len}, token))
			return s;
	}
	return NULL;
}

struct search *
searches_add(
    struct searches *t, uint32_t server_id, struct span token, uint64_t due_ms)
{
	struct search *s = NULL;

	if (t->n == SEARCHES_MAX || token.len > IPC_TOKEN_MAX)
		return NULL;
	for (size_t i = 0; i < SEARCHES_MAX && s == NULL; i++)
		if (t->list[i].ask == 0)
			s = &t->list[i];
	if (s == NULL)
		return NULL;
	*s = (struct search){.ask = ++t->last_ask,
	    .hash = hash_of(t, server_id, token),
	    .due_ms = due_ms,
	    .server_id = server_id,
	    .len = (uint8_t)token.len};
	if (token.len > 0)
		memcpy(s->token, token.p, token.len);
	t->n++;
	return s;
}

struct search *
searches_to_send(struct searches *t)
{
	struct search *oldest = NULL;

	if (t->n_sent >= SEARCHES_SENT_MAX || t->n_sent == t->n)
		return NULL;
	for (size_t i = 0; i < SEARCHES_MAX; i++) {
		struct search *s = &t->list[i];

		if (s->ask != 0 && !s->sent &&
		    (oldest == NULL || s->ask < oldest->ask))
			oldest = s;
	}
	return oldest;
}

void
searches_sent(struct searches *t, struct search *s)
{
	t->n_sent += s->sent ? 0 : 1;
	s->sent = true;
}

struct search *
searches_of(struct searches *t, uint64_t ask)
{
	for (size_t i = 0; ask != 0 && i < SEARCHES_MAX; i++)
		if (t->list[i].ask == ask)
			return &t->list[i];
	return NULL;
}

bool
searches_had(const struct searches *t, uint64_t ask)
{
	return ask != 0 && ask <= t->last_ask;
}

struct search *
searches_late(struct searches *t, uint64_t now_ms)
{
	for (size_t i = 0; t->n > 0 && i < SEARCHES_MAX; i++)
		if (t->list[i].ask != 0 && t->list[i].due_ms <= now_ms)
			return &t->list[i];
	return NULL;
}

void
searches_passed(struct searches *t, struct search *s, uint64_t now_ms)
{
	if (s->sent && !s->late) {
		s->late = true;
		s->due_ms = now_ms + SEARCH_LATE_MS;
		return;
	}
	searches_end(t, s);
}

void
searches_end(struct searches *t, struct search *s)
{
	t->n_sent -= s->sent ? 1 : 0;
	t->n--;
	*s = (struct search){.ask = 0};
}

uint64_t
searches_due(const struct searches *t)
{
	uint64_t due = 0;

	for (size_t i = 0; t->n > 0 && i < SEARCHES_MAX; i++)
		if (t->list[i].ask != 0 &&
		    (due == 0 || t->list[i].due_ms < due))
			due = t->list[i].due_ms;
	return due;
}

/* --- who waits --------------------------------------------------------- */

int
searches_wait(struct searches *t, struct search *s, uint16_t worker,
    uint64_t instance, uint64_t ask)
{
	uint16_t at = t->free_waiters;
	struct search_waiter *w;

	if (at == 0)
		return -1;
	w = &t->waiters[at - 1];
	t->free_waiters = w->next;
	*w = (struct search_waiter){instance, ask, worker, s->first};
	s->first = at;
	return 0;
}

static void
free_waiter(struct searches *t, uint16_t at)
{
	t->waiters[at - 1] = (struct search_waiter){.next = t->free_waiters};
	t->free_waiters = at;
}

bool
searches_take_waiter(
    struct searches *t, struct search *s, struct search_waiter *w)
{
	uint16_t at = s->first;

	if (at == 0)
		return false;
	*w = t->waiters[at - 1];
	s->first = w->next;
	free_waiter(t, at);
	return true;
}

static void
forget_in(struct searches *t, struct search *s, uint64_t instance)
{
	uint16_t *from = &s->first;

	while (*from != 0) {
		struct search_waiter *w = &t->waiters[*from - 1];
		uint16_t at = *from;

		if (w->instance != instance) {
			from = &w->next;
			continue;
		}
		*from = w->next;
		free_waiter(t, at);
	}
}

void
searches_forget(struct searches *t, uint64_t instance)
{
	for (size_t i = 0; t->n > 0 && i < SEARCHES_MAX; i++)
		forget_in(t, &t->list[i], instance);
}

/* --- misses ------------------------------------------------------------ */

void
searches_miss(
    struct searches *t, uint32_t server_id, struct span token, uint64_t now_ms)
{
	uint64_t hash = hash_of(t, server_id, token);

	t->misses[hash & (SEARCH_MISSES - 1)] =
	    (struct search_miss){hash, now_ms + SEARCH_MISS_MS};
}

bool
searches_missed(const struct searches *t, uint32_t server_id, struct span token,
    uint64_t now_ms)
{
	uint64_t hash = hash_of(t, server_id, token);
	const struct search_miss *m = &t->misses[hash & (SEARCH_MISSES - 1)];

	return m->hash == hash && now_ms < m->until_ms;
}

/* --- how often --------------------------------------------------------- */

bool
search_bucket_take(struct search_bucket *b, uint64_t now_ms)
{
	uint64_t back = (now_ms - b->at_ms) * SEARCH_RATE;

	b->at_ms = now_ms;
	b->used -= back < b->used ? (uint32_t)back : b->used;
	if (b->used + 1000 > SEARCH_BURST * 1000)
		return false;
	b->used += 1000;
	return true;
}
