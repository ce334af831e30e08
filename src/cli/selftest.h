/*
 * selftest.h - what the files of `postal-tracker selftest` share
 */
#ifndef CLI_SELFTEST_H
#define CLI_SELFTEST_H

#include "cli/internal.h"
#include "cli/visit.h"

#define SELFTEST_EVENTS 2 /* the open, the click */

struct selftest_run {
	const struct config *config;
	const struct options *options;
	struct visit_place place;
	struct ask ask;
	struct ipc_selftest_state state; /* borrows the answers' buffer */
	struct ipc_selftest_row rows[SELFTEST_EVENTS];
	char server[IPC_TOKEN_MAX + 1], token[IPC_TOKEN_MAX + 1];
	char reason[IPC_REASON_MAX + 1];
	int64_t asked_us[SELFTEST_EVENTS];
	bool failed;
};

/* Prints a line; verdict "ok", "warn" or "FAIL". took_us: since the request;
 * below 0: not measured. */
void selftest_say(struct selftest_run *t, const char *verdict, const char *step,
    int64_t took_us, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * selftest_place.c: where to ask: url, or when it is NULL the first address
 * that tracker.conf listens on, HTTP before HTTPS; for HTTPS with a name that
 * has a certificate.
 */
int selftest_place(const struct config *c, const char *url,
    struct visit_place *place, struct err *e);

/* selftest_rehearse.c: what a real open and click would write to Postal's
 * tables, in transactions that are rolled back; says how that went. */
void selftest_rehearse(struct selftest_run *t);

#endif
