/*
 * worker_table.c - the table of mail servers on its way to a worker
 *
 * Runs in the store. A channel holds two of the largest records, and there has
 * to be room in it for what a worker is told besides. So the table goes in
 * parts, each when the channel is nearly empty, which is what EPOLLOUT says of
 * it. One that has changed meanwhile begins again.
 */
#include "store/internal.h"

/* Beside what is in the channel when it counts as writable (a quarter), it
 * leaves half of it free. */
#define PART_SIZE 32768

struct part {
	struct ipc_servers body;
	struct writer rows;
	uint32_t last_id; /* of its servers; that of selftest does not count */
	bool whole;	  /* nothing is left */
};

static bool
put(struct part *p, uint32_t id, struct span token)
{
	const struct ipc_server_row row = {id, token};

	if (ipc_put(&p->rows, &ipc_server_row_record, &row) != 0)
		return false;
	p->body.rows.count++;
	return true;
}

static void
fill(struct part *p, const struct store *s)
{
	const struct selftest *own = selftest_own_server(s);

	for (size_t i = known_after(s, p->last_id); i < s->n_servers; i++) {
		const struct server_name *name = &s->servers[i];

		if (!name->gone &&
		    !put(p, name->id, (struct span){name->token, name->len}))
			return;
		p->last_id = name->id;
	}
	p->whole = own == NULL ||
		   put(p, own->server_id, (struct span){own->server, own->len});
}

void
worker_table_send(struct worker *w)
{
	struct store *s = w->store;
	struct part p = {
	    .rows = writer_of(s->page, PART_SIZE), .last_id = w->table_sent};

	if (w->table_sent == 0)
		p.body.flags |= IPC_PART_FIRST;
	fill(&p, s);
	if (p.whole)
		p.body.flags |= IPC_PART_LAST;
	p.body.rows.records = writer_span(&p.rows);
	if (ipc_send(&w->channel, s->scratch, IPC_SERVERS, &p.body, -1) !=
	    IPC_OK)
		return;
	w->table_due = !p.whole;
	w->table_sent = p.last_id;
}
