/*
 * web_test.c - the tables of the web worker: servers, links, limits
 */
#include "tests/unit/test.h"

#include <sys/mman.h>
#include <unistd.h>

#include "ipc/message.h"
#include "tests/unit/address.h"
#include "web/limits.h"
#include "web/links.h"
#include "web/servers.h"

static const struct hash_key key = {1, 2};

/* --- servers.h --------------------------------------------------------- */

static struct servers servers;

/* One part of a table with rows number first to last, tokens "Srv<n>". */
static enum servers_result
take_part(uint32_t first, uint32_t last, uint8_t flags)
{
	static uint8_t bytes[IPC_RECORD_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ipc_servers part = {.flags = flags};
	char token[16];

	for (uint32_t i = first; i <= last; i++) {
		struct ipc_server_row row = {.id = i};

		(void)snprintf(token, sizeof(token), "Srv%u", i);
		row.token = span_of(token);
		assert_int_equal(ipc_put(&w, &ipc_server_row_record, &row), 0);
		part.rows.count++;
	}
	part.rows.records = writer_span(&w);
	return servers_take(&servers, &part);
}

static void
test_servers(void **state)
{
	(void)state;
	servers_init(&servers, &key);
	assert_int_equal(servers_find(&servers, span_of("srv1")), 0);
	assert_int_equal(take_part(1, 500, IPC_PART_FIRST), SERVERS_TAKEN);
	/* Half a table is none. */
	assert_false(servers.known);
	assert_int_equal(servers_find(&servers, span_of("srv1")), 0);
	assert_int_equal(take_part(501, 1000, IPC_PART_LAST), SERVERS_TAKEN);
	assert_true(servers.known);
	for (uint32_t i = 1; i <= 1000; i++) {
		char token[16];

		(void)snprintf(token, sizeof(token), "sRV%u", i);
		assert_int_equal(servers_find(&servers, span_of(token)), i);
	}
	assert_int_equal(servers_find(&servers, span_of("srv0")), 0);
	assert_int_equal(servers_find(&servers, span_of("srv1001")), 0);
	assert_int_equal(servers_find(&servers, span_of("")), 0);
	/* A new table replaces the old one whole. */
	assert_int_equal(
	    take_part(7, 7, IPC_PART_FIRST | IPC_PART_LAST), SERVERS_TAKEN);
	assert_int_equal(servers_find(&servers, span_of("srv7")), 7);
	assert_int_equal(servers_find(&servers, span_of("srv8")), 0);
	servers_clear(&servers);
}

/* A store that was taken over never says that a part was the last one. */
static void
test_too_many_servers(void **state)
{
	const uint32_t most = IPC_SERVERS_MAX + 1, step = 1000;
	uint32_t n = 0;

	(void)state;
	servers_init(&servers, &key);
	for (; n + step < most; n += step)
		assert_int_equal(
		    take_part(n + 1, n + step, n == 0 ? IPC_PART_FIRST : 0),
		    SERVERS_TAKEN);
	assert_int_equal(take_part(n + 1, most + 1, 0), SERVERS_TOO_MANY);
	assert_int_equal(take_part(n + 1, most, IPC_PART_LAST), SERVERS_TAKEN);
	assert_int_equal(servers_find(&servers, span_of("srv200001")), most);
	servers_clear(&servers);
}

/* --- links.h ----------------------------------------------------------- */

static struct links links;

static struct link *
add(uint32_t server, const char *token, const char *location, uint64_t now)
{
	struct link *l =
	    links_add(&links, server, span_of(token), span_of(location), now);

	assert_non_null(l);
	return l;
}

static void
test_links_find_what_was_added(void **state)
{
	struct link *l;

	(void)state;
	assert_int_equal(links_init(&links, &key), 0);
	link_release(add(1, "AbC", "https://a/", 1000));
	l = links_find(&links, 1, span_of("AbC"), 2000);
	assert_non_null(l);
	assert_memory_equal(l->location, "https://a/", l->location_len);
	link_release(l);
	/* Another case or another server is another link. */
	assert_null(links_find(&links, 1, span_of("abc"), 2000));
	assert_null(links_find(&links, 2, span_of("AbC"), 2000));
	/* These two meet in one set. */
	assert_null(links_find(&links, 1 + 2048, span_of("AbC"), 2000));
	/* After a minute the store is asked again. */
	assert_null(links_find(&links, 1, span_of("AbC"), 1000 + 60000));
	links_clear(&links);
}

static void
test_links_borrowed_entries_stay(void **state)
{
	struct link *held = NULL;
	char token[16];

	(void)state;
	assert_int_equal(links_init(&links, &key), 0);
	held = add(1, "held", "https://held/", 1);
	/* Far more links than there are places. */
	for (int i = 0; i < 50000; i++) {
		(void)snprintf(token, sizeof(token), "t%d", i);
		link_release(add(1, token, "https://other/", 2));
	}
	assert_memory_equal(held->location, "https://held/", 13);
	assert_ptr_equal(links_find(&links, 1, span_of("held"), 3), held);
	link_release(held);
	link_release(held);
	links_clear(&links);
}

static void
test_links_that_do_not_fit_are_on_the_heap(void **state)
{
	static char location[4096];
	struct link *l;

	(void)state;
	assert_int_equal(links_init(&links, &key), 0);
	memset(location, 'x', sizeof(location) - 1);
	l = add(1, "long", location, 1);
	assert_false(l->cached);
	assert_int_equal(l->location_len, sizeof(location) - 1);
	assert_null(links_find(&links, 1, span_of("long"), 2));
	link_release(l);
	location[LINKS_LOCATION_MAX] = '\0';
	l = add(1, "fits", location, 1);
	assert_true(l->cached);
	link_release(l);
	l = add(1, "a-token-of-more-than-32-characters", "https://a/", 1);
	assert_false(l->cached);
	link_release(l);
	link_release(NULL);
	links_clear(&links);
}

/* --- limits.h ---------------------------------------------------------- */

#define WORKERS 2

static struct limits workers[WORKERS];

static int
open_memory(void)
{
	int fd = memfd_create("limits", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, WORKERS * IPC_WEB_SLICE_SIZE), 0);
	return fd;
}

static void
test_limits_are_shared(void **state)
{
	struct addr a = address("192.0.2.1"), b = address("192.0.2.2");
	struct addr v6 = address("2001:db8::1");
	struct addr same_net = address("2001:db8::ffff:1");
	struct err e;
	int fd = open_memory();

	(void)state;
	for (unsigned int i = 0; i < WORKERS; i++)
		assert_int_equal(
		    limits_open(&workers[i], fd, i, WORKERS, &key, &e), 0);
	assert_true(limits_enter(&workers[0], &a, 3));
	assert_true(limits_enter(&workers[1], &a, 3));
	assert_true(limits_enter(&workers[0], &a, 3));
	/* Three in all, whichever worker has them. */
	assert_false(limits_enter(&workers[0], &a, 3));
	assert_false(limits_enter(&workers[1], &a, 3));
	assert_true(limits_enter(&workers[1], &b, 3));
	/* An IPv6 visitor has a /64. */
	assert_true(limits_enter(&workers[0], &v6, 1));
	assert_false(limits_enter(&workers[1], &same_net, 1));
	limits_leave(&workers[1], &a);
	assert_true(limits_enter(&workers[0], &a, 3));
	assert_false(limits_enter(&workers[0], &a, 3));
	/* Worker 0 died: its successor clears what it held, and only that. */
	limits_close(&workers[0]);
	assert_int_equal(limits_open(&workers[0], fd, 0, WORKERS, &key, &e), 0);
	for (int i = 0; i < 3; i++)
		assert_true(limits_enter(&workers[0], &a, 3));
	assert_false(limits_enter(&workers[0], &a, 3));
	assert_false(limits_enter(&workers[0], &b, 1));
	limits_close(&workers[0]);
	limits_close(&workers[1]);
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_servers),
	    cmocka_unit_test(test_too_many_servers),
	    cmocka_unit_test(test_links_find_what_was_added),
	    cmocka_unit_test(test_links_borrowed_entries_stay),
	    cmocka_unit_test(test_links_that_do_not_fit_are_on_the_heap),
	    cmocka_unit_test(test_limits_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
