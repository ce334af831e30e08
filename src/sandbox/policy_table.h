/*
 * policy_table.h - the policies as the build compiled them into the binary
 */
#ifndef SANDBOX_POLICY_TABLE_H
#define SANDBOX_POLICY_TABLE_H

#include "sandbox/policy.h"

struct sandbox_table {
	const char *role; /* "web", from policy/web.policy */
	const struct policy_rule *rules;
	size_t n_rules;
};

extern const struct sandbox_table sandbox_tables[];
extern const size_t sandbox_n_tables;

/* NULL when there is no policy of this name. */
const struct sandbox_table *sandbox_find_table(const char *role);

#endif
