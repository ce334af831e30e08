/*
 * listen_explain.h - why a port could not be opened, and what to do
 */
#ifndef MONITOR_LISTEN_EXPLAIN_H
#define MONITOR_LISTEN_EXPLAIN_H

#include "base/addr.h"
#include "base/err.h"

/*
 * Fills e with one line and with cause, an errno, as its code: who holds the
 * port, what a privileged one needs, that the address is not here. section: of
 * the directive that names it, "http". Always -1.
 */
int listener_explain(
    const struct endpoint *at, const char *section, int cause, struct err *e);

/* The same for what the binder answered, which is in another network. */
int listener_explain_binder(
    const struct endpoint *at, const char *section, int cause, struct err *e);

#endif
