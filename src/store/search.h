/*
 * search.h - links that are being looked for in MySQL, and who waits for them
 *
 * Pure: tables of fixed size, and the time is the caller's. A link that
 * several visitors want is looked for once; one that is not there is
 * remembered for seconds; a server has so many look-ups a second and no more,
 * so that a scanner cannot reach MySQL.
 */
#ifndef STORE_SEARCH_H
#define STORE_SEARCH_H

#include "base/hash.h"
#include "ipc/message.h"

#define SEARCHES_MAX 1024
#define SEARCH_WAITERS_MAX 4096
/* So many are with the forwarder; the others wait here, so that its socket
 * always has room for an answer. */
#define SEARCHES_SENT_MAX 32
#define SEARCH_MISSES 4096 /* a power of two */
#define SEARCH_MISS_MS 5000
/* An answer that comes after the visitors left is still of use so long. */
#define SEARCH_LATE_MS 30000
#define SEARCH_RATE 50 /* a second, of one server */
#define SEARCH_BURST 200

struct search_waiter {
	uint64_t instance; /* of the worker */
	uint64_t ask;	   /* its number of the question */
	uint16_t worker;
	uint16_t next; /* index + 1; 0: the last */
};

struct search {
	uint64_t ask; /* 0: free */
	uint64_t hash;
	uint64_t due_ms;
	uint32_t server_id;
	uint16_t first; /* waiter, index + 1; 0: nobody waits any more */
	bool sent;
	bool late; /* kept for an answer that nobody waits for */
	uint8_t len;
	uint8_t token[IPC_TOKEN_MAX];
};

struct search_miss {
	uint64_t hash;
	uint64_t until_ms;
};

/* What a server may still ask for; zeroed: full. */
struct search_bucket {
	uint32_t used; /* in thousandths of a look-up */
	uint64_t at_ms;
};

struct searches {
	struct hash_key key;
	uint64_t last_ask;
	size_t n, n_sent;
	struct search list[SEARCHES_MAX];
	struct search_waiter waiters[SEARCH_WAITERS_MAX];
	uint16_t free_waiters; /* index + 1 of the first */
	struct search_miss misses[SEARCH_MISSES];
};

void searches_init(struct searches *t, const struct hash_key *key);

/* The search for exactly this token; NULL when there is none. */
struct search *searches_same(
    struct searches *t, uint32_t server_id, struct span token);
/* NULL: the table is full. Nobody waits for it yet. */
struct search *searches_add(
    struct searches *t, uint32_t server_id, struct span token, uint64_t due_ms);
/* -1: too many wait. */
int searches_wait(struct searches *t, struct search *s, uint16_t worker,
    uint64_t instance, uint64_t ask);
/* Takes out one of those who wait; false when there is none. */
bool searches_take_waiter(
    struct searches *t, struct search *s, struct search_waiter *w);
/* A worker went away. */
void searches_forget(struct searches *t, uint64_t instance);

/* The next one for the forwarder, oldest first; NULL: none, or enough are
 * with it. The caller sets it by searches_sent. */
struct search *searches_to_send(struct searches *t);
void searches_sent(struct searches *t, struct search *s);
/* The search of a number; NULL when it ended. */
struct search *searches_of(struct searches *t, uint64_t ask);
/* Whether this number was ever used. */
bool searches_had(const struct searches *t, uint64_t ask);
/* One whose time has come, if any; the caller answers those who wait and calls
 * searches_passed. */
struct search *searches_late(struct searches *t, uint64_t now_ms);
/* Nobody waits for it any more: it stays for a late answer, or ends. */
void searches_passed(struct searches *t, struct search *s, uint64_t now_ms);
/* Without waiters. */
void searches_end(struct searches *t, struct search *s);
/* When the next one is late; 0: never. */
uint64_t searches_due(const struct searches *t);

/* MySQL has no such link. */
void searches_miss(
    struct searches *t, uint32_t server_id, struct span token, uint64_t now_ms);
bool searches_missed(const struct searches *t, uint32_t server_id,
    struct span token, uint64_t now_ms);

/* Whether one more is allowed now; it is then counted. */
bool search_bucket_take(struct search_bucket *b, uint64_t now_ms);

#endif
