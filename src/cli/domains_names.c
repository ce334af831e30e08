/*
 * domains_names.c - the names of Postal's tracking domains
 *
 * Run by `postal-tracker domains` and `check`, mostly as root. They come from
 * the store, which is the weaker side: one that was taken over may name what
 * it likes, but not without end.
 */
#include "cli/domains.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static int
add_domain(
    struct domains_names *all, const struct ipc_domain_row *row, struct err *e)
{
	struct domains_one *grown = NULL, *d;

	if (all->n == DOMAINS_MOST)
		return err_set(e,
		    "the store names more than %d tracking domains",
		    DOMAINS_MOST);
	grown = array_with_room(all->list, all->n, sizeof(*grown));
	if (grown == NULL)
		return err_errno(e, "no memory for domains");
	all->list = grown;
	d = &grown[all->n];
	*d = (struct domains_one){.server_id = row->server_id,
	    .dns_ok = row->dns_ok != 0,
	    .ssl = row->ssl != 0};
	for (size_t i = 0; i < row->name.len && i < DOMAINS_NAME_SIZE - 1; i++)
		d->name[i] = (char)ascii_lower(row->name.p[i]);
	all->n++;
	return 0;
}

/* One page; how many rows it had, or -1. last: room for where the next one
 * begins. */
static int
get_page(struct ask *a, struct ipc_domains_get *get, uint8_t *last,
    struct domains_names *all, struct err *e)
{
	struct ipc_received answer;
	const struct ipc_list *rows;
	struct ipc_domain_row row = {.server_id = 0};
	struct cursor c;

	if (ask(a, IPC_DOMAINS_GET, get, IPC_DOMAINS, &answer, e) != 0)
		return -1;
	rows = &answer.body.domains.rows;
	c = cursor_of(rows->records);
	for (size_t i = 0; i < rows->count; i++) {
		ipc_next(&c, &ipc_domain_row_record, &row);
		if (add_domain(all, &row, e) != 0)
			return -1;
	}
	if (rows->count == 0)
		return 0;
	memcpy(last, row.name.p, row.name.len);
	get->after_name = (struct span){last, row.name.len};
	get->after_server = row.server_id;
	return rows->count;
}

static int
by_name(const void *a, const void *b)
{
	const struct domains_one *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Two servers may have the same name: it is one certificate. */
static void
merge(struct domains_names *all)
{
	size_t n = 0;

	if (all->n > 0)
		qsort(all->list, all->n, sizeof(all->list[0]), by_name);
	for (size_t i = 0; i < all->n; i++) {
		struct domains_one *last = n > 0 ? &all->list[n - 1] : NULL;
		const struct domains_one *each = &all->list[i];

		if (last != NULL && strcmp(last->name, each->name) == 0) {
			last->dns_ok = last->dns_ok || each->dns_ok;
			last->ssl = last->ssl || each->ssl;
			continue;
		}
		all->list[n++] = *each;
	}
	all->n = n;
}

int
domains_read_names(struct ask *a, struct domains_names *all, struct err *e)
{
	struct ipc_domains_get get = {.after_name = span_of("")};
	uint8_t last[DOMAINS_NAME_SIZE];
	int n = 1;

	*all = (struct domains_names){NULL, 0};
	while (n > 0)
		n = get_page(a, &get, last, all, e);
	merge(all);
	return n;
}

void
domains_clear_names(struct domains_names *all)
{
	free(all->list);
	*all = (struct domains_names){NULL, 0};
}
