/*
 * web_batch_test.c - batches on their way to a store that comes and goes
 */
#include "tests/unit/test.h"

#include "base/fd.h"
#include "web/internal.h"

static struct web web;
static struct ipc_channel store;
static uint8_t buffer[IPC_RECORD_MAX];

/* A new store, and the channel to it; the old one is gone. */
static void
connect_store(void)
{
	struct err e;
	int pair[2];

	fd_close(&web.store.fd);
	fd_close(&store.fd);
	assert_int_equal(fd_seqpacket_pair(pair, &e), 0);
	web.store = (struct ipc_channel){pair[0], IPC_WEB, IPC_STORE};
	store = (struct ipc_channel){pair[1], IPC_STORE, IPC_WEB};
}

static int
set_up(void **state)
{
	(void)state;
	memset(&web, 0, sizeof(web));
	/* No connection waits for its answer: only the events matter here. */
	web.settings.durability = IPC_DURABILITY_RELAXED;
	web.store.fd = store.fd = -1;
	assert_int_equal(batches_open(&web), 0);
	connect_store();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fd_close(&web.store.fd);
	fd_close(&store.fd);
	free(web.batches.ring);
	return 0;
}

static void
put(const char *token)
{
	struct ipc_event event = {.kind = IPC_EVENT_OPEN,
	    .method = IPC_METHOD_GET,
	    .server_id = 1,
	    .token = span_of(token)};

	(void)batches_put(&web, NULL, &event);
}

/* The store takes a batch and finds these tokens in it. */
static void
expect_batch(uint64_t number, const char *tokens)
{
	struct ipc_received in;
	struct ipc_event event;
	struct cursor c;
	char text[256] = "";

	assert_int_equal(ipc_receive(&store, buffer, &in), IPC_OK);
	assert_int_equal(in.message->type, IPC_EVENTS);
	assert_int_equal(in.body.events.number, number);
	c = cursor_of(in.body.events.rows.records);
	for (size_t i = 0; i < in.body.events.rows.count; i++) {
		ipc_next(&c, &ipc_event_record, &event);
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%.*s ", (int)event.token.len, (const char *)event.token.p);
	}
	assert_string_equal(text, tokens);
}

static void
expect_nothing(void)
{
	struct ipc_received in;

	assert_int_equal(ipc_receive(&store, buffer, &in), IPC_AGAIN);
}

static void
acknowledge(uint64_t number)
{
	struct ipc_stored stored = {number, IPC_STORED_YES};

	batches_stored(&web, &stored);
}

/* Rounds of the loop until it would wait: others had their turn. */
static void
flush(void)
{
	do {
		web.loop.poll_once = false;
		batches_flush(&web);
	} while (web.loop.poll_once);
}

static void
test_one_under_way(void **state)
{
	(void)state;
	put("a");
	flush();
	put("b");
	put("c");
	flush();
	expect_batch(1, "a ");
	expect_nothing();
	assert_false(batches_empty(&web));
	acknowledge(1);
	flush();
	expect_batch(2, "b c ");
	acknowledge(2);
	assert_true(batches_empty(&web));
}

/* An event that the table of messages refuses is lost, and alone. */
static void
test_what_is_no_event(void **state)
{
	static struct conn visitor;
	struct ipc_event event = {.kind = IPC_EVENT_OPEN,
	    .method = IPC_METHOD_GET,
	    .server_id = 0,
	    .token = span_of("x")};

	(void)state;
	assert_false(batches_put(&web, &visitor, &event));
	assert_true(batches_empty(&web));
	put("a");
	assert_false(batches_put(&web, &visitor, &event));
	put("b");
	flush();
	expect_batch(1, "a b ");
	acknowledge(1);
	assert_true(batches_empty(&web));
	assert_int_equal(web.counters[COUNTER_EVENTS_LOST], 2);
}

static void
test_gathers_while_there_is_more_to_read(void **state)
{
	(void)state;
	web.loop.n_events = 3;
	put("a");
	batches_flush(&web);
	expect_nothing();
	assert_true(web.loop.poll_once);
	put("b");
	web.loop.n_events = 0;
	/* Nothing more to read: others on this core have one turn. */
	web.loop.poll_once = false;
	batches_flush(&web);
	expect_nothing();
	assert_true(web.loop.poll_once);
	put("c");
	web.loop.poll_once = false;
	batches_flush(&web);
	assert_false(web.loop.poll_once);
	expect_batch(1, "a b c ");
}

/*
 * The store died after it had the batch, and perhaps had stored it: what goes
 * again under the same number is the same, whatever came since. The new store
 * may answer for it without looking at its events.
 */
static void
test_a_batch_goes_again_as_it_was(void **state)
{
	(void)state;
	put("a");
	flush();
	expect_batch(1, "a ");
	connect_store();
	web.loop.n_events = 3;
	batches_resend(&web);
	put("b");
	web.loop.n_events = 0;
	flush();
	expect_batch(1, "a ");
	acknowledge(1);
	flush();
	expect_batch(2, "b ");
}

/* The same while there is no store at all. */
static void
test_events_between_two_stores(void **state)
{
	(void)state;
	put("a");
	flush();
	fd_close(&web.store.fd);
	web.batches.under_way = false;
	put("b");
	flush();
	connect_store();
	batches_resend(&web);
	expect_batch(1, "a ");
	acknowledge(1);
	flush();
	expect_batch(2, "b ");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_one_under_way),
	    TEST(test_what_is_no_event),
	    TEST(test_gathers_while_there_is_more_to_read),
	    TEST(test_a_batch_goes_again_as_it_was),
	    TEST(test_events_between_two_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
