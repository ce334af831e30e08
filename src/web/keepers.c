/*
 * keepers.c - the web worker's channels to the processes that sign
 *
 * Keepers may come and go. What one was asked when it died is asked again:
 * of another, or of the one that takes its place; the handshake's time limit
 * is the only one. Each question goes to the keeper with the fewest open.
 *
 * Security: a keeper answers for connections that it was asked for, and for
 * no others. A wrong signature only fails its handshake.
 */
#include "web/internal.h"

#include "base/fd.h"

#include <sys/epoll.h>

/* Answers taken in one round of events: each starts an engine. */
#define ANSWERS_A_ROUND 16

void
keepers_init(struct web *w)
{
	for (size_t i = 0; i < KEEPERS_MAX; i++)
		w->https.keepers[i].channel.fd = w->https.keepers[i].watch.fd =
		    -1;
}

/* --- who waits --------------------------------------------------------- */

void
keepers_want(struct web *w, struct conn *c)
{
	if (c->to_sign || c->keeper >= 0)
		return;
	c->to_sign = true;
	w->https.n_to_sign++;
}

void
keepers_forget(struct web *w, struct conn *c)
{
	if (c->to_sign)
		w->https.n_to_sign--;
	c->to_sign = false;
	c->keeper = -1;
}

/* The connection that this keeper was asked for; NULL when it is gone. */
static struct conn *
find_asker(struct web *w, uint64_t ask, size_t keeper)
{
	size_t i = (size_t)(ask & UINT32_MAX);
	struct conn *c = i < w->n_used ? &w->conns[i] : NULL;

	if (c == NULL || c->serial != ask >> 32 || c->state != CONN_HANDSHAKE ||
	    c->keeper != (int)keeper)
		return NULL;
	return c;
}

/* --- channels ---------------------------------------------------------- */

static void
part(struct web *w, size_t index)
{
	struct keeper_link *k = &w->https.keepers[index];

	if (k->channel.fd < 0)
		return;
	(void)loop_remove(&w->loop, &k->watch);
	fd_close(&k->channel.fd);
	k->n_asked = 0;
	for (struct conn *c = w->https.handshakes.first; c; c = c->next)
		if (c->keeper == (int)index) {
			c->keeper = -1;
			keepers_want(w, c);
		}
}

static void
on_signed(struct web *w, size_t index, const struct ipc_signed *answer)
{
	struct keeper_link *k = &w->https.keepers[index];
	struct conn *c = find_asker(w, answer->ask, index);
	struct span nothing = {NULL, 0};

	if (k->n_asked > 0)
		k->n_asked--;
	if (c == NULL)
		return;
	c->keeper = -1;
	tls_signed(c->tls, answer->ok != 0 ? answer->signature : nothing);
	handshake_go_on(w, c);
}

static void
on_keeper(struct loop_watch *watch, uint32_t events)
{
	struct keeper_link *k = (struct keeper_link *)watch;
	struct web *w = k->web;
	size_t index = (size_t)(k - w->https.keepers);
	enum ipc_result got = IPC_OK;
	struct ipc_received in;

	(void)events;
	for (int i = 0; i < ANSWERS_A_ROUND; i++) {
		got = ipc_receive(&k->channel, w->buffer, &in);
		if (got != IPC_OK)
			break;
		on_signed(w, index, &in.body.signed_);
	}
	if (got == IPC_BREACH)
		web_stop_for("a keeper sent a message that is not in the "
			     "table");
	if (got == IPC_CLOSED)
		part(w, index);
}

void
keepers_take(struct web *w, unsigned int index, int fd)
{
	struct keeper_link *k;

	if (index >= KEEPERS_MAX || w->settings.n_https == 0)
		web_stop_for("the monitor sent a keeper that cannot be");
	k = &w->https.keepers[index];
	part(w, index);
	*k = (struct keeper_link){.watch = {fd, on_keeper},
	    .web = w,
	    .channel = {fd, IPC_WEB, IPC_KEEPER}};
	if (loop_add(&w->loop, &k->watch, EPOLLIN) != 0)
		web_stop_for("cannot watch a keeper");
}

/* --- asking ------------------------------------------------------------ */

static int
find_idlest(const struct web *w)
{
	const struct keeper_link *all = w->https.keepers;
	int best = -1;

	for (int i = 0; i < KEEPERS_MAX; i++)
		if (all[i].channel.fd >= 0 &&
		    (best < 0 || all[i].n_asked < all[best].n_asked))
			best = i;
	return best;
}

static enum ipc_result
ask(struct web *w, struct conn *c, int keeper)
{
	struct keeper_link *k = &w->https.keepers[keeper];
	struct tls_wanted wanted = tls_wanted(c->tls);
	struct ipc_sign body = {
	    .ask = conn_ask(w, c),
	    .pair = wanted.key_id,
	    .hash = (uint8_t)wanted.hash,
	    .bytes = wanted.bytes,
	};
	enum ipc_result sent =
	    ipc_send(&k->channel, w->scratch2, IPC_SIGN, &body, -1);

	if (sent != IPC_OK)
		return sent;
	keepers_forget(w, c);
	c->keeper = (int8_t)keeper;
	k->n_asked++;
	return IPC_OK;
}

/* When a channel is full, answers are on their way that bring us here again.
 */
void
keepers_flush(struct web *w)
{
	struct conn *c = w->https.handshakes.first;
	int keeper;

	while (c != NULL && w->https.n_to_sign > 0) {
		if (!c->to_sign) {
			c = c->next;
			continue;
		}
		keeper = find_idlest(w);
		if (keeper < 0)
			return;
		switch (ask(w, c, keeper)) {
		case IPC_OK:
			c = c->next;
			break;
		case IPC_AGAIN:
			return;
		default:
			/* Those whom it was asked for may be anywhere. */
			part(w, (size_t)keeper);
			c = w->https.handshakes.first;
		}
	}
}
