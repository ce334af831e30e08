/*
 * session.c - sessions that can be resumed, in memory that the workers share
 *
 * Effects only on that memory, word by word; see session.h for why there is
 * no lock.
 */
#include "tls/session.h"

#include <stdatomic.h>
#include <string.h>

#include "tls/certificate.h"

#define WORDS (TLS_SESSION_ENTRY_SIZE / 8)
/* Places that an id may be in. */
#define WAYS 4
#define SET_WORDS ((size_t)WAYS * WORDS)
/* id 4, secret 6, name 1, end and suite 1, the rest 0, checksum last. */
#define CHECKSUM (WORDS - 1)
#define END 11

/*
 * The head of the memory: a bit for each part of the table that was ever
 * written. To read the others would have the kernel make pages of them.
 */
#define HEAD_WORDS (TLS_SESSIONS_HEAD_SIZE / 8)
#define PARTS (HEAD_WORDS * 64)
#define SWEEP_PARTS (PARTS / TLS_SESSIONS_SWEEPS)

void
tls_sessions_open(struct tls_sessions *s, void *memory, size_t size,
    const struct hash_key *key)
{
	const size_t set_size = SET_WORDS * 8;

	*s = (struct tls_sessions){.key = *key, .head = memory};
	s->words = s->head + HEAD_WORDS;
	if (size > TLS_SESSIONS_HEAD_SIZE)
		s->n_sets = (size - TLS_SESSIONS_HEAD_SIZE) / set_size;
	s->part_sets = (s->n_sets + PARTS - 1) / PARTS;
}

uint64_t
tls_sessions_name(const struct tls_sessions *s, struct span name)
{
	uint8_t lower[TLS_NAME_MAX];
	size_t len = name.len < sizeof(lower) ? name.len : sizeof(lower);

	if (len > 0 && name.p[len - 1] == '.')
		len--;
	for (size_t i = 0; i < len; i++)
		lower[i] = ascii_lower(name.p[i]);
	return hash_bytes(&s->key, (struct span){lower, len});
}

static _Atomic uint64_t *
set_of(const struct tls_sessions *s, struct span id)
{
	return s->words + hash_bytes(&s->key, id) % s->n_sets * SET_WORDS;
}

static uint64_t
checksum(const struct tls_sessions *s, const uint64_t words[WORDS])
{
	return hash_bytes(&s->key,
	    (struct span){(const uint8_t *)words, CHECKSUM * sizeof(words[0])});
}

static void
pack(const struct tls_sessions *s, const struct tls_session *session,
    uint64_t words[WORDS])
{
	memset(words, 0, TLS_SESSION_ENTRY_SIZE);
	memcpy(words, session->id, sizeof(session->id));
	memcpy(
	    words + 4, session->master_secret, sizeof(session->master_secret));
	words[10] = session->name;
	words[END] = (uint64_t)session->ends_s << 32 | session->suite;
	words[CHECKSUM] = checksum(s, words);
}

static void
unpack(struct tls_session *session, const uint64_t words[WORDS])
{
	memcpy(session->id, words, sizeof(session->id));
	memcpy(
	    session->master_secret, words + 4, sizeof(session->master_secret));
	session->name = words[10];
	session->ends_s = (uint32_t)(words[END] >> 32);
	session->suite = (uint16_t)words[END];
}

static void
load(_Atomic uint64_t *at, uint64_t words[WORDS])
{
	for (size_t i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&at[i], memory_order_relaxed);
}

static uint64_t
end_of(_Atomic uint64_t *way)
{
	return atomic_load_explicit(&way[END], memory_order_relaxed) >> 32;
}

/*
 * Zeroes what has ended, also what is left of an entry whose end is gone
 * already. Who writes an entry there at this moment loses it: half of it is
 * not taken for an entry, and is wiped in its turn.
 */
static void
wipe_ended(_Atomic uint64_t *set, uint32_t now_s)
{
	for (size_t way = 0; way < WAYS; way++) {
		_Atomic uint64_t *at = set + way * WORDS;

		if (end_of(at) > now_s)
			continue;
		/* What is zero is not written: others have it in their cache.
		 */
		for (size_t i = 0; i < WORDS; i++)
			if (atomic_load_explicit(
				&at[i], memory_order_relaxed) != 0)
				atomic_store_explicit(
				    &at[i], 0, memory_order_relaxed);
	}
}

bool
tls_sessions_get(const struct tls_sessions *s, struct span id, uint32_t now_s,
    struct tls_session *session)
{
	uint64_t words[WORDS];
	_Atomic uint64_t *set;
	bool found = false;

	if (id.len != TLS_SESSION_ID_SIZE || s->n_sets == 0)
		return false;
	set = set_of(s, id);
	wipe_ended(set, now_s);
	for (size_t way = 0; way < WAYS && !found; way++) {
		load(set + way * WORDS, words);
		found = memcmp(words, id.p, id.len) == 0 &&
			words[CHECKSUM] == checksum(s, words) &&
			words[END] >> 32 > now_s;
	}
	if (found)
		unpack(session, words);
	explicit_bzero(words, sizeof(words));
	return found;
}

/* Before the first word is written there, so that no sweep passes it by. */
static void
mark(struct tls_sessions *s, const _Atomic uint64_t *set)
{
	size_t part = (size_t)(set - s->words) / SET_WORDS / s->part_sets;
	_Atomic uint64_t *word = &s->head[part / 64];
	uint64_t bit = UINT64_C(1) << part % 64;

	if ((atomic_load_explicit(word, memory_order_relaxed) & bit) == 0)
		(void)atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

void
tls_sessions_put(
    struct tls_sessions *s, const struct tls_session *session, uint32_t now_s)
{
	uint64_t words[WORDS];
	uint64_t first = UINT64_MAX;
	_Atomic uint64_t *set, *at;

	if (s->n_sets == 0)
		return;
	set = set_of(s, (struct span){session->id, sizeof(session->id)});
	mark(s, set);
	wipe_ended(set, now_s);
	at = set;
	for (size_t way = 0; way < WAYS; way++) {
		uint64_t end = end_of(set + way * WORDS);

		if (end < first) {
			first = end;
			at = set + way * WORDS;
		}
	}
	pack(s, session, words);
	for (size_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&at[i], words[i], memory_order_relaxed);
	explicit_bzero(words, sizeof(words));
}

static void
sweep_part(struct tls_sessions *s, size_t part, uint32_t now_s)
{
	uint64_t bits =
	    atomic_load_explicit(&s->head[part / 64], memory_order_relaxed);
	size_t end = (part + 1) * s->part_sets;

	if ((bits >> part % 64 & 1) == 0)
		return;
	for (size_t i = part * s->part_sets; i < end && i < s->n_sets; i++)
		wipe_ended(s->words + i * SET_WORDS, now_s);
}

void
tls_sessions_sweep(struct tls_sessions *s, uint32_t now_s)
{
	if (s->n_sets == 0)
		return;
	for (size_t i = 0; i < SWEEP_PARTS; i++) {
		sweep_part(s, s->next_part, now_s);
		s->next_part = (s->next_part + 1) % PARTS;
	}
}
