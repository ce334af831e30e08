/*
 * list.c - lists of connections
 *
 * Pure. Each list is in the order of its deadlines, because all its members
 * got the same time when they were appended.
 */
#include "web/internal.h"

#include <assert.h>
#include <stddef.h>

void
conn_list_append(struct conn_list *l, struct conn *c)
{
	assert(c->list == NULL);
	c->list = l;
	c->prev = l->last;
	c->next = NULL;
	if (l->last != NULL)
		l->last->next = c;
	else
		l->first = c;
	l->last = c;
}

void
conn_list_remove(struct conn *c)
{
	struct conn_list *l = c->list;

	if (l == NULL)
		return;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		l->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		l->last = c->prev;
	c->list = NULL;
	c->prev = c->next = NULL;
}
