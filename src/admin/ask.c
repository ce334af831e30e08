/*
 * ask.c - what admin asks the store
 *
 * Runs in admin, the weaker side. One question is under way at a time. The
 * table below is asked as a whole, and its answers serve all who want them
 * within a moment, so that many who watch cost the store no more than one.
 */
#include "admin/internal.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "base/array.h"
#include "base/fd.h"

/* So long the answers serve. */
#define FRESH_MS 100

enum question { STATUS, COMMITS, CERTIFICATES };

/* To ask for more: a row here, and a function as admin_ask_commits. */
static const struct {
	enum ipc_type ask, answer;
} questions[] = {
    [STATUS] = {IPC_STATUS_GET, IPC_STATUS},
    [COMMITS] = {IPC_COMMITS_GET, IPC_COMMITS},
    [CERTIFICATES] = {IPC_CERTIFICATES_GET, IPC_CERTIFICATES},
};

_Static_assert(ARRAY_LENGTH(questions) <= QUESTIONS_MAX, "QUESTIONS_MAX");

bool
admin_ask_is_fresh(const struct admin *a)
{
	return a->loop.now_ms < a->asking.fresh_till_ms;
}

const struct ipc_status *
admin_ask_status(const struct admin *a)
{
	return admin_ask_is_fresh(a) ? &a->asking.answers[STATUS].status : NULL;
}

const struct ipc_commits *
admin_ask_commits(const struct admin *a)
{
	return admin_ask_is_fresh(a) ? &a->asking.answers[COMMITS].commits
				     : NULL;
}

struct ipc_list
admin_ask_pairs(const struct admin *a)
{
	return (struct ipc_list){
	    a->asking.n_pairs, writer_span(&a->asking.pairs)};
}

/* --- asking ------------------------------------------------------------ */

static bool
is_wanted(const struct admin *a)
{
	for (size_t i = 0; i < CONNS_MAX; i++) {
		const struct conn *c = &a->conns[i];

		if (c->state == CONN_WAITING &&
		    c->target.route != ADMIN_PERMISSION)
			return true;
	}
	return false;
}

/* Who has waited longest for a permission; NULL: nobody. */
static struct conn *
next_asker(struct admin *a)
{
	struct conn *first = NULL;

	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &a->conns[i];

		if (c->state == CONN_WAITING &&
		    c->target.route == ADMIN_PERMISSION &&
		    (first == NULL || c->since_ms < first->since_ms))
			first = c;
	}
	return first;
}

static void
send_question(struct admin *a, enum ipc_type type, const void *body)
{
	enum ipc_result sent = ipc_send(&a->store, a->scratch, type, body, -1);

	/* Away: the monitor sends another channel. */
	a->asking.under_way = sent == IPC_OK;
}

static void
ask_for(struct admin *a, struct conn *c)
{
	struct ipc_permission_get body = {
	    .name = {c->target.name, c->target.name_len}};

	a->asking.permission = true;
	a->asking.who = c;
	a->asking.who_serial = c->serial;
	send_question(a, IPC_PERMISSION_GET, &body);
}

void
admin_ask_go_on(struct admin *a)
{
	struct asking *k = &a->asking;
	union ipc_body body = {.status_get = {0}};
	struct conn *c;

	if (a->store.fd < 0 || k->under_way)
		return;
	if (!k->gathering && is_wanted(a)) {
		k->gathering = true;
		k->next = 0;
		k->fresh_till_ms = 0;
		a->page_len = 0;
		k->pairs.len = 0;
		k->n_pairs = 0;
		k->last_pair = (struct span){NULL, 0};
	}
	if (k->gathering) {
		k->permission = false;
		if (k->next == CERTIFICATES)
			body.certificates_get.after_name = k->last_pair;
		send_question(a, questions[k->next].ask, &body);
	} else if ((c = next_asker(a)) != NULL) {
		ask_for(a, c);
	}
}

/* --- answers ----------------------------------------------------------- */

static void
take_permission(struct admin *a, const struct ipc_received *in)
{
	struct conn *c = a->asking.who;

	if (in->message->type != IPC_PERMISSION)
		admin_stop_for("the store sent a message out of order");
	/* Else it went away. */
	if (c->state == CONN_WAITING && c->serial == a->asking.who_serial)
		admin_answer_permission(c, in->body.permission.status);
}

/* Whether there may be more; each page begins behind the one before it. */
static bool
take_pairs(struct asking *k, const struct ipc_list *rows)
{
	struct cursor c = cursor_of(rows->records);
	struct ipc_pair_state_row row;

	for (size_t i = 0; i < rows->count; i++) {
		ipc_next(&c, &ipc_pair_state_row_record, &row);
		if (ipc_put(&k->pairs, &ipc_pair_state_row_record, &row) != 0)
			return false;
		/* It stays where it is until the next page comes. */
		k->last_pair = row.name;
		k->n_pairs++;
	}
	return rows->count > 0;
}

static void
take_answer(struct admin *a, const struct ipc_received *in)
{
	struct asking *k = &a->asking;

	if (in->message->type != questions[k->next].answer)
		admin_stop_for("the store sent a message out of order");
	k->answers[k->next] = in->body;
	if (k->next == CERTIFICATES &&
	    take_pairs(k, &in->body.certificates.rows))
		return;
	k->next++;
	if (k->next < ARRAY_LENGTH(questions))
		return;
	k->gathering = false;
	k->fresh_till_ms = a->loop.now_ms + FRESH_MS;
	admin_answer_gathered(a);
}

static void
store_is_away(struct admin *a)
{
	(void)loop_remove(&a->loop, &a->store_watch);
	fd_close(&a->store.fd);
	a->asking.under_way = a->asking.gathering = false;
}

static void
on_store(struct loop_watch *watch, uint32_t events)
{
	struct admin *a =
	    (struct admin *)(void *)((char *)watch -
				     offsetof(struct admin, store_watch));
	struct asking *k = &a->asking;
	/* One of the table stays in its memory. */
	uint8_t *bytes =
	    k->under_way && !k->permission ? k->bytes[k->next] : a->role.buffer;
	struct ipc_received in;

	(void)events;
	switch (ipc_receive(&a->store, bytes, &in)) {
	case IPC_AGAIN:
		return;
	case IPC_BREACH:
		admin_stop_for(
		    "the store sent a message that is not in the table");
	case IPC_CLOSED:
		store_is_away(a);
		return;
	default:
		break;
	}
	if (!k->under_way)
		admin_stop_for("the store sent a message out of order");
	k->under_way = false;
	if (k->permission)
		take_permission(a, &in);
	else
		take_answer(a, &in);
	admin_ask_go_on(a);
}

/* --- the channel ------------------------------------------------------- */

void
admin_ask_take_store(struct admin *a, int fd)
{
	if (a->store.fd >= 0)
		store_is_away(a);
	a->store = (struct ipc_channel){fd, IPC_ADMIN, IPC_STORE};
	a->store_watch = (struct loop_watch){fd, on_store};
	if (loop_add(&a->loop, &a->store_watch, EPOLLIN) != 0)
		admin_stop_for("cannot watch the store");
	admin_ask_go_on(a);
}

int
admin_ask_open(struct admin *a, struct err *e)
{
	uint8_t *pairs = malloc(PAIRS_SIZE);

	a->store.fd = a->store_watch.fd = -1;
	if (pairs == NULL)
		return err_errno(e, "no memory for answers");
	a->asking.pairs = writer_of(pairs, PAIRS_SIZE);
	for (size_t i = 0; i < ARRAY_LENGTH(questions); i++) {
		a->asking.bytes[i] = malloc(IPC_RECORD_MAX);
		if (a->asking.bytes[i] == NULL)
			return err_errno(e, "no memory for answers");
	}
	return 0;
}
