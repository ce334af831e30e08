/*
 * parts.c - a table on its way to the store, in as many messages as it needs
 *
 * Runs in the forwarder.
 */
#include "forward/parts.h"

#include <assert.h>
#include <stddef.h>

#include "base/hash.h"

/* Room for the message's own fields in front of its rows. */
#define ROWS_SIZE (IPC_RECORD_MAX - 16)

static const struct hash_key change_key = {3, 4};

static_assert(
    sizeof(struct ipc_known_domains) == sizeof(struct ipc_known_servers) &&
	offsetof(struct ipc_known_domains, rows) ==
	    offsetof(struct ipc_known_servers, rows),
    "another shape");
static_assert(
    sizeof(struct ipc_known_challenges) == sizeof(struct ipc_known_servers) &&
	offsetof(struct ipc_known_challenges, rows) ==
	    offsetof(struct ipc_known_servers, rows),
    "another shape");

static int
end_part(struct parts *p, uint8_t flags, struct err *e)
{
	/* All these messages have this shape. */
	struct ipc_known_servers body = {.flags = (uint8_t)(p->flags | flags),
	    .rows = {p->count, writer_span(&p->rows)}};
	uint64_t part = hash_bytes(&change_key, writer_span(&p->rows));

	p->hash = p->hash * UINT64_C(0x9e3779b97f4a7c15) + part + 1;
	p->flags = 0;
	p->count = 0;
	p->rows.len = 0;
	return p->send ? feed_tell(&p->f->feed, p->type, &body, NULL, e) : 0;
}

int
parts_put(struct parts *p, const void *row, struct err *e)
{
	if (ipc_put(&p->rows, p->record, row) != 0) {
		if (end_part(p, 0, e) != 0)
			return -1;
		/* A row that no record takes is none that a visitor asks
		 * for. */
		if (ipc_put(&p->rows, p->record, row) != 0)
			return 0;
	}
	p->count++;
	return 0;
}

int
parts_end(struct parts *p, struct err *e)
{
	return end_part(p, IPC_PART_LAST, e);
}

struct parts
parts_of(struct forwarder *f, enum ipc_type type,
    const struct ipc_record *record, bool send)
{
	return (struct parts){.f = f,
	    .type = type,
	    .record = record,
	    .send = send,
	    .rows = writer_of(f->rows, ROWS_SIZE),
	    .flags = IPC_PART_FIRST};
}
