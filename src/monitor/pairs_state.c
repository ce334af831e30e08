/*
 * pairs_state.c - what became of each pair, told to the store
 *
 * Runs in the monitor. Of a name there is what is served and, when a newer
 * pair was refused, why; `status` shows it. The keepers read chains, the
 * monitor keeps numbers of theirs. All states go to the store when one of
 * them changed, at most once a second, in parts that leave room for what is
 * urgent.
 */
#include "monitor/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Of one message; a fifth of a channel's buffer. */
#define PART_SIZE ((size_t)32 * 1024)
#define ROW_MOST 600
#define REASON_MOST 255

void
pairs_states_change(struct pairs *p)
{
	/* 0 is what a store knows that was not told anything. */
	if (++p->states.version == 0)
		p->states.version = 1;
}

/* --- refusals ---------------------------------------------------------- */

static struct pair_refusal *
find_refusal(const struct pairs_states *s, const char *name)
{
	for (size_t i = 0; i < s->n_refusals; i++)
		if (strcmp(s->refusals[i].name, name) == 0)
			return &s->refusals[i];
	return NULL;
}

static void
forget(struct pairs_states *s, struct pair_refusal *r)
{
	free(r->name);
	free(r->reason);
	*r = s->refusals[--s->n_refusals];
}

static struct pair_refusal *
new_refusal(struct pairs_states *s, const char *name)
{
	struct pair_refusal *r;

	if (s->refusals == NULL)
		s->refusals = calloc(IPC_PAIRS_MAX, sizeof(s->refusals[0]));
	if (s->refusals == NULL || s->n_refusals == IPC_PAIRS_MAX)
		return NULL;
	r = &s->refusals[s->n_refusals];
	*r = (struct pair_refusal){.name = strdup(name)};
	if (r->name == NULL)
		return NULL;
	s->n_refusals++;
	return r;
}

void
pairs_states_refuse(struct pairs *p, const char *name, const char *reason,
    const struct pair_seen *seen)
{
	struct pairs_states *s = &p->states;
	struct pair_refusal *r = find_refusal(s, name);

	pairs_states_change(p);
	if (reason == NULL) {
		if (r != NULL)
			forget(s, r);
		return;
	}
	if (r == NULL)
		r = new_refusal(s, name);
	if (r == NULL)
		return;
	free(r->reason);
	r->reason = strndup(reason, REASON_MOST);
	r->seen = seen != NULL ? *seen : (struct pair_seen){.chain = 0};
}

void
pairs_states_clear(struct pairs *p)
{
	struct pairs_states *s = &p->states;

	while (s->n_refusals > 0)
		forget(s, &s->refusals[s->n_refusals - 1]);
	free(s->refusals);
	s->refusals = NULL;
	free(s->rows);
	s->rows = NULL;
	if (s->version > 0)
		pairs_states_change(p);
}

/* --- rows -------------------------------------------------------------- */

/* A name: its pair that is served or offered, its refusal, or both. */
struct name {
	const char *name;
	const struct pair *pair;
	const struct pair_refusal *refusal;
};

/* Of one name: what is served, then what is offered, then what was refused. */
static int
by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order != 0 || (x->pair == NULL) != (y->pair == NULL))
		return order != 0 ? order : x->pair == NULL ? 1 : -1;
	return x->pair == NULL ? 0
			       : (int)(y->pair->state == PAIR_SERVED) -
				     (int)(x->pair->state == PAIR_SERVED);
}

static void
put_row(struct writer *w, const struct name *n)
{
	bool served = n->pair != NULL && n->pair->state == PAIR_SERVED;
	const struct pair_seen *seen =
	    n->pair != NULL ? &n->pair->seen : &n->refusal->seen;
	struct ipc_pair_state_row row = {.name = span_of(n->name),
	    .state = IPC_CERTIFICATE_WAITING,
	    .chain = seen->chain,
	    .n_chain = seen->n_chain,
	    .n_names = seen->n_names,
	    .not_before = seen->not_before,
	    .not_after = seen->not_after};

	if (n->refusal != NULL)
		row.state =
		    served ? IPC_CERTIFICATE_KEPT : IPC_CERTIFICATE_REFUSED;
	else if (served)
		row.state = IPC_CERTIFICATE_SERVED;
	if (n->refusal != NULL && n->refusal->reason != NULL)
		row.reason = span_of(n->refusal->reason);
	if (ipc_put(w, &ipc_pair_state_row_record, &row) != 0)
		log_err("certificate states: a name of %zu bytes is left out",
		    row.name.len);
}

/* All names, each as often as there is something of it. */
static size_t
gather(const struct pairs *p, struct name *names)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].state != PAIR_RETIRED)
			names[n++] =
			    (struct name){p->list[i].name, &p->list[i], NULL};
	for (size_t i = 0; i < p->states.n_refusals; i++)
		names[n++] = (struct name){
		    p->states.refusals[i].name, NULL, &p->states.refusals[i]};
	if (n > 0)
		qsort(names, n, sizeof(names[0]), by_name);
	return n;
}

/* Makes rows of all that there is now. -1: no memory. */
static int
make_rows(struct pairs *p)
{
	struct pairs_states *s = &p->states;
	size_t most = p->n + s->n_refusals;
	struct name *names = calloc(most + 1, sizeof(*names));
	struct writer w;
	size_t n;

	s->rows = malloc(most * ROW_MOST + 1);
	if (names == NULL || s->rows == NULL) {
		free(names);
		free(s->rows);
		s->rows = NULL;
		return -1;
	}
	w = writer_of(s->rows, most * ROW_MOST);
	n = gather(p, names);
	for (size_t i = 0, same; i < n; i += same) {
		for (same = 1; i + same < n &&
			       strcmp(names[i].name, names[i + same].name) == 0;
		     same++)
			if (names[i + same].refusal != NULL)
				names[i].refusal = names[i + same].refusal;
		put_row(&w, &names[i]);
	}
	free(names);
	s->len = w.len;
	s->at = 0;
	s->rows_version = s->version;
	return 0;
}

/* --- sending ----------------------------------------------------------- */

static void
send_part(struct child *store, struct pairs_states *s)
{
	struct cursor c =
	    cursor_of((struct span){s->rows + s->at, s->len - s->at});
	struct ipc_certificate_states part = {
	    .flags = s->at == 0 ? IPC_PART_FIRST : 0,
	    .rows = {0, {s->rows + s->at, 0}}};
	struct ipc_pair_state_row row;

	while (c.left > 0 && part.rows.records.len + ROW_MOST <= PART_SIZE) {
		ipc_next(&c, &ipc_pair_state_row_record, &row);
		part.rows.count++;
		part.rows.records.len = s->len - s->at - c.left;
	}
	s->at += part.rows.records.len;
	if (s->at == s->len)
		part.flags |= IPC_PART_LAST;
	child_send(store, IPC_CERTIFICATE_STATES, &part, -1);
}

void
pairs_tell_store(struct child *store)
{
	struct pairs *p = &store->monitor->pairs;
	struct pairs_states *s = &p->states;
	bool done;

	/* Another store than the one that had the first half. */
	if (s->rows != NULL && store->pairs.sent == 0)
		s->at = 0;
	if (s->rows == NULL &&
	    (store->pairs.version == s->version || make_rows(p) != 0))
		return;
	do {
		if (!pairs_has_room(store))
			return;
		send_part(store, s);
		store->pairs.sent = 1;
		done = s->at == s->len;
	} while (!done);
	store->pairs.version = s->rows_version;
	store->pairs.sent = 0;
	free(s->rows);
	s->rows = NULL;
}
