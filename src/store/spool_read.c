/*
 * spool_read.c - the events of spool.db in their order
 *
 * Runs in the store. What a batch holds was checked when it came; it is
 * checked again, because disks lie.
 */
#include "store/spool.h"

#include <string.h>

/* A batch as it lies in its row. */
struct batch {
	uint64_t first_seq;
	uint64_t n;
	struct span servers, events;
	struct span bits; /* of the settled ones; empty: none */
};

static bool
is_settled(const struct batch *b, uint64_t i)
{
	return i / 8 < b->bits.len && (b->bits.p[i / 8] >> (i % 8) & 1) != 0;
}

struct span
spool_server_of(struct span servers, uint32_t id)
{
	struct cursor c = cursor_of(servers);
	struct ipc_server_row row;

	while (c.left > 0 && !c.bad) {
		ipc_next(&c, &ipc_server_row_record, &row);
		if (!c.bad && row.id == id)
			return row.token;
	}
	return span_of("");
}

struct visitor {
	uint64_t after;
	unsigned int left; /* events that are still wanted */
	bool (*visit)(void *owner, const struct spool_row *row);
	void *owner;
};

enum walked { WALKED_ON, WALKED_ENOUGH, WALKED_DAMAGED };

static enum walked
walk(const struct batch *b, struct visitor *v)
{
	struct cursor c = cursor_of(b->events);
	struct spool_row row;

	for (uint64_t i = 0; i < b->n; i++) {
		ipc_next(&c, &ipc_event_record, &row.event);
		if (c.bad)
			return WALKED_DAMAGED;
		row.seq = b->first_seq + i;
		if (row.seq <= v->after || is_settled(b, i))
			continue;
		row.server = spool_server_of(b->servers, row.event.server_id);
		if (v->left == 0 || !v->visit(v->owner, &row))
			return WALKED_ENOUGH;
		v->left--;
	}
	return cursor_end(&c) == 0 ? WALKED_ON : WALKED_DAMAGED;
}

enum database_result
spool_page(struct spool *s, uint64_t after, unsigned int most,
    bool (*visit)(void *owner, const struct spool_row *row), void *owner,
    struct err *e)
{
	sqlite3_stmt *stmt = s->statements[SPOOL_PAGE];
	struct visitor v = {after, most, visit, owner};
	enum walked walked = WALKED_ON;
	enum database_result r = DATABASE_OK;
	int got = SQLITE_ROW;

	(void)sqlite3_bind_int64(
	    stmt, 1, after >= INT64_MAX ? INT64_MAX : (int64_t)after + 1);
	while (walked == WALKED_ON && v.left > 0 &&
	       (got = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct batch b = {database_column_u64(stmt, 0),
		    database_column_u64(stmt, 1), database_column(stmt, 2),
		    database_column(stmt, 3), database_column(stmt, 4)};

		walked = walk(&b, &v);
	}
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		r = database_failure(&s->db, "read events", e);
	(void)sqlite3_reset(stmt);
	if (walked == WALKED_DAMAGED) {
		(void)err_set(e, "read events: a batch is damaged");
		r = DATABASE_DAMAGED;
	}
	return r;
}
