/*
 * store_links_test.c - links.db
 *
 * In a directory of its own, which is the working directory as in the store.
 */
#include "tests/unit/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "store/links.h"
#include "tests/unit/directory.h"

static struct err e;

static struct links_db links;

static int
add(const char *server, const char *token, const char *url)
{
	struct ipc_link_add wanted = {.server = span_of(server),
	    .token = span_of(token),
	    .url = span_of(url)};
	struct ipc_link_added added;
	char made[LINKS_TOKEN_MADE];
	enum database_result result;
	bool new_server;
	int failed = links_add_row(
	    &links, &wanted, made, &added, &new_server, &result, &e);

	assert_int_equal(result, DATABASE_OK);
	if (!failed && token[0] == '\0')
		assert_int_equal(added.token.len, LINKS_TOKEN_MADE);
	return failed;
}

static const char *
find(uint32_t server_id, const char *token)
{
	static char url[256];
	struct links_row row;
	enum links_found found =
	    links_find_row(&links, server_id, span_of(token), &row, &e);

	url[0] = '\0';
	if (found == LINKS_FOUND)
		assert_int_equal(span_to_text(row.url, url, sizeof(url)), 0);
	else
		assert_int_equal(found, LINKS_NONE);
	links_release(&links);
	return url;
}

static void
reopen_links(void)
{
	links_close(&links);
	memset(&links, 0, sizeof(links));
	assert_int_equal(
	    links_open(&links, IPC_MODE_STANDALONE, &e), DATABASE_OK);
}

static void
test_links_case(void **state)
{
	(void)state;
	reopen_links();
	assert_int_equal(add("srv", "AbC", "https://first/"), 0);
	assert_int_equal(add("SRV", "aBc", "https://second/"), 0);
	assert_string_equal(find(1, "AbC"), "https://first/");
	assert_string_equal(find(1, "aBc"), "https://second/");
	/* Neither matches exactly: the lowest id. */
	assert_string_equal(find(1, "abc"), "https://first/");
	assert_string_equal(find(1, "ab"), "");
	assert_string_equal(find(2, "AbC"), "");
	reopen_links();
	assert_int_equal(links.now.n_links, 2);
	assert_string_equal(find(1, "ABC"), "https://first/");
	assert_memory_equal(
	    links_url(&links, 1, span_of("abc"), 2).p, "https://second/", 15);
	assert_int_equal(links_url(&links, 1, span_of("abc"), 3).len, 0);
	links_release(&links);
}

static const struct {
	const char *server, *token, *url, *error;
} refusals[] = {
    {"srv", "taken", "https://b/", "exists already and leads to https://a/"},
    {"", "t", "https://a/", "a server token"},
    {"a/b", "t", "https://a/", "a server token"},
    {"srv", "t_", "https://a/", "a link token"},
    {"srv", "t", "ftp://a/", "http:// or https://"},
    {"srv", "t", "https://", "http:// or https://"},
    {"srv", "t", "https://a/\r\nX: y", "no control characters"},
    {"srv", "t", "javascript:alert(1)", "http:// or https://"},
};

static void
test_links_refused(void **state)
{
	(void)state;
	reopen_links();
	assert_int_equal(add("srv", "taken", "https://a/"), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
		assert_int_equal(
		    add(refusals[i].server, refusals[i].token, refusals[i].url),
		    -1);
		if (strstr(e.text, refusals[i].error) == NULL)
			fail_msg("row %zu: %s", i, e.text);
	}
	assert_int_equal(links.now.n_links, 1);
	assert_int_equal(add("srv", "", "HTTP://A/"), 0);
	assert_int_equal(links.now.n_links, 2);
}

/* As many servers as a worker's table has. */
static void
test_servers_are_bounded(void **state)
{
	char text[96];

	(void)state;
	reopen_links();
	(void)snprintf(text, sizeof(text),
	    "INSERT INTO server (id, token) VALUES (%d, 'before')",
	    IPC_SERVERS_MAX - 1);
	assert_int_equal(
	    sqlite3_exec(links.db.handle, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(add("last", "a", "https://a/"), 0);
	assert_int_equal(add("more", "a", "https://a/"), -1);
	assert_string_equal(
	    e.text, "there are 200000 servers already, as many as possible");
	assert_int_equal(add("last", "b", "https://b/"), 0);
	assert_int_equal(links.now.n_links, 2);
}

static int
close_all(void **state)
{
	links_close(&links);
	memset(&links, 0, sizeof(links));
	(void)state;
	return directory_empty();
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, close_all)
	const struct CMUnitTest tests[] = {
	    TEST(test_links_case),
	    TEST(test_links_refused),
	    TEST(test_servers_are_bounded),
	};
	int failed;

	if (directory_enter() != 0 || database_setup(&e) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(directory) != 0 ? 1 : failed;
}
