/*
 * parts.h - a table on its way to the store, in as many messages as it needs
 *
 * Built twice: the first time only to see whether anything changed.
 */
#ifndef FORWARD_PARTS_H
#define FORWARD_PARTS_H

#include "forward/forwarder.h"

struct parts {
	struct forwarder *f;
	enum ipc_type type; /* KNOWN_SERVERS, or one of its shape */
	const struct ipc_record *record;
	bool send; /* false: only `hash` is wanted */
	struct writer rows;
	uint16_t count;
	uint8_t flags;
	uint64_t hash; /* of all that was put; 0 of nothing */
};

/* Uses f->rows until parts_end. */
struct parts parts_of(struct forwarder *f, enum ipc_type type,
    const struct ipc_record *record, bool send);
/* -1: the store refuses, or is gone. */
int parts_put(struct parts *p, const void *row, struct err *e);
/* The last part. */
int parts_end(struct parts *p, struct err *e);

#endif
