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
/* id 4, secret 6, name 1, end and suite 1, the rest 0, checksum last. */
#define CHECKSUM (WORDS - 1)
#define USED_WORDS 12

void
tls_sessions_open(struct tls_sessions *s, void *memory, size_t size,
    const struct hash_key *key)
{
	*s = (struct tls_sessions){.key = *key,
	    .words = memory,
	    .n_sets = size / ((size_t)TLS_SESSION_ENTRY_SIZE * WAYS)};
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
	return s->words +
	       hash_bytes(&s->key, id) % s->n_sets * (size_t)WAYS * WORDS;
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
	words[11] = (uint64_t)session->ends_s << 32 | session->suite;
	words[CHECKSUM] = checksum(s, words);
}

static void
unpack(struct tls_session *session, const uint64_t words[WORDS])
{
	memcpy(session->id, words, sizeof(session->id));
	memcpy(
	    session->master_secret, words + 4, sizeof(session->master_secret));
	session->name = words[10];
	session->ends_s = (uint32_t)(words[11] >> 32);
	session->suite = (uint16_t)words[11];
}

static void
load(_Atomic uint64_t *at, uint64_t words[WORDS])
{
	for (size_t i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&at[i], memory_order_relaxed);
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
	for (size_t way = 0; way < WAYS && !found; way++) {
		load(set + way * WORDS, words);
		found = memcmp(words, id.p, id.len) == 0 &&
			words[CHECKSUM] == checksum(s, words) &&
			words[11] >> 32 > now_s;
	}
	if (found)
		unpack(session, words);
	explicit_bzero(words, sizeof(words));
	return found;
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
	at = set;
	for (size_t way = 0; way < WAYS; way++) {
		uint64_t ends =
		    atomic_load_explicit(&set[way * WORDS + USED_WORDS - 1],
			memory_order_relaxed) >>
		    32;

		if (ends <= now_s)
			ends = 0;
		if (ends < first) {
			first = ends;
			at = set + way * WORDS;
		}
	}
	pack(s, session, words);
	for (size_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&at[i], words[i], memory_order_relaxed);
	explicit_bzero(words, sizeof(words));
}
