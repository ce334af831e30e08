/*
 * servers.c - the tokens of all known mail servers, as the store sent them
 *
 * Runs in the web worker. The only memory that grows with what the store
 * sends, to a bound; never with what visitors send.
 */
#include "web/servers.h"

#include <stdlib.h>
#include <string.h>

void
servers_init(struct servers *s, const struct hash_key *key)
{
	*s = (struct servers){.key = *key};
}

static void
table_clear(struct servers_table *t)
{
	free(t->rows);
	free(t->bytes);
	free(t->slots);
	*t = (struct servers_table){0};
}

void
servers_clear(struct servers *s)
{
	table_clear(&s->now);
	table_clear(&s->next);
}

/* Doubles an array until it has room for `wanted` elements. */
static int
make_room(void **array, size_t *cap, size_t wanted, size_t size)
{
	size_t grown = *cap == 0 ? 64 : *cap;
	void *p;

	while (grown < wanted)
		grown *= 2;
	if (grown == *cap)
		return 0;
	p = realloc(*array, grown * size);
	if (p == NULL)
		return -1;
	*array = p;
	*cap = grown;
	return 0;
}

static int
add_row(struct servers_table *t, const struct ipc_server_row *row)
{
	void *rows = t->rows, *bytes = t->bytes;
	int failed =
	    make_room(&rows, &t->cap_rows, t->n_rows + 1, sizeof(t->rows[0]));

	t->rows = rows;
	if (!failed)
		failed = make_room(
		    &bytes, &t->cap_bytes, t->n_bytes + row->token.len, 1);
	t->bytes = bytes;
	if (failed)
		return -1;
	t->rows[t->n_rows++] = (struct servers_row){
	    row->id, (uint32_t)t->n_bytes, (uint8_t)row->token.len};
	for (size_t i = 0; i < row->token.len; i++)
		t->bytes[t->n_bytes++] = ascii_lower(row->token.p[i]);
	return 0;
}

static struct span
token_of(const struct servers_table *t, const struct servers_row *row)
{
	return (struct span){t->bytes + row->at, row->len};
}

static int
build_index(struct servers *s, struct servers_table *t)
{
	size_t n = 64;

	while (n < t->n_rows * 2)
		n *= 2;
	t->slots = calloc(n, sizeof(t->slots[0]));
	if (t->slots == NULL)
		return -1;
	t->n_slots = n;
	for (size_t i = 0; i < t->n_rows; i++) {
		size_t at =
		    hash_bytes(&s->key, token_of(t, &t->rows[i])) & (n - 1);

		while (t->slots[at] != 0)
			at = (at + 1) & (n - 1);
		t->slots[at] = (uint32_t)i + 1;
	}
	return 0;
}

enum servers_result
servers_take(struct servers *s, const struct ipc_servers *part)
{
	struct cursor c = cursor_of(part->rows.records);
	struct ipc_server_row row;

	if ((part->flags & IPC_PART_FIRST) != 0) {
		table_clear(&s->next);
		s->incomplete = false;
	}
	if (s->incomplete)
		return SERVERS_TAKEN;
	if (s->next.n_rows + part->rows.count > IPC_SERVERS_MAX + 1)
		return SERVERS_TOO_MANY;
	for (size_t i = 0; i < part->rows.count; i++) {
		ipc_next(&c, &ipc_server_row_record, &row);
		s->incomplete = add_row(&s->next, &row) != 0;
		if (s->incomplete)
			return SERVERS_NO_MEMORY;
	}
	if ((part->flags & IPC_PART_LAST) == 0)
		return SERVERS_TAKEN;
	if (build_index(s, &s->next) != 0)
		return SERVERS_NO_MEMORY;
	table_clear(&s->now);
	s->now = s->next;
	s->next = (struct servers_table){0};
	s->known = true;
	return SERVERS_TAKEN;
}

uint32_t
servers_find(const struct servers *s, struct span token)
{
	const struct servers_table *t = &s->now;
	uint8_t lower[IPC_TOKEN_MAX];
	struct span wanted = {lower, token.len};

	if (token.len == 0 || token.len > sizeof(lower) || t->n_slots == 0)
		return 0;
	for (size_t i = 0; i < token.len; i++)
		lower[i] = ascii_lower(token.p[i]);
	for (size_t at = hash_bytes(&s->key, wanted) & (t->n_slots - 1);
	     t->slots[at] != 0; at = (at + 1) & (t->n_slots - 1)) {
		const struct servers_row *row = &t->rows[t->slots[at] - 1];

		if (span_equal(token_of(t, row), wanted))
			return row->id;
	}
	return 0;
}
