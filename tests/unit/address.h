/*
 * address.h - an address from its text, for tests that need some
 */
#ifndef TESTS_UNIT_ADDRESS_H
#define TESTS_UNIT_ADDRESS_H

#include "base/addr.h"
#include "tests/unit/test.h"

static inline struct addr
address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(span_of(text), &a), 0);
	return a;
}

#endif
