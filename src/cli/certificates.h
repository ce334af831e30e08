/*
 * certificates.h - what the daemon says of each pair that it was given
 */
#ifndef CLI_CERTIFICATES_H
#define CLI_CERTIFICATES_H

#include "cli/internal.h"

/* As struct ipc_pair_state_row, with texts of its own. */
struct certificate_state {
	char name[256]; /* of its directory */
	uint8_t state;	/* enum ipc_certificate_state */
	uint8_t chain;	/* enum ipc_chain */
	uint8_t n_chain;
	uint16_t n_names;
	int64_t not_before, not_after; /* Unix seconds; 0: not known */
	char reason[256];	       /* of a refusal; else empty */
};

struct certificate_states {
	struct certificate_state *list; /* by name */
	size_t n;
};

/* All of them, page by page. Owner: the caller clears. */
int certificate_states_read(
    struct ask *a, struct certificate_states *all, struct err *e);
void certificate_states_clear(struct certificate_states *all);
/* NULL: the daemon has none of this name. */
const struct certificate_state *certificate_states_find(
    const struct certificate_states *all, const char *name);

/* status_certificates.c: a part of `status`. Asks a; what was received before
 * is not there any more. */
void status_certificates_text(struct ask *a);
/* A member of an object, its comma before it. */
void status_certificates_json(struct ask *a);

#endif
