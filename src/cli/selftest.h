/*
 * selftest.h - what the files of `postal-tracker selftest` share
 */
#ifndef CLI_SELFTEST_H
#define CLI_SELFTEST_H

#include "cli/visit.h"
#include "config/config.h"

/*
 * Where to ask: url, or when it is NULL the first address that tracker.conf
 * listens on, HTTP before HTTPS; for HTTPS with a name that has a certificate.
 */
int selftest_place(const struct config *c, const char *url,
    struct visit_place *place, struct err *e);

#endif
