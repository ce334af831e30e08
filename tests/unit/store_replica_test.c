/*
 * store_replica_test.c - replica.db: what the forwarder says of Postal
 *
 * In a directory of its own, which is the working directory as in the store.
 */
#include "tests/unit/test.h"

#include <unistd.h>

#include "store/replica.h"
#include "tests/unit/directory.h"

static struct links_db l;
static struct err e;

static void
reopen(void)
{
	links_close(&l);
	memset(&l, 0, sizeof(l));
	assert_int_equal(links_open(&l, IPC_MODE_MYSQL, &e), DATABASE_OK);
}

static int
close_all(void **state)
{
	(void)state;
	links_close(&l);
	memset(&l, 0, sizeof(l));
	return directory_empty();
}

static void
put(uint32_t server_id, uint64_t id, const char *token, const char *url)
{
	struct ipc_known_link_row row = {
	    id, id % 2 == 0, id * 10, span_of(token), span_of(url)};

	assert_int_equal(
	    replica_put_link(&l, server_id, &row, &e), DATABASE_OK);
}

static void
begin(void)
{
	assert_int_equal(replica_begin(&l, &e), DATABASE_OK);
}

static void
commit(void)
{
	assert_int_equal(replica_commit(&l, &e), DATABASE_OK);
}

/* "id exact message url", or "". */
static const char *
find(uint32_t server_id, const char *token)
{
	static char text[256];
	struct links_row row;
	enum links_found found =
	    links_find_row(&l, server_id, span_of(token), &row, &e);

	text[0] = '\0';
	if (found == LINKS_FOUND)
		(void)snprintf(text, sizeof(text), "%llu %d %llu %.*s",
		    (unsigned long long)row.id, row.exact,
		    row.has_message ? (unsigned long long)row.message_id : 0,
		    (int)row.url.len, (const char *)row.url.p);
	else
		assert_int_equal(found, LINKS_NONE);
	links_release(&l);
	return text;
}

static void
test_links(void **state)
{
	(void)state;
	reopen();
	begin();
	put(3, 7, "AbC", "https://a/");
	put(3, 6, "aBc", "https://b/");
	put(4, 7, "AbC", "https://c/");
	put(3, 8, "empty", "");
	commit();
	assert_string_equal(find(3, "AbC"), "7 1 0 https://a/");
	assert_string_equal(find(3, "aBc"), "6 1 60 https://b/");
	/* No exact one: the lowest id. */
	assert_string_equal(find(3, "abc"), "6 0 60 https://b/");
	assert_string_equal(find(4, "abc"), "7 0 0 https://c/");
	assert_string_equal(find(3, "empty"), "8 1 80 ");
	assert_string_equal(find(3, "none"), "");
	assert_int_equal(l.now.n_links, 4);
	assert_memory_equal(
	    links_url(&l, 3, span_of("abc"), 7).p, "https://a/", 10);
	assert_memory_equal(
	    links_url(&l, 4, span_of("abc"), 7).p, "https://c/", 10);
	assert_int_equal(links_url(&l, 4, span_of("abc"), 6).len, 0);
	links_release(&l);
	/* Again, and changed: the count does not move. */
	begin();
	put(3, 6, "aBc", "https://new/");
	commit();
	assert_int_equal(l.now.n_links, 4);
	assert_string_equal(find(3, "aBc"), "6 1 60 https://new/");
	reopen();
	assert_int_equal(l.now.n_links, 4);
	assert_string_equal(find(3, "aBc"), "6 1 60 https://new/");
}

static void
test_rollback(void **state)
{
	(void)state;
	reopen();
	begin();
	put(3, 1, "a", "https://a/");
	commit();
	begin();
	put(3, 2, "b", "https://b/");
	l.now.servers_known = true;
	replica_rollback(&l);
	assert_int_equal(l.now.n_links, 1);
	assert_false(l.now.servers_known);
	assert_string_equal(find(3, "b"), "");
	/* Without a transaction it does nothing. */
	replica_rollback(&l);
	begin();
	put(3, 3, "c", "https://c/");
	commit();
	reopen();
	assert_int_equal(l.now.n_links, 2);
	links_close(&l);
	replica_rollback(&l);
	assert_int_equal(replica_begin(&l, &e), DATABASE_FAILED);
	assert_non_null(strstr(e.text, "replica.db cannot be written"));
}

static void
note_server(void *owner, uint32_t id, struct span token, bool gone)
{
	char *text = owner;

	(void)snprintf(text + strlen(text), 128 - strlen(text), "%u:%.*s%s ",
	    id, (int)token.len, (const char *)token.p, gone ? "-" : "");
}

static void
note_progress(void *owner, const struct ipc_replica_row *row)
{
	char *text = owner;

	(void)snprintf(text + strlen(text), 128 - strlen(text),
	    "%u:%llu-%llu%s ", row->server_id, (unsigned long long)row->low,
	    (unsigned long long)row->high, row->complete ? "!" : "");
}

static const char *
all(void)
{
	static char text[128];

	text[0] = '\0';
	assert_int_equal(
	    links_each_server(&l, note_server, text, &e), DATABASE_OK);
	assert_int_equal(
	    replica_each_progress(&l, note_progress, text, &e), DATABASE_OK);
	return text;
}

static void
test_servers_and_progress(void **state)
{
	struct ipc_replica_row a = {3, 5, 9, 1}, b = {9, 1, 2, 0};
	struct ipc_domain_row domain = {3, 1, 0, span_of("click.example")};

	(void)state;
	reopen();
	assert_false(l.now.servers_known);
	begin();
	/* Two that differ only in case are two. */
	replica_put_server(&l, 9, span_of("Srv"), false, &e);
	replica_put_server(&l, 3, span_of("srv"), false, &e);
	replica_put_progress(&l, &a, &e);
	replica_put_progress(&l, &b, &e);
	b.high = 4;
	replica_put_progress(&l, &b, &e);
	replica_clear_domains(&l, &e);
	replica_put_domain(&l, &domain, &e);
	replica_put_domain(&l, &domain, &e);
	l.now.servers_known = true;
	commit();
	assert_string_equal(all(), "3:srv 9:Srv 3:5-9! 9:1-4 ");
	begin();
	replica_put_server(&l, 3, span_of("srv"), true, &e);
	replica_clear_domains(&l, &e);
	replica_put_domain(&l, &domain, &e);
	commit();
	reopen();
	assert_true(l.now.servers_known);
	assert_int_equal(l.now.n_domains, 1);
	assert_string_equal(all(), "3:srv- 9:Srv 9:1-4 ");
}

static void
put_challenge(const char *token, const char *text)
{
	struct ipc_challenge_row row = {span_of(token), span_of(text)};

	assert_int_equal(replica_put_challenge(&l, &row, &e), DATABASE_OK);
}

static bool
answers(const char *token, const char *text)
{
	struct span got = replica_find_challenge(&l, span_of(token));
	bool same = span_equal(got, span_of(text));

	replica_end_challenge(&l);
	return same;
}

static void
test_challenges(void **state)
{
	(void)state;
	assert_false(replica_has_challenges(&l));
	assert_true(answers("a", ""));
	reopen();
	assert_false(replica_has_challenges(&l));
	begin();
	put_challenge("Token", "first");
	put_challenge("tokeN", "second");
	put_challenge("Token", "third");
	commit();
	reopen();
	assert_true(replica_has_challenges(&l));
	/* Exact before others, the first of the same. */
	assert_true(answers("Token", "first"));
	assert_true(answers("tokeN", "second"));
	assert_true(answers("TOKEN", "first"));
	assert_true(answers("token-", ""));
	assert_true(answers("", ""));
	begin();
	assert_int_equal(replica_clear_challenges(&l, &e), DATABASE_OK);
	commit();
	assert_false(replica_has_challenges(&l));
}

/* One of an older version is made again, which takes no hand. */
static void
test_older_version(void **state)
{
	(void)state;
	reopen();
	assert_int_equal(
	    database_run(&l.db, "test", "PRAGMA user_version = 1", &e),
	    DATABASE_OK);
	links_close(&l);
	memset(&l, 0, sizeof(l));
	assert_int_equal(links_open(&l, IPC_MODE_MYSQL, &e), DATABASE_DAMAGED);
}

static bool
is_odd(void *owner, uint32_t server_id, uint64_t link_id)
{
	*(unsigned int *)owner += 1;
	assert_int_equal(server_id, link_id % 3 + 1);
	return link_id % 2 == 1;
}

static void
test_sweep(void **state)
{
	struct replica_place place = {.server_id = 0};
	unsigned int seen = 0, rounds = 0;
	bool end = false;
	char token[16];

	(void)state;
	reopen();
	begin();
	for (uint64_t i = 1; i <= 1000; i++) {
		(void)snprintf(token, sizeof(token), "%s%llu",
		    i % 4 == 0 ? "T" : "t", (unsigned long long)(i % 50));
		put((uint32_t)(i % 3 + 1), i, token, "https://a/");
	}
	commit();
	while (!end) {
		begin();
		assert_int_equal(
		    replica_sweep(&l, &place, 70, is_odd, &seen, &end, &e),
		    DATABASE_OK);
		commit();
		rounds++;
	}
	/* Each link once, in small pieces. */
	assert_int_equal(seen, 1000);
	assert_int_equal(rounds, 1000 / 70 + 1);
	assert_int_equal(l.now.n_links, 500);
	assert_int_equal(place.server_id, 0);
	reopen();
	assert_int_equal(l.now.n_links, 500);
	seen = 0;
	begin();
	assert_int_equal(
	    replica_sweep(&l, &place, 1000, is_odd, &seen, &end, &e),
	    DATABASE_OK);
	commit();
	assert_int_equal(seen, 500);
	assert_true(end);
}

/* Both files side by side: neither is taken for the other. */
static void
test_two_modes(void **state)
{
	(void)state;
	reopen();
	begin();
	put(3, 7, "a", "https://a/");
	commit();
	links_close(&l);
	memset(&l, 0, sizeof(l));
	assert_int_equal(links_open(&l, IPC_MODE_STANDALONE, &e), DATABASE_OK);
	assert_string_equal(find(3, "a"), "");
	assert_true(l.now.servers_known);
	assert_string_equal(links_name(IPC_MODE_STANDALONE), "links.db");
	assert_string_equal(links_name(IPC_MODE_MYSQL), "replica.db");
	reopen();
	assert_string_equal(find(3, "a"), "7 1 0 https://a/");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_all)
	const struct CMUnitTest tests[] = {
	    TEST(test_links),
	    TEST(test_rollback),
	    TEST(test_servers_and_progress),
	    TEST(test_challenges),
	    TEST(test_older_version),
	    TEST(test_sweep),
	    TEST(test_two_modes),
	};
	int failed;

	if (directory_enter() != 0 || database_setup(&e) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(directory) != 0 ? 1 : failed;
}
