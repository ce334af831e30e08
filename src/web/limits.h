/*
 * limits.h - how many connections an address has, over all workers
 *
 * A count-min sketch in memory that the web workers share: each worker writes
 * its own slice and reads all. An IPv6 address counts by its /64. The number
 * is never too low; it can be too high by other addresses that share both
 * cells, which is rare as long as connections are fewer than cells.
 */
#ifndef WEB_LIMITS_H
#define WEB_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/hash.h"

struct limits {
	void *memory;		 /* as mapped */
	_Atomic uint16_t *cells; /* the same, of all workers */
	unsigned int index, workers;
	struct hash_key key;
};

/*
 * Maps the shared memory and clears slice number index of so many. key is the
 * same in all workers, or they would count in different cells.
 */
int limits_open(struct limits *l, int fd, unsigned int index,
    unsigned int workers, const struct hash_key *key, struct err *e);
void limits_close(struct limits *l);

/* Counts a connection of this address; false, and not counted, when it
 * already has `most`. */
bool limits_enter(struct limits *l, const struct addr *a, uint32_t most);
void limits_leave(struct limits *l, const struct addr *a);

#endif
