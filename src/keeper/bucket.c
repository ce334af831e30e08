/*
 * bucket.c - how often something may be asked
 *
 * Pure.
 */
#include "keeper/bucket.h"

void
bucket_init(struct bucket *b, uint32_t per_second, uint64_t now_ms)
{
	*b = (struct bucket){per_second, UINT64_C(1000) * per_second, now_ms};
}

bool
bucket_take(struct bucket *b, uint64_t now_ms)
{
	uint64_t full = UINT64_C(1000) * b->per_second;
	uint64_t passed = now_ms > b->at_ms ? now_ms - b->at_ms : 0;

	/* What a second makes is all that fits. */
	if (passed >= 1000)
		b->thousandths = full;
	else
		b->thousandths += passed * b->per_second;
	if (b->thousandths > full)
		b->thousandths = full;
	b->at_ms = now_ms;
	if (b->thousandths < 1000)
		return false;
	b->thousandths -= 1000;
	return true;
}
