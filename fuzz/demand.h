/*
 * demand.h - properties: one that does not hold is a crash
 */
#ifndef FUZZ_DEMAND_H
#define FUZZ_DEMAND_H

#include <stdlib.h>

#include "base/span.h"

static inline void
demand(int condition)
{
	if (!condition)
		abort();
}

/* s is empty, or a part of the whole. */
static inline void
demand_inside(struct span s, struct span whole)
{
	demand(s.len == 0 ||
	       (s.p >= whole.p && s.p + s.len <= whole.p + whole.len));
}

#endif
