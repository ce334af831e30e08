/*
 * store_test.c - spool.db
 *
 * In a directory of its own, which is the working directory as in the store.
 */
#include "tests/unit/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "store/spool.h"
#include "tests/unit/directory.h"

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct spool spool;
static struct err e;

static void
reopen(void)
{
	spool_close(&spool);
	memset(&spool, 0, sizeof(spool));
	assert_int_equal(
	    spool_open(&spool, IPC_MODE_STANDALONE, &e), DATABASE_OK);
}

/* A batch of one event for each word of tokens, of servers 3, 4, 3, 4... */
static enum database_result
put_from(uint64_t worker, uint64_t number, int64_t at_us, const char *tokens)
{
	uint8_t names[64], bytes[4096];
	struct writer n = writer_of(names, sizeof(names));
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ipc_server_row servers[] = {
	    {3, span_of("srv")}, {4, span_of("other")}};
	struct spool_batch batch = {
	    .instance = worker, .number = number, .newest_us = at_us};
	struct cursor c = cursor_of(span_of(tokens));

	for (size_t i = 0; i < ARRAY_LENGTH(servers); i++)
		assert_int_equal(
		    ipc_put(&n, &ipc_server_row_record, &servers[i]), 0);
	while (c.left > 0) {
		const uint8_t *end = memchr(c.p, ' ', c.left);
		size_t len = end == NULL ? c.left : (size_t)(end - c.p);
		struct ipc_event event = {.at_us = at_us,
		    .kind = IPC_EVENT_OPEN,
		    .method = IPC_METHOD_GET,
		    .flags = IPC_EVENT_HAS_AGENT,
		    .server_id = 3u + batch.n_events % 2,
		    .ip = {1, 2, 3},
		    .token = cursor_bytes(&c, len),
		    .user_agent = span_of("agent")};

		(void)cursor_bytes(&c, c.left > 0 ? 1 : 0);
		assert_int_equal(ipc_put(&w, &ipc_event_record, &event), 0);
		batch.n_events++;
	}
	batch.servers = writer_span(&n);
	batch.events = writer_span(&w);
	return spool_put(&spool, &batch, &e);
}

static enum database_result
put(int64_t at_us, const char *tokens)
{
	return put_from(0, 0, at_us, tokens);
}

static void
put_and_commit(int64_t at_us, const char *token)
{
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(put(at_us, token), DATABASE_OK);
	assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
}

static void
assert_law(void)
{
	const struct spool_counts *c = &spool.now;

	assert_true(c->accepted == c->written + c->unmatched + c->duplicates +
				       c->set_aside + c->expired + c->pending +
				       c->lost);
}

/* Tokens of the rows after a sequence number, in one text. */
static bool
collect(void *owner, const struct spool_row *row)
{
	struct span token = row->event.token;
	char *text = owner;

	(void)snprintf(text + strlen(text), 256 - strlen(text), "%llu:%.*s ",
	    (unsigned long long)row->seq, (int)token.len,
	    (const char *)token.p);
	assert_true(span_equal(
	    row->server, span_of(row->event.server_id == 3 ? "srv" : "other")));
	return token.p[0] != '!';
}

static const char *
rows(uint64_t after, unsigned int most)
{
	static char text[256];

	text[0] = '\0';
	assert_int_equal(
	    spool_page(&spool, after, most, collect, text, &e), DATABASE_OK);
	return text;
}

static void
test_what_was_committed_is_there(void **state)
{
	uint8_t node[IPC_NODE_SIZE];

	(void)state;
	reopen();
	memcpy(node, spool.node, sizeof(node));
	put_and_commit(1, "one");
	put_and_commit(2, "two");
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(put_from(77, 5, 3, "never"), DATABASE_OK);
	/* Closing rolls back what was not committed. */
	reopen();
	assert_memory_equal(node, spool.node, sizeof(node));
	assert_string_equal(rows(0, 10), "1:one 2:two ");
	assert_string_equal(rows(1, 10), "2:two ");
	assert_string_equal(rows(0, 1), "1:one ");
	assert_string_equal(rows(UINT64_MAX, 10), "");
	assert_int_equal(spool_worker(&spool, 77).number, 0);
	assert_int_equal(spool.now.pending, 2);
	assert_int_equal(spool.now.accepted, 2);
	assert_law();
	/* The number that was rolled back is used for the next one. */
	put_and_commit(4, "three");
	assert_string_equal(rows(2, 10), "3:three ");
}

static void
test_a_visit_may_stop(void **state)
{
	(void)state;
	reopen();
	put_and_commit(1, "a");
	put_and_commit(2, "!");
	put_and_commit(3, "c");
	assert_string_equal(rows(0, 10), "1:a 2:! ");
	assert_string_equal(rows(0, 10), "1:a 2:! ");
}

static void
test_worker_numbers(void **state)
{
	(void)state;
	reopen();
	for (uint64_t i = 1; i <= SPOOL_WORKERS_MAX; i++) {
		assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
		assert_int_equal(put_from(i, i * 10, 1, "x"), DATABASE_OK);
		/* Saved now and then: the batches behind it are counted. */
		spool_save_state(&spool, i % 100 == 0);
		assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
	}
	reopen();
	assert_int_equal(spool.now.accepted, SPOOL_WORKERS_MAX);
	assert_int_equal(spool_worker(&spool, 1).number, 10);
	/* The one that was there longest makes room. */
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(put_from(1000, 7, 1, "x"), DATABASE_OK);
	assert_int_equal(put_from(2, 21, 1, "x"), DATABASE_OK);
	assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
	reopen();
	assert_int_equal(spool_worker(&spool, 1).number, 0);
	assert_int_equal(spool_worker(&spool, 2).number, 21);
	assert_int_equal(spool_worker(&spool, 1000).number, 7);
	spool_forget_worker(&spool, 2);
	assert_int_equal(spool_worker(&spool, 2).number, 0);
	assert_int_equal(spool_worker(&spool, 3).number, 30);
	spool_forget_worker(&spool, 4711);
}

/* A worker tells its totals again and again, also to a store that is new. */
static void
test_totals_of_a_worker_count_once(void **state)
{
	(void)state;
	reopen();
	spool_count_worker(&spool, 9, 3, 2);
	spool_count_worker(&spool, 9, 3, 2);
	put_and_commit(1, "a");
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	spool_count_worker(&spool, 9, 5, 2);
	spool_rollback(&spool);
	spool_count_worker(&spool, 9, 5, 2);
	put_and_commit(2, "b");
	reopen();
	assert_int_equal(spool.now.lost, 5);
	spool_count_worker(&spool, 9, 6, 4);
	/* Not saved when the spool goes away: known to this process. */
	spool_close(&spool);
	assert_int_equal(
	    spool_open(&spool, IPC_MODE_STANDALONE, &e), DATABASE_OK);
	spool_count_worker(&spool, 9, 6, 4);
	assert_int_equal(spool.now.lost, 6);
	assert_int_equal(spool.now.late, 4);
	assert_law();
}

static void
test_a_rollback_keeps_what_was_lost(void **state)
{
	(void)state;
	reopen();
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(put_from(77, 5, 1, "a"), DATABASE_OK);
	spool_count_worker(&spool, 78, 3, 2);
	spool_rollback(&spool);
	assert_int_equal(spool_worker(&spool, 77).number, 0);
	assert_int_equal(spool.now.pending, 0);
	assert_int_equal(spool.now.lost, 3);
	assert_int_equal(spool.now.late, 2);
	assert_true(spool_has_unsaved_counts(&spool));
	assert_law();
	put_and_commit(1, "b");
	assert_false(spool_has_unsaved_counts(&spool));
	reopen();
	assert_int_equal(spool.now.lost, 3);
	assert_int_equal(spool.now.accepted, 4);
	assert_law();
}

static void
settle(uint64_t seq, uint64_t n, enum ipc_outcome outcome, const char *reason)
{
	struct spool_aside aside = {
	    .reason = span_of(reason), .retry = reason[0] != '!', .at_us = 9};

	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(
	    spool_settle(&spool, seq, n, outcome, &aside, &e), DATABASE_OK);
	assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
	assert_law();
}

static int64_t
count_rows(const char *table)
{
	char sql[64];
	sqlite3_stmt *stmt = NULL;
	int64_t n;

	(void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	assert_int_equal(
	    database_prepare(&spool.db, sql, &stmt, &e), DATABASE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	return n;
}

static void
test_expire(void **state)
{
	uint64_t gone = 0;
	bool more;

	(void)state;
	reopen();
	for (int i = 1; i <= 5; i++)
		put_and_commit(i, "x y");
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(
	    spool_expire(&spool, 4, 2, &gone, &more, &e), DATABASE_OK);
	assert_int_equal(gone, 4);
	assert_true(more);
	assert_int_equal(
	    spool_expire(&spool, 4, 2, &gone, &more, &e), DATABASE_OK);
	assert_int_equal(gone, 6);
	assert_int_equal(
	    spool_expire(&spool, 4, 2, &gone, &more, &e), DATABASE_OK);
	assert_int_equal(gone, 6);
	assert_false(more);
	assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
	assert_string_equal(rows(0, 10), "7:x 8:y 9:x 10:y ");
	reopen();
	assert_int_equal(spool.now.expired, 6);
	assert_int_equal(spool.now.pending, 4);
	assert_law();
}

/* Those before them are of a clock that went ahead. */
static void
test_expire_behind_the_future(void **state)
{
	uint64_t gone = 0;
	bool more;

	(void)state;
	reopen();
	for (int i = 1; i <= 7; i++)
		put_and_commit(1000, "x");
	for (int i = 1; i <= 5; i++)
		put_and_commit(1, "y");
	put_and_commit(1000, "z");
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	for (int i = 0; i < 8; i++)
		assert_int_equal(
		    spool_expire(&spool, 4, 2, &gone, &more, &e), DATABASE_OK);
	assert_int_equal(gone, 5);
	/* And from the beginning again. */
	assert_int_equal(put(1, "y"), DATABASE_OK);
	for (int i = 0; i < 8; i++)
		assert_int_equal(
		    spool_expire(&spool, 4, 2, &gone, &more, &e), DATABASE_OK);
	assert_int_equal(gone, 6);
	assert_false(more);
	assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
	assert_string_equal(rows(6, 10), "7:x 13:z ");
	assert_law();
}

/* Some of its events were settled before: they are not counted again. */
static void
test_expire_what_is_left(void **state)
{
	uint64_t gone = 0;
	bool more;

	(void)state;
	reopen();
	put_and_commit(1, "a b c d");
	settle(2, 2, IPC_OUTCOME_UNMATCHED, "");
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(
	    spool_expire(&spool, 4, 2, &gone, &more, &e), DATABASE_OK);
	assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
	assert_int_equal(gone, 2);
	assert_int_equal(spool.now.expired, 2);
	assert_int_equal(spool.now.pending, 0);
	assert_int_equal(count_rows("settled"), 0);
	assert_law();
}

static void
test_max_size(void **state)
{
	enum database_result r = DATABASE_OK;
	uint64_t before;

	(void)state;
	reopen();
	spool_set_max_size(&spool, 128 * 1024);
	for (int i = 0; r == DATABASE_OK && i < 10000; i++) {
		assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
		r = put(i, "a-token-of-some-length");
		if (r == DATABASE_OK)
			r = spool_commit(&spool, &e);
	}
	assert_int_equal(r, DATABASE_FAILED);
	spool_rollback(&spool);
	assert_true(spool_is_at_max_size(&spool));
	assert_in_range(spool_size(&spool), 100 * 1024, 128 * 1024);
	before = spool.now.pending;
	assert_in_range(before, 400, 5000);
	spool_set_max_size(&spool, 1024 * 1024);
	assert_false(spool_is_at_max_size(&spool));
	put_and_commit(1, "again");
	assert_int_equal(spool.now.pending, before + 1);
}

static void
test_what_is_no_database(void **state)
{
	static const char junk[] =
	    "this is certainly not a database, however long it goes on";
	char aside[DATABASE_ASIDE_SIZE], again[DATABASE_ASIDE_SIZE];

	(void)state;
	write_file("spool.db", junk);
	spool_close(&spool);
	memset(&spool, 0, sizeof(spool));
	assert_int_equal(
	    spool_open(&spool, IPC_MODE_STANDALONE, &e), DATABASE_DAMAGED);
	assert_false(spool_is_open(&spool));
	assert_int_equal(
	    database_quarantine("spool.db", "damaged", aside, &e), 0);
	assert_int_equal(access(aside, F_OK), 0);
	/* Twice in a second: nothing is overwritten. */
	write_file("spool.db", junk);
	assert_int_equal(
	    database_quarantine("spool.db", "damaged", again, &e), 0);
	assert_string_not_equal(aside, again);
	reopen();
	put_and_commit(1, "a");
}

static void
test_a_newer_schema_is_left_alone(void **state)
{
	(void)state;
	reopen();
	assert_int_equal(
	    database_run(&spool.db, "test", "PRAGMA user_version = 1000", &e),
	    DATABASE_OK);
	spool_close(&spool);
	memset(&spool, 0, sizeof(spool));
	assert_int_equal(
	    spool_open(&spool, IPC_MODE_STANDALONE, &e), DATABASE_FAILED);
	assert_non_null(strstr(e.text, "newer version"));
}

static void
test_settle(void **state)
{
	(void)state;
	reopen();
	put_and_commit(1, "a b c d e f g h i j");
	put_and_commit(2, "k l");
	put_and_commit(3, "m n");
	settle(2, 1, IPC_OUTCOME_WRITTEN, "");
	settle(9, 3, IPC_OUTCOME_UNMATCHED, "");
	reopen();
	assert_string_equal(
	    rows(0, 99), "1:a 3:c 4:d 5:e 6:f 7:g 8:h 12:l 13:m 14:n ");
	assert_int_equal(count_rows("settled"), 2);
	/* Twice, over several batches, and beyond the end. */
	settle(1, 12, IPC_OUTCOME_WRITTEN, "");
	assert_int_equal(count_rows("batch"), 1);
	assert_int_equal(count_rows("settled"), 0);
	settle(1, 13, IPC_OUTCOME_UNMATCHED, "");
	settle(14, 5, IPC_OUTCOME_DUPLICATE, "");
	settle(100, 2, IPC_OUTCOME_WRITTEN, "");
	assert_string_equal(rows(0, 99), "");
	assert_int_equal(count_rows("batch"), 0);
	reopen();
	assert_int_equal(spool.now.written, 9);
	assert_int_equal(spool.now.unmatched, 4);
	assert_int_equal(spool.now.duplicates, 1);
	assert_int_equal(spool.now.last_seq, 14);
	assert_law();
	put_and_commit(4, "o");
	assert_string_equal(rows(0, 99), "15:o ");
}

static void
sum_up(void *owner, const struct spool_aside_sum *sum)
{
	char *text = owner;

	(void)snprintf(text + strlen(text), 256 - strlen(text),
	    "%u:%llu:%d:%.*s ", sum->server_id, (unsigned long long)sum->n,
	    sum->retry, (int)sum->reason.len, (const char *)sum->reason.p);
}

static const char *
aside(void)
{
	static char text[256];

	text[0] = '\0';
	assert_int_equal(
	    spool_aside_sums(&spool, 9, sum_up, text, &e), DATABASE_OK);
	return text;
}

static bool
has_index(void)
{
	return count_rows("sqlite_schema WHERE name = 'aside_reason'") == 1;
}

/* One of an earlier version has no index of reasons: it gets one, unless that
 * would take long. */
static void
test_a_spool_without_the_index(void **state)
{
	static const char drop[] =
	    "DROP INDEX aside_reason; UPDATE state SET set_aside = 1000000";

	(void)state;
	reopen();
	assert_true(has_index());
	put_and_commit(1, "a b c d");
	settle(1, 3, IPC_OUTCOME_ASIDE, "gone");
	assert_int_equal(
	    database_run(&spool.db, "test", drop, &e), DATABASE_OK);
	reopen();
	assert_false(has_index());
	assert_string_equal(aside(), "3:2:1:gone 4:1:1:gone ");
	assert_int_equal(database_run(&spool.db, "test",
			     "UPDATE state SET set_aside = 3", &e),
	    DATABASE_OK);
	reopen();
	assert_true(has_index());
	assert_string_equal(aside(), "3:2:1:gone 4:1:1:gone ");
	assert_string_equal(rows(0, 9), "4:d ");
	assert_law();
}

static bool
add_server(void *owner, uint32_t server_id)
{
	char *text = owner;

	(void)snprintf(text + strlen(text), 64 - strlen(text), "%u ",
	    (unsigned int)server_id);
	return strlen(text) < 8;
}

static const char *
aside_servers(uint32_t after)
{
	static char text[64];

	text[0] = '\0';
	assert_int_equal(
	    spool_aside_servers(&spool, after, add_server, text, &e),
	    DATABASE_OK);
	return text;
}

/* Those that have events to be tried again, a part at a time. */
static void
test_servers_set_aside(void **state)
{
	(void)state;
	reopen();
	assert_string_equal(aside_servers(0), "");
	put_and_commit(1, "a b c d");
	settle(1, 1, IPC_OUTCOME_ASIDE, "!never");
	settle(2, 1, IPC_OUTCOME_ASIDE, "gone");
	settle(3, 1, IPC_OUTCOME_ASIDE, "gone");
	assert_string_equal(aside_servers(0), "3 4 ");
	assert_string_equal(aside_servers(3), "4 ");
	assert_string_equal(aside_servers(UINT32_MAX), "");
	assert_int_equal(database_run(&spool.db, "test",
			     "WITH RECURSIVE i (n) AS (SELECT 10 UNION ALL"
			     " SELECT n + 1 FROM i WHERE n < 999)"
			     " INSERT INTO aside SELECT n, n, 1, n % 100 = 0,"
			     " 'r', '', x'' FROM i",
			     &e),
	    DATABASE_OK);
	assert_string_equal(aside_servers(0), "3 4 100 ");
	assert_string_equal(aside_servers(200), "300 400 ");
	assert_string_equal(aside_servers(899), "900 ");
}

static void
test_set_aside(void **state)
{
	uint64_t n = 0;

	(void)state;
	reopen();
	/* Servers 3 and 4 take turns. */
	put_and_commit(1, "a b c d e f");
	settle(1, 1, IPC_OUTCOME_ASIDE, "gone");
	settle(3, 2, IPC_OUTCOME_ASIDE, "gone");
	settle(5, 1, IPC_OUTCOME_ASIDE, "!never");
	reopen();
	assert_string_equal(rows(0, 99), "2:b 6:f ");
	assert_string_equal(aside(), "3:1:0:!never 3:2:1:gone 4:1:1:gone ");
	assert_int_equal(spool.now.set_aside, 4);
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(spool_retry(&spool, 3, 1, &n, &e), DATABASE_OK);
	assert_int_equal(spool_retry(&spool, 3, 9, &n, &e), DATABASE_OK);
	assert_int_equal(n, 2);
	assert_int_equal(spool_commit(&spool, &e), DATABASE_OK);
	/* New numbers, at the end; the server's token came along. */
	assert_string_equal(rows(0, 99), "2:b 6:f 7:a 8:c ");
	reopen();
	assert_string_equal(rows(6, 99), "7:a 8:c ");
	assert_string_equal(aside(), "3:1:0:!never 4:1:1:gone ");
	assert_int_equal(spool.now.accepted, 6);
	assert_int_equal(spool.now.set_aside, 2);
	assert_law();
}

static void
test_damaged_batch(void **state)
{
	char text[256] = "";

	(void)state;
	reopen();
	put_and_commit(1, "a b");
	assert_int_equal(database_run(&spool.db, "test",
			     "UPDATE batch SET events = x'0102'", &e),
	    DATABASE_OK);
	assert_int_equal(
	    spool_page(&spool, 0, 9, collect, text, &e), DATABASE_DAMAGED);
	assert_string_equal(text, "");
	assert_int_equal(spool_begin(&spool, &e), DATABASE_OK);
	assert_int_equal(
	    spool_settle(&spool, 1, 1, IPC_OUTCOME_ASIDE,
		&(struct spool_aside){.reason = span_of("x"), .retry = true},
		&e),
	    DATABASE_DAMAGED);
}

/* Numbers that no batch has any more cost nothing, however many. */
static void
test_settle_over_gaps(void **state)
{
	(void)state;
	reopen();
	for (int i = 0; i < 5; i++)
		put_and_commit(1, "a b c");
	settle(1, 3, IPC_OUTCOME_WRITTEN, "");
	settle(7, 3, IPC_OUTCOME_WRITTEN, "");
	settle(1, UINT64_C(1) << 40, IPC_OUTCOME_UNMATCHED, "");
	assert_string_equal(rows(0, 20), "");
	assert_int_equal(spool.now.written, 6);
	assert_int_equal(spool.now.unmatched, 9);
	assert_int_equal(spool.now.pending, 0);
}

static void
test_modes(void **state)
{
	uint8_t node[IPC_NODE_SIZE];

	(void)state;
	reopen();
	put_and_commit(1, "a");
	memcpy(node, spool.node, sizeof(node));
	spool_close(&spool);
	memset(&spool, 0, sizeof(spool));
	assert_int_equal(
	    spool_open(&spool, IPC_MODE_MYSQL, &e), DATABASE_OTHER_MODE);
	assert_non_null(strstr(e.text, "1 events of [postal] mode = stand"));
	reopen();
	settle(1, 1, IPC_OUTCOME_WRITTEN, "");
	spool_close(&spool);
	memset(&spool, 0, sizeof(spool));
	/* An empty one may change, and remembers it with its next commit. */
	assert_int_equal(spool_open(&spool, IPC_MODE_MYSQL, &e), DATABASE_OK);
	assert_memory_equal(node, spool.node, sizeof(node));
	assert_int_equal(spool_new_node(&spool, &e), DATABASE_OK);
	put_and_commit(1, "b");
	spool_close(&spool);
	memset(&spool, 0, sizeof(spool));
	assert_int_equal(
	    spool_open(&spool, IPC_MODE_STANDALONE, &e), DATABASE_OTHER_MODE);
	assert_int_equal(spool_open(&spool, IPC_MODE_MYSQL, &e), DATABASE_OK);
	assert_memory_not_equal(node, spool.node, sizeof(node));
}

static int
close_all(void **state)
{
	spool_close(&spool);
	memset(&spool, 0, sizeof(spool));
	(void)state;
	return directory_empty();
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_all)
	const struct CMUnitTest tests[] = {
	    TEST(test_what_was_committed_is_there),
	    TEST(test_a_visit_may_stop),
	    TEST(test_worker_numbers),
	    TEST(test_totals_of_a_worker_count_once),
	    TEST(test_a_rollback_keeps_what_was_lost),
	    TEST(test_expire),
	    TEST(test_expire_behind_the_future),
	    TEST(test_expire_what_is_left),
	    TEST(test_settle),
	    TEST(test_set_aside),
	    TEST(test_servers_set_aside),
	    TEST(test_a_spool_without_the_index),
	    TEST(test_damaged_batch),
	    TEST(test_settle_over_gaps),
	    TEST(test_modes),
	    TEST(test_max_size),
	    TEST(test_what_is_no_database),
	    TEST(test_a_newer_schema_is_left_alone),
	};
	int failed;

	if (directory_enter() != 0 || database_setup(&e) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(directory) != 0 ? 1 : failed;
}
