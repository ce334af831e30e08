/*
 * bucket.h - how often something may be asked
 *
 * Pure. A bucket that holds what may be asked at once, and fills again as
 * time goes by; full, it holds what may be asked in a second.
 */
#ifndef KEEPER_BUCKET_H
#define KEEPER_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint32_t per_second;
	uint64_t thousandths; /* of what may be asked now */
	uint64_t at_ms;
};

/* A full one. */
void bucket_init(struct bucket *b, uint32_t per_second, uint64_t now_ms);
/* Takes one out; false when there is none. */
bool bucket_take(struct bucket *b, uint64_t now_ms);

#endif
