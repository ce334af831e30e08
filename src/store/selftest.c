/*
 * selftest.c - what `postal-tracker selftest` plays with: a token of a
 * message and of a link that are in no database
 *
 * Runs in the store. The token is random and known to the one tool that asked
 * for it, so that no visitor can make such an event. The link is answered from
 * memory; its message has an id that Postal's tables cannot hold, so the
 * forwarder looks for it in vain and settles the event as unmatched, as any
 * event of an unknown message. In stand-alone mode the server is made up too,
 * and END settles the events in the forwarder's place. Nothing of it is left
 * in any table.
 */
#include "store/internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

/* No Postal gives such ids: its columns are INT. */
#define NO_ID UINT32_MAX
#define OWN_SERVER "selftest"

enum { ROW_OPEN, ROW_CLICK, ROWS };

/* --- begin ------------------------------------------------------------- */

/* No token of Postal has a hyphen. */
static int
make_token(char token[SELFTEST_TOKEN_SIZE])
{
	uint8_t random[16];
	size_t at;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -1;
	at = (size_t)snprintf(token, SELFTEST_TOKEN_SIZE, "selftest-");
	for (size_t i = 0; i < sizeof(random); i++)
		at += (size_t)snprintf(
		    token + at, SELFTEST_TOKEN_SIZE - at, "%02x", random[i]);
	return 0;
}

static void
take_server(struct selftest *t, uint32_t id, struct span token)
{
	t->server_id = id;
	t->len = (uint8_t)token.len;
	memcpy(t->server, token.p, token.len);
}

/* The first server, or the one that was asked for. */
static const char *
choose_server(struct store *s, struct selftest *t, struct span wanted)
{
	for (size_t i = 0; i < s->n_servers; i++) {
		const struct server_name *name = &s->servers[i];
		struct span token = {name->token, name->len};

		if (name->gone ||
		    (wanted.len > 0 && !span_equal_nocase(token, wanted)))
			continue;
		take_server(t, name->id, token);
		return NULL;
	}
	if (wanted.len > 0)
		return "there is no server of this token";
	if (s->settings.mode == IPC_MODE_MYSQL)
		return "no mail server of Postal's is known here yet: has the "
		       "forwarder read them?";
	return NULL;
}

static const char *
begin(struct tool *owner, struct span wanted)
{
	struct store *s = owner->store;
	struct selftest t = {.owner = owner};
	const char *refused = NULL;

	if (s->selftest.owner != NULL)
		return "another selftest is under way; try again when it is "
		       "over";
	if (!spool_is_open(&s->spool))
		return s->reason;
	if (make_token(t.token) != 0)
		return "no random bytes for a token";
	t.own_server =
	    s->settings.mode == IPC_MODE_STANDALONE && wanted.len == 0;
	if (t.own_server)
		take_server(&t, NO_ID, span_of(OWN_SERVER));
	else
		refused = choose_server(s, &t, wanted);
	if (refused != NULL)
		return refused;
	s->selftest = t;
	if (t.own_server)
		workers_send_servers(s, NULL);
	return NULL;
}

/* --- end --------------------------------------------------------------- */

/* Events that nobody settled; those that were set aside stay what they are,
 * until the forwarder tries them again. */
static void
remove_events(struct store *s)
{
	const struct spool_aside none = {.reason = span_of("")};
	enum database_result r = DATABASE_OK;
	struct selftest *t = &s->selftest;
	struct err e;

	keep_commit(s);
	if (!spool_is_open(&s->spool) ||
	    spool_begin(&s->spool, &e) != DATABASE_OK)
		return;
	/* One that the forwarder settled is passed over. */
	for (size_t i = 0; r == DATABASE_OK && i < t->n_again; i++)
		r = spool_settle(&s->spool, t->again[i], 1,
		    IPC_OUTCOME_UNMATCHED, &none, &e);
	for (size_t i = 0; r == DATABASE_OK && i < ROWS; i++)
		if (t->rows[i].seq != 0 &&
		    t->rows[i].outcome == IPC_SELFTEST_NOTHING)
			r = spool_settle(&s->spool, t->rows[i].seq, 1,
			    IPC_OUTCOME_UNMATCHED, &none, &e);
	if (r == DATABASE_OK)
		r = spool_commit(&s->spool, &e);
	if (r != DATABASE_OK) {
		spool_rollback(&s->spool);
		return;
	}
	for (size_t i = 0; i < ROWS; i++) {
		if (t->rows[i].seq == 0 ||
		    t->rows[i].outcome != IPC_SELFTEST_NOTHING)
			continue;
		t->rows[i].outcome = IPC_SELFTEST_REMOVED;
		t->rows[i].settled_us = clock_wall_us();
	}
}

static void
end(struct store *s)
{
	bool own_server = s->selftest.own_server;

	remove_events(s);
	s->selftest.owner = NULL;
	s->selftest.own_server = false;
	if (own_server)
		workers_send_servers(s, NULL);
}

void
selftest_leave(struct tool *t)
{
	if (t->store->selftest.owner == t)
		end(t->store);
}

/* --- the tool's questions ---------------------------------------------- */

const char *
selftest_step(struct tool *t, const struct ipc_selftest *step)
{
	if (step->step == IPC_SELFTEST_BEGIN)
		return begin(t, step->server);
	if (t->store->selftest.owner != t)
		return "this connection has begun no selftest";
	if (step->step == IPC_SELFTEST_END)
		end(t->store);
	return NULL;
}

struct ipc_selftest_state
selftest_state(const struct store *s, uint8_t bytes[SELFTEST_ROWS_SIZE])
{
	const struct selftest *t = &s->selftest;
	struct writer w = writer_of(bytes, SELFTEST_ROWS_SIZE);
	struct ipc_selftest_state state = {.mode = s->settings.mode,
	    .server_id = t->server_id,
	    .server = {t->server, t->len},
	    .token = span_of(t->token),
	    .reason = {t->reason, t->reason_len}};

	for (size_t i = 0; i < ROWS; i++)
		(void)ipc_put(&w, &ipc_selftest_row_record, &t->rows[i]);
	state.rows = (struct ipc_list){ROWS, writer_span(&w)};
	return state;
}

/* --- the events' way --------------------------------------------------- */

const struct selftest *
selftest_own_server(const struct store *s)
{
	return s->selftest.own_server ? &s->selftest : NULL;
}

static bool
is_its(const struct selftest *t, uint32_t server_id, struct span token)
{
	return t->owner != NULL && server_id == t->server_id &&
	       span_equal(token, span_of(t->token));
}

bool
selftest_link(const struct store *s, const struct ipc_link *link,
    struct ipc_linked *linked)
{
	if (!is_its(&s->selftest, link->server_id, link->token))
		return false;
	*linked = (struct ipc_linked){.ask = link->ask,
	    .status = IPC_LINKED_FOUND,
	    .has_message = 1,
	    .link_id = NO_ID,
	    .message_id = NO_ID,
	    .url = span_of(IPC_SELFTEST_URL)};
	return true;
}

void
selftest_put(
    struct store *s, const struct spool_batch *batch, uint64_t last_seq)
{
	struct cursor c = cursor_of(batch->events);
	struct selftest *t = &s->selftest;
	struct ipc_event event;

	for (size_t i = 0; t->owner != NULL && i < batch->n_events; i++) {
		struct ipc_selftest_row *row;

		ipc_next(&c, &ipc_event_record, &event);
		if (!is_its(t, event.server_id, event.token))
			continue;
		row = &t->rows[event.kind == IPC_EVENT_OPEN ? ROW_OPEN
							    : ROW_CLICK];
		if (row->seq != 0 && t->n_again < SELFTEST_AGAIN_MAX)
			t->again[t->n_again++] = row->seq;
		row->seq = last_seq + i + 1;
		row->stored_us = row->settled_us = 0;
		row->outcome = IPC_SELFTEST_NOTHING;
		memcpy(row->ip, event.ip, sizeof(row->ip));
	}
}

static void
remember(struct selftest *t)
{
	memcpy(t->committed, t->rows, sizeof(t->committed));
	t->n_again_committed = t->n_again;
}

void
selftest_committed(struct store *s)
{
	struct selftest *t = &s->selftest;

	for (size_t i = 0; t->owner != NULL && i < ROWS; i++)
		if (t->rows[i].seq != 0 && t->rows[i].stored_us == 0)
			t->rows[i].stored_us = clock_wall_us();
	remember(t);
}

void
selftest_rolled_back(struct store *s)
{
	struct selftest *t = &s->selftest;

	memcpy(t->rows, t->committed, sizeof(t->rows));
	t->n_again = t->n_again_committed;
}

void
selftest_spool_replaced(struct store *s)
{
	struct selftest *t = &s->selftest;

	memset(t->rows, 0, sizeof(t->rows));
	t->n_again = 0;
	remember(t);
}

static void
settled(struct selftest *t, struct ipc_selftest_row *row,
    const struct ipc_settle *settle)
{
	row->outcome = settle->outcome;
	row->settled_us = clock_wall_us();
	t->reason_len =
	    (uint8_t)(settle->reason.len < IPC_REASON_MAX ? settle->reason.len
							  : IPC_REASON_MAX);
	if (t->reason_len > 0)
		memcpy(t->reason, settle->reason.p, t->reason_len);
}

void
selftest_settled(struct store *s, const struct ipc_settle *settle)
{
	struct cursor c = cursor_of(settle->rows.records);
	struct selftest *t = &s->selftest;
	struct ipc_settle_row row;

	for (size_t i = 0; t->owner != NULL && i < settle->rows.count; i++) {
		ipc_next(&c, &ipc_settle_row_record, &row);
		for (size_t j = 0; j < ROWS; j++)
			if (t->rows[j].seq >= row.seq &&
			    t->rows[j].seq - row.seq < row.n)
				settled(t, &t->rows[j], settle);
	}
	/* Nothing is open while events are settled. */
	remember(t);
}
