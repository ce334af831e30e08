/*
 * certificates.c - what the daemon says of each pair that it was given
 */
#include "cli/certificates.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* Of each pair one row, of each refusal without a pair one more. */
#define ROWS_MOST ((size_t)2 * IPC_PAIRS_MAX)

static int
add(struct certificate_states *all, const struct ipc_pair_state_row *row,
    struct err *e)
{
	struct certificate_state *grown = NULL;

	/* The store is the weaker side of who asks as root. */
	if (all->n == ROWS_MOST)
		return err_set(
		    e, "the store names more certificates than there can be");
	grown = array_with_room(all->list, all->n, sizeof(*grown));
	if (grown == NULL)
		return err_errno(e, "no memory for certificates");
	all->list = grown;
	grown += all->n++;
	*grown = (struct certificate_state){.state = row->state,
	    .chain = row->chain,
	    .n_chain = row->n_chain,
	    .n_names = row->n_names,
	    .not_before = row->not_before,
	    .not_after = row->not_after};
	/* At most 255 bytes each, as the table of messages says. */
	memcpy(grown->name, row->name.p, row->name.len);
	if (row->reason.len > 0)
		memcpy(grown->reason, row->reason.p, row->reason.len);
	return 0;
}

/* How many rows it had, or -1. */
static int
read_page(struct ask *a, struct certificate_states *all, struct err *e)
{
	const char *last = all->n > 0 ? all->list[all->n - 1].name : "";
	struct ipc_certificates_get get = {span_of(last)};
	struct ipc_received answer;
	struct ipc_pair_state_row row;
	const struct ipc_list *rows = &answer.body.certificates.rows;
	struct cursor c;

	if (ask(a, IPC_CERTIFICATES_GET, &get, IPC_CERTIFICATES, &answer, e) !=
	    0)
		return -1;
	c = cursor_of(rows->records);
	for (size_t i = 0; i < rows->count; i++) {
		ipc_next(&c, &ipc_pair_state_row_record, &row);
		if (add(all, &row, e) != 0)
			return -1;
	}
	return rows->count;
}

int
certificate_states_read(
    struct ask *a, struct certificate_states *all, struct err *e)
{
	int n = 1;

	*all = (struct certificate_states){NULL, 0};
	while (n > 0)
		n = read_page(a, all, e);
	return n;
}

void
certificate_states_clear(struct certificate_states *all)
{
	free(all->list);
	*all = (struct certificate_states){NULL, 0};
}

const struct certificate_state *
certificate_states_find(const struct certificate_states *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->list[i].name, name) == 0)
			return &all->list[i];
	return NULL;
}
