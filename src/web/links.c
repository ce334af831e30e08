/*
 * links.c - the links that this worker knows: a cache in front of the store
 *
 * Runs in the web worker.
 */
#include "web/links.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define N_SETS 2048
#define WAYS 4
/* A link never changes in Postal; this only bounds how long one that was
 * removed by hand goes on. */
#define KEEP_MS 60000

int
links_init(struct links *l, const struct hash_key *key)
{
	l->key = *key;
	l->entries = calloc((size_t)N_SETS * WAYS, sizeof(l->entries[0]));
	return l->entries == NULL ? -1 : 0;
}

void
links_clear(struct links *l)
{
	free(l->entries);
	l->entries = NULL;
}

static struct link *
set_of(struct links *l, uint32_t server_id, struct span token)
{
	uint64_t hash = hash_bytes(&l->key, token) + server_id;

	return &l->entries[(hash & (N_SETS - 1)) * WAYS];
}

static bool
is_link(const struct link *link, uint32_t server_id, struct span token)
{
	return link->server_id == server_id && link->token_len == token.len &&
	       memcmp(link->token, token.p, token.len) == 0;
}

struct link *
links_find(
    struct links *l, uint32_t server_id, struct span token, uint64_t now_ms)
{
	struct link *set;

	if (token.len == 0 || token.len > LINKS_TOKEN_MAX)
		return NULL;
	set = set_of(l, server_id, token);
	for (size_t i = 0; i < WAYS; i++) {
		if (!is_link(&set[i], server_id, token) ||
		    now_ms >= set[i].until_ms)
			continue;
		set[i].used_ms = now_ms;
		set[i].refs++;
		return &set[i];
	}
	return NULL;
}

/* The entry to overwrite: the same link, else the one unused for longest. */
static struct link *
find_place(struct link *set, uint32_t server_id, struct span token)
{
	struct link *best = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].refs > 0)
			continue;
		if (is_link(&set[i], server_id, token))
			return &set[i];
		if (best == NULL || set[i].used_ms < best->used_ms)
			best = &set[i];
	}
	return best;
}

struct link *
links_add(struct links *l, uint32_t server_id, struct span token,
    struct span location, uint64_t now_ms)
{
	bool fits =
	    token.len <= LINKS_TOKEN_MAX && location.len <= LINKS_LOCATION_MAX;
	struct link *link = NULL;

	if (fits)
		link =
		    find_place(set_of(l, server_id, token), server_id, token);
	fits = link != NULL;
	if (!fits)
		link = malloc(offsetof(struct link, location) + location.len);
	if (link == NULL)
		return NULL;
	memset(link, 0, offsetof(struct link, location));
	link->server_id = server_id;
	link->used_ms = now_ms;
	link->until_ms = now_ms + KEEP_MS;
	link->refs = 1;
	link->cached = fits;
	if (fits) {
		link->token_len = (uint8_t)token.len;
		memcpy(link->token, token.p, token.len);
	}
	link->location_len = (uint32_t)location.len;
	memcpy(link->location, location.p, location.len);
	return link;
}

void
link_release(struct link *link)
{
	if (link == NULL)
		return;
	assert(link->refs > 0);
	link->refs--;
	if (link->refs == 0 && !link->cached)
		free(link);
}
