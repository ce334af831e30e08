/*
 * filter.h - loads a table that is not one of the compiled policies
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include "sandbox/policy_table.h"
#include "sandbox/sandbox.h"

/* As sandbox_load_filter; for tests of the operators. */
int sandbox_load_table(const struct sandbox_table *table,
    enum sandbox_action action, void (*refused)(int call), struct err *e);

#endif
