/*
 * known_rows.c - tables that the forwarder sends as a whole, in parts, and
 * that replica.db has as a whole: tracking domains, challenges of Postal 1.x
 *
 * Runs in the store. They come every few seconds and are mostly the same, so a
 * hash of what was saved last decides whether anything is written.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "store/replica.h"

#define DOMAINS_BYTES_MAX ((size_t)32 * 1024 * 1024)

unsigned int
known_rows_gather(struct known_rows *k, uint8_t flags,
    const struct ipc_list *rows, size_t most)
{
	size_t more = rows->records.len;
	uint8_t *grown;

	if ((flags & IPC_PART_FIRST) != 0) {
		k->begun = true;
		k->len = k->n = 0;
	}
	if (!k->begun)
		return IPC_BREACH_ORDER;
	if (k->len + more > most)
		return IPC_BREACH_FLOOD;
	grown = realloc(k->bytes, k->len + more + 1);
	if (grown == NULL)
		return IPC_BREACH_FLOOD;
	k->bytes = grown;
	if (more > 0)
		memcpy(grown + k->len, rows->records.p, more);
	k->len += more;
	k->n += rows->count;
	return 0;
}

static enum database_result
save(struct links_db *l, struct span records, size_t n,
    const struct known_table *t, struct err *e)
{
	struct cursor c = cursor_of(records);
	enum database_result r = replica_begin(l, e);

	if (r == DATABASE_OK)
		r = t->clear(l, e);
	for (size_t i = 0; r == DATABASE_OK && i < n; i++)
		r = t->put_next(l, &c, e);
	if (r == DATABASE_OK)
		r = replica_commit(l, e);
	if (r != DATABASE_OK)
		replica_rollback(l);
	return r;
}

enum database_result
known_rows_save(struct store *s, struct known_rows *k,
    const struct known_table *t, struct err *e)
{
	struct span records = {k->bytes, k->len};
	uint64_t hash = hash_bytes(&s->searches.key, records) | 1;
	enum database_result r = DATABASE_OK;

	k->begun = false;
	if (hash != k->saved_hash)
		r = save(&s->links, records, k->n, t, e);
	if (r == DATABASE_OK)
		k->saved_hash = hash;
	return r;
}

void
known_rows_forget(struct known_rows *k)
{
	free(k->bytes);
	*k = (struct known_rows){.saved_hash = k->saved_hash};
}

/* --- KNOWN_DOMAINS ----------------------------------------------------- */

static enum database_result
put_next_domain(struct links_db *l, struct cursor *c, struct err *e)
{
	struct ipc_domain_row row;

	ipc_next(c, &ipc_domain_row_record, &row);
	return replica_put_domain(l, &row, e);
}

unsigned int
known_take_domains(struct store *s, const struct ipc_known_domains *part,
    enum database_result *r, struct err *e)
{
	static const struct known_table table = {
	    replica_clear_domains, put_next_domain};
	struct known_rows *k = &s->domains;
	unsigned int breach =
	    known_rows_gather(k, part->flags, &part->rows, DOMAINS_BYTES_MAX);

	*r = DATABASE_OK;
	if (breach == 0 && (part->flags & IPC_PART_LAST) != 0)
		*r = known_rows_save(s, k, &table, e);
	return breach;
}
