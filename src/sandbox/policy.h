/*
 * policy.h - the text of policy/<role>.policy, as rules
 *
 * Pure. The syntax is a subset of minijail's: one call a line,
 *
 *     # why
 *     call: 1                        always allowed
 *     call: arg0 == 5 && arg2 == 1   allowed with these arguments
 *     call: arg1 == 0x10 || arg1 == 2
 *     call: return 1                 not done; the caller gets this errno
 *     @include common.policy         one level deep
 *
 * Comparisons: == != < <= > >= and & (any of these bits set) and `in` (no
 * other bits set than these). A call listed twice, also through an include,
 * is an error: libseccomp would take both in silence and the laxer one would
 * win. Used at build time by the policy compiler; the daemon carries tables.
 */
#ifndef SANDBOX_POLICY_H
#define SANDBOX_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define POLICY_CALLS_MAX 128
#define POLICY_TERMS_MAX 8 /* alternatives of a call */
#define POLICY_TESTS_MAX 4 /* comparisons of a term */
#define POLICY_CALL_SIZE 32

enum policy_op {
	POLICY_EQ,
	POLICY_NE,
	POLICY_LT,
	POLICY_LE,
	POLICY_GT,
	POLICY_GE,
	POLICY_ANY_BIT,	  /* arg & value */
	POLICY_ONLY_BITS, /* arg in value */
};

struct policy_test {
	uint8_t arg; /* 0 to 5 */
	uint8_t op;  /* enum policy_op */
	uint64_t value;
};

struct policy_term {
	struct policy_test tests[POLICY_TESTS_MAX]; /* all must hold */
	uint8_t n_tests;
};

struct policy_rule {
	char call[POLICY_CALL_SIZE];
	uint16_t error_number; /* not 0: the call fails with it */
	uint8_t n_terms;       /* 0: always; else any of the terms */
	struct policy_term terms[POLICY_TERMS_MAX];
	unsigned int line; /* where it stands, for messages */
};

struct policy {
	struct policy_rule rules[POLICY_CALLS_MAX];
	size_t n_rules;
};

/*
 * Gives the text of an included file; the text stays valid until the parser
 * returns. -1 with e set when there is none.
 */
struct policy_source {
	int (*include)(
	    void *owner, struct span name, struct span *text, struct err *e);
	void *owner;
};

/* name stands in errors as "name:line: what". source NULL: no includes. */
int policy_parse(struct span text, const char *name,
    const struct policy_source *source, struct policy *p, struct err *e);

#endif
