/*
 * store_keep_test.c - what the store does with a round of batches, and when
 * the spool fails beneath it
 *
 * In a directory of its own, which is the working directory as in the store.
 * A failure is made by a statement that says what SQLite would.
 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "store/internal.h"
#include "tests/unit/directory.h"

static struct store s;
static uint8_t scratch[IPC_RECORD_MAX], page[IPC_RECORD_MAX];
static int worker_fd; /* the worker's end */
static struct err e;

static void
ignore(struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
}

static void
start(enum ipc_durability durability)
{
	int pair[2];

	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < WORKERS_MAX; i++)
		s.workers[i].channel.fd = -1;
	for (size_t i = 0; i < TOOLS_MAX; i++)
		s.tools[i].channel.fd = -1;
	s.forwarder.channel.fd = -1;
	s.scratch = scratch;
	s.page = page;
	s.settings = (struct ipc_store_settings){.mode = IPC_MODE_STANDALONE,
	    .durability = (uint8_t)durability,
	    .max_size = 1 << 20,
	    .retention_ms = UINT64_MAX / 4000};
	assert_int_equal(fd_seqpacket_pair(pair, &e), 0);
	s.workers[0].channel =
	    (struct ipc_channel){pair[0], IPC_STORE, IPC_WEB};
	s.workers[0].store = &s;
	s.workers[0].watch = (struct loop_watch){pair[0], ignore};
	worker_fd = pair[1];
	assert_int_equal(loop_open(&s.loop, &s, &e), 0);
	assert_int_equal(loop_add(&s.loop, &s.workers[0].watch, EPOLLIN), 0);
	keep_open_links(&s);
	keep_open_spool(&s);
	assert_true(s.ready);
}

static int
stop(void **state)
{
	(void)state;
	(void)loop_remove(&s.loop, &s.workers[0].watch);
	loop_close(&s.loop);
	fd_close(&worker_fd);
	fd_close(&s.workers[0].channel.fd);
	spool_close(&s.spool);
	links_close(&s.links);
	return directory_empty();
}

/* --- rounds ------------------------------------------------------------ */

/* A batch of one open, as its worker sent it. */
static void
send_open(uint32_t server_id, const char *token, struct span user_agent)
{
	static uint8_t bytes[IPC_BATCH_BYTES_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ipc_event event = {.at_us = 1,
	    .kind = IPC_EVENT_OPEN,
	    .method = IPC_METHOD_GET,
	    .server_id = server_id,
	    .token = span_of(token),
	    .user_agent = user_agent};
	struct spool_batch *batch = &s.workers[0].batch;

	if (user_agent.len > 0)
		event.flags = IPC_EVENT_HAS_AGENT;
	assert_int_equal(ipc_put(&w, &ipc_event_record, &event), 0);
	*batch = (struct spool_batch){.instance = 1,
	    .number = batch->number + 1,
	    .n_events = 1,
	    .newest_us = event.at_us,
	    .servers = span_of(""),
	    .events = writer_span(&w)};
	s.workers[0].under_way = true;
}

/* What the worker is told of it. */
static enum ipc_stored_status
round_with(uint32_t server_id, const char *token, struct span user_agent)
{
	uint8_t buffer[IPC_RECORD_MAX];
	struct ipc_channel worker = {worker_fd, IPC_WEB, IPC_STORE};
	struct ipc_received in;

	send_open(server_id, token, user_agent);
	keep_round(&s);
	do
		assert_int_equal(ipc_receive(&worker, buffer, &in), IPC_OK);
	while (in.message->type == IPC_SERVERS);
	assert_int_equal(in.message->type, IPC_STORED);
	assert_int_equal(in.body.stored.number, s.workers[0].batch.number);
	return (enum ipc_stored_status)in.body.stored.status;
}

static enum ipc_stored_status
round_of(uint32_t server_id, const char *token)
{
	return round_with(server_id, token, span_of(""));
}

static void
say_code(sqlite3_context *context, int n, sqlite3_value **values)
{
	(void)n;
	(void)values;
	sqlite3_result_error_code(
	    context, *(const int *)sqlite3_user_data(context));
}

/* From now on the statement fails so; *was is the one that works. */
static void
break_statement(enum spool_statement which, int *code, sqlite3_stmt **was)
{
	assert_int_equal(sqlite3_create_function(s.spool.db.handle, "fail", -1,
			     SQLITE_UTF8, code, say_code, NULL, NULL),
	    SQLITE_OK);
	*was = s.spool.statements[which];
	assert_int_equal(
	    database_prepare(&s.spool.db, "SELECT fail(?, ?, ?, ?, ?, ?, ?)",
		&s.spool.statements[which], &e),
	    DATABASE_OK);
}

static void
mend_statement(enum spool_statement which, sqlite3_stmt *was)
{
	(void)sqlite3_finalize(s.spool.statements[which]);
	s.spool.statements[which] = was;
}

static void
assert_law(void)
{
	const struct spool_counts *c = &s.spool.now;

	assert_true(c->accepted == c->written + c->unmatched + c->duplicates +
				       c->set_aside + c->expired + c->pending +
				       c->lost);
}

/* --- a full spool ------------------------------------------------------ */

static int64_t
number(const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int64_t n;

	assert_int_equal(
	    database_prepare(&s.spool.db, sql, &stmt, &e), DATABASE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	return n;
}

/* Events of one size, until one is lost. */
static void
fill(size_t size)
{
	static uint8_t agent[4000];
	int most = 100000;

	s.tend_at_ms = s.loop.now_ms + 60000;
	memset(agent, 'x', sizeof(agent));
	while (
	    round_with(1, "t", (struct span){agent, size}) != IPC_STORED_LOST)
		assert_true(--most > 0);
	assert_false(s.ready);
	/* Whether there is room is looked at soon. */
	assert_int_equal(s.tend_at_ms, s.loop.now_ms + 1000);
	assert_non_null(strstr(s.reason, "max_size = 1048576"));
}

/* Nobody comes, and nothing makes room: it stays full. */
static void
test_a_full_spool_stays_unready(void **state)
{
	static const size_t sizes[] = {0, 1000, 4000, 1};
	uint64_t pending;

	(void)state;
	start(IPC_DURABILITY_SYNC);
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		fill(sizes[i]);
		for (int j = 0; j < 3; j++) {
			keep_tend(&s);
			assert_false(s.ready);
		}
	}
	assert_law();
	pending = s.spool.now.pending;
	/* Also for the store that comes after this one. */
	spool_close(&s.spool);
	keep_open_spool(&s);
	assert_false(s.ready);
	assert_int_equal(s.spool.now.pending, pending);
	spool_set_max_size(&s.spool, 2 << 20);
	keep_tend(&s);
	assert_true(s.ready);
	assert_int_equal(number("SELECT count(*) FROM settled"), 0);
	assert_law();
}

/* What expires makes room. */
static void
test_a_full_spool_recovers(void **state)
{
	(void)state;
	start(IPC_DURABILITY_SYNC);
	fill(1000);
	keep_tend(&s);
	assert_false(s.ready);
	/* They are of 1970. */
	s.settings.retention_ms = 1;
	keep_tend(&s);
	assert_true(s.ready);
	assert_int_equal(round_of(1, "again"), IPC_STORED_YES);
	assert_law();
}

/* --- a damaged spool --------------------------------------------------- */

/* Events that were answered and then rolled back are neither there nor
 * forgotten. */
static void
test_relaxed_events_of_a_damaged_spool_are_lost(void **state)
{
	int code = SQLITE_CORRUPT;
	sqlite3_stmt *was;

	(void)state;
	start(IPC_DURABILITY_RELAXED);
	assert_int_equal(round_of(1, "one"), IPC_STORED_YES);
	assert_int_equal(round_of(1, "two"), IPC_STORED_YES);
	assert_int_equal(s.uncommitted, 2);
	break_statement(SPOOL_PUT, &code, &was);
	/* The new spool closes the old one with all of its statements. */
	(void)sqlite3_finalize(was);
	assert_int_equal(round_of(1, "three"), IPC_STORED_YES);
	assert_int_equal(s.uncommitted, 1);
	keep_commit(&s);
	assert_int_equal(s.spool.now.lost, 2);
	assert_int_equal(s.spool.now.pending, 1);
	assert_int_equal(s.spool.now.accepted, 3);
	assert_law();
	assert_true(s.ready);
}

/* --- selftest ---------------------------------------------------------- */

#define NO_ID UINT32_MAX

static struct tool tool;

static void
step(enum ipc_selftest_step which)
{
	struct ipc_selftest body = {
	    .step = (uint8_t)which, .server = span_of("")};

	tool.store = &s;
	assert_null(selftest_step(&tool, &body));
}

/* The number that its open has, or had; 0: none. */
static uint64_t
open_seq(void)
{
	return s.selftest.rows[0].seq;
}

/* The number of what was not stored is the next visitor's. */
static void
test_selftest_leaves_a_visitors_event_alone(void **state)
{
	int code = SQLITE_FULL;
	sqlite3_stmt *was;

	(void)state;
	start(IPC_DURABILITY_SYNC);
	step(IPC_SELFTEST_BEGIN);
	break_statement(SPOOL_PUT, &code, &was);
	assert_int_equal(round_of(NO_ID, s.selftest.token), IPC_STORED_LOST);
	mend_statement(SPOOL_PUT, was);
	assert_int_equal(open_seq(), 0);
	assert_int_equal(round_of(1, "visitor"), IPC_STORED_YES);
	assert_true(s.selftest.rows[0].stored_us == 0);
	step(IPC_SELFTEST_END);
	assert_int_equal(s.spool.now.pending, 1);
	assert_int_equal(s.spool.now.unmatched, 0);
}

/* The same when it is the commit that fails, with an event before it that
 * was stored: END removes that one. */
static void
test_selftest_forgets_what_was_rolled_back(void **state)
{
	int code = SQLITE_FULL;
	sqlite3_stmt *was;

	(void)state;
	start(IPC_DURABILITY_SYNC);
	step(IPC_SELFTEST_BEGIN);
	assert_int_equal(round_of(NO_ID, s.selftest.token), IPC_STORED_YES);
	assert_int_equal(open_seq(), 1);
	break_statement(SPOOL_COMMIT, &code, &was);
	assert_int_equal(round_of(NO_ID, s.selftest.token), IPC_STORED_LOST);
	mend_statement(SPOOL_COMMIT, was);
	assert_int_equal(open_seq(), 1);
	assert_int_equal(round_of(1, "visitor"), IPC_STORED_YES);
	step(IPC_SELFTEST_END);
	assert_int_equal(s.spool.now.pending, 1);
	assert_int_equal(s.spool.now.unmatched, 1);
	assert_law();
}

/* A new spool counts from 1 again. */
static void
test_selftest_forgets_a_spool_that_was_replaced(void **state)
{
	(void)state;
	start(IPC_DURABILITY_SYNC);
	step(IPC_SELFTEST_BEGIN);
	assert_int_equal(round_of(NO_ID, s.selftest.token), IPC_STORED_YES);
	keep_replace_spool(&s, &e);
	assert_int_equal(open_seq(), 0);
	assert_int_equal(round_of(1, "visitor"), IPC_STORED_YES);
	step(IPC_SELFTEST_END);
	assert_int_equal(s.spool.now.pending, 1);
	assert_int_equal(s.spool.now.unmatched, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, stop)
	const struct CMUnitTest tests[] = {
	    TEST(test_a_full_spool_stays_unready),
	    TEST(test_a_full_spool_recovers),
	    TEST(test_relaxed_events_of_a_damaged_spool_are_lost),
	    TEST(test_selftest_leaves_a_visitors_event_alone),
	    TEST(test_selftest_forgets_what_was_rolled_back),
	    TEST(test_selftest_forgets_a_spool_that_was_replaced),
	};
	int failed;

	if (directory_enter() != 0 || database_setup(&e) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(directory) != 0 ? 1 : failed;
}
