/*
 * links.h - the links that this worker knows: a cache in front of the store
 *
 * Sets of four entries; the one unused for longest makes room. An entry that
 * a waiting connection borrows stays until it is released.
 */
#ifndef WEB_LINKS_H
#define WEB_LINKS_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/span.h"

/* What fits into an entry of 512 bytes; longer ones are not cached. */
#define LINKS_TOKEN_MAX 32
#define LINKS_LOCATION_MAX 420

struct link {
	uint64_t link_id;
	uint64_t message_id;
	uint64_t used_ms;  /* last time */
	uint64_t until_ms; /* asked for again after this */
	uint32_t server_id;
	uint32_t refs;
	uint32_t location_len;
	uint8_t token_len; /* 0: the entry is empty */
	bool has_message;
	bool cached; /* false: on the heap, freed with its last reference */
	uint8_t token[LINKS_TOKEN_MAX];
	uint8_t location[LINKS_LOCATION_MAX]; /* longer when on the heap */
};

struct links {
	struct hash_key key;
	struct link *entries;
};

/* Reserves address space; memory is used as entries are. */
int links_init(struct links *l, const struct hash_key *key);
void links_clear(struct links *l);

/* A reference to the link, or NULL. Release it. */
struct link *links_find(
    struct links *l, uint32_t server_id, struct span token, uint64_t now_ms);

/*
 * A reference to a new link: in the cache when it fits, else on the heap.
 * NULL when there is no memory. The caller fills in link_id, message_id and
 * has_message. Release it.
 */
struct link *links_add(struct links *l, uint32_t server_id, struct span token,
    struct span location, uint64_t now_ms);

void link_release(struct link *link);

#endif
