/*
 * status.h - what the files of `postal-tracker status` share
 */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include "cli/internal.h"

/* When a number of the spool is shown on the page. */
enum status_weight {
	STATUS_TROUBLE, /* when it is not 0, and first */
	STATUS_SUM,	/* when it is not 0 */
	STATUS_DETAIL,	/* with --all; the page says it in other words */
};

struct status_number {
	const char *name;
	size_t offset; /* of a uint64_t in struct ipc_status */
	enum status_weight weight;
	const char *help;
};

/* The numbers, first those of the conservation law in its order. */
extern const struct status_number status_numbers[];
extern const size_t status_n_numbers;
uint64_t status_number_of(
    const struct ipc_status *s, const struct status_number *n);

/* "192.0.2.1:80" */
void status_listener_text(
    const struct ipc_listener_row *row, char text[ENDPOINT_TEXT_SIZE]);

/* "mysql" */
const char *status_mode(const struct ipc_status *s);

/*
 * Both print what came of STATUS, which borrows the buffer of a, and then ask
 * a for what is not in it.
 */
void status_print_text(const struct ipc_status *s, struct ask *a, bool all);
void status_print_json(const struct ipc_status *s, struct ask *a);
/* The object of a daemon that does not answer, on one line. */
void status_print_json_away(const struct err *e);

#endif
