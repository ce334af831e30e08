/*
 * session.h - sessions that can be resumed, in memory that the workers share
 *
 * There are no locks: a worker that dies at any moment leaves nothing behind
 * that others wait for. Every entry carries a keyed checksum over all of
 * itself; one that is half written, written by two at once, or overwritten
 * with nonsense is not taken for an entry. Nothing in the memory is used as
 * a place, a length or a pointer, so that a hijacked worker may spoil it, but
 * never harm another worker.
 *
 * Security: the memory holds master secrets. It belongs to web workers alone;
 * with it, the sessions in it can be read, until they are overwritten, or a
 * minute after they ended. An entry is bound to the name it was made for (RFC
 * 6066 3).
 *
 * Source: RFC 5246 7.3, F.1.4 (not longer than a day).
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

#define TLS_SESSION_ID_SIZE 32
#define TLS_MASTER_SECRET_SIZE 48
/* Bytes of one entry: so many sessions fit as this goes into the memory behind
 * its head. */
#define TLS_SESSION_ENTRY_SIZE 128
#define TLS_SESSIONS_HEAD_SIZE 512
/* So many calls of tls_sessions_sweep see the whole table. */
#define TLS_SESSIONS_SWEEPS 64

struct tls_session {
	uint8_t id[TLS_SESSION_ID_SIZE];
	uint8_t master_secret[TLS_MASTER_SECRET_SIZE];
	uint64_t name;	 /* hash of the name; see tls_sessions_name */
	uint32_t ends_s; /* on the clock that the workers share */
	uint16_t suite;
};

struct tls_sessions {
	struct hash_key key;	/* the same in all workers */
	_Atomic uint64_t *head; /* which parts of the table were used */
	_Atomic uint64_t *words;
	size_t n_sets, part_sets;
	size_t next_part; /* of this worker's sweep */
};

/*
 * memory: shared between the workers, zeroed once when it was made, aligned
 * to 64 bytes; at least 1024 bytes. key: secret, the same for all workers.
 */
void tls_sessions_open(struct tls_sessions *s, void *memory, size_t size,
    const struct hash_key *key);

/* What binds a session to a name; without case. */
uint64_t tls_sessions_name(const struct tls_sessions *s, struct span name);

/* Overwrites what has ended, else what ends first among four places. */
void tls_sessions_put(
    struct tls_sessions *s, const struct tls_session *session, uint32_t now_s);
/* true: found, whole and not ended. id: as the client sent it. Wipes what has
 * ended where it looks. */
bool tls_sessions_get(const struct tls_sessions *s, struct span id,
    uint32_t now_s, struct tls_session *session);
/* Wipes what has ended in the next of TLS_SESSIONS_SWEEPS pieces; memory that
 * nobody wrote to is not touched. For each worker, once a second. */
void tls_sessions_sweep(struct tls_sessions *s, uint32_t now_s);

#endif
