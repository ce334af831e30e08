/*
 * config_value_test.c - values of tracker.conf: text to config and back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "config/internal.h"

static const struct config_directive *
directive(const char *section, const char *key)
{
	for (size_t i = 0; i < config_n_directives; i++)
		if (strcmp(config_directives[i].section, section) == 0 &&
		    strcmp(config_directives[i].key, key) == 0)
			return &config_directives[i];
	fail_msg("no directive [%s] %s", section, key);
	return NULL;
}

/* text is stored and read back as shown; shown NULL: the same text. */
static const struct {
	const char *section, *key, *text, *shown;
} good[] = {
    {"tracking", "count_head", "yes", NULL},
    {"tracking", "count_head", "no", NULL},
    {"clients", "proxy_protocol", "yes", NULL},
    {"clients", "proxy_protocol", "https", NULL},
    {"http", "workers", "0", NULL},
    {"http", "workers", "64", NULL},
    {"http", "workers", " 007\t", "7"},
    {"clients", "idle_timeout", "1s", NULL},
    {"clients", "idle_timeout", "60000ms", "1m"},
    {"clients", "idle_timeout", "1h", NULL},
    {"spool", "max_wait", "0", "0ms"},
    {"clients", "max_header_size", "1024", "1k"},
    {"clients", "max_header_size", "64k", NULL},
    {"clients", "max_header_size", "1025", NULL},
    {"spool", "max_size", "16384G", NULL},
    {"sandbox", "sandbox", "best-effort", NULL},
    {"log", "level", "debug", NULL},
    {"log", "access", "json", NULL},
    {"sandbox", "web_user", "www-data", NULL},
    {"sandbox", "web_user", "1234", NULL},
    {"message_db", "host", "", NULL},
    {"spool", "directory", "/a b/\xc3\xa9", NULL},
    {"main_db", "socket", "", NULL},
    {"http", "listen", "", NULL},
    {"http", "listen", "127.0.0.1:1 \t [::1]:65535", "127.0.0.1:1 [::1]:65535"},
    {"http", "listen", "[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
    {"clients", "trusted_proxies", "10.0.0.0/8 ::1 2001:db8::/32 192.0.2.7",
	"10.0.0.0/8 ::1 2001:db8::/32 192.0.2.7"},
};

static void
test_good_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		const struct config_directive *d =
		    directive(good[i].section, good[i].key);
		char shown[CONFIG_VALUE_SIZE];
		struct config c;
		struct err e = {0};

		config_defaults(&c);
		config_value_clear(&c, d);
		if (config_value_add(&c, d, span_of(good[i].text), &e) != 0)
			fail_msg("%s: %s", good[i].text, e.text);
		config_format_value(&c, d, shown, sizeof(shown));
		assert_string_equal(
		    shown, good[i].shown ? good[i].shown : good[i].text);
	}
}

static const struct {
	const char *section, *key, *text, *error;
} bad[] = {
    {"tracking", "count_head", "on", "is neither yes nor no"},
    {"tracking", "count_head", "", "is neither yes nor no"},
    {"clients", "proxy_protocol", "on", "has to be no, yes or https"},
    {"http", "workers", "", "is not a number"},
    {"http", "workers", "-1", "is not a number"},
    {"http", "workers", "1 2", "is not a number"},
    {"http", "workers", "65", "is outside the range 0 to 64"},
    {"clients", "idle_timeout", "30",
	"is not a duration (250ms, 10s, 5m, 2h, 30d)"},
    {"clients", "idle_timeout", "999ms", "is outside the range 1s to 1h"},
    {"clients", "idle_timeout", "3601s", "is outside the range 1s to 1h"},
    {"spool", "max_wait", "61s", "is outside the range 0 to 1m"},
    {"clients", "max_header_size", "16K", "is not a size (512, 16k, 64M, 2G)"},
    {"clients", "max_header_size", "1023", "is outside the range 1k to 64k"},
    {"spool", "max_size", "1023k", "is outside the range 1M to 16384G"},
    {"log", "level", "Info", "has to be error, warn, notice, info or debug"},
    {"postal", "mode", "", "has to be standalone or mysql"},
    {"sandbox", "web_user", "", "may not be empty"},
    {"sandbox", "web_user", "\"nobody\"",
	"may not hold spaces, quotes or semicolons"},
    {"main_db", "user", "a b", "may not hold spaces, quotes or semicolons"},
    {"main_db", "user", "a;b", "may not hold spaces, quotes or semicolons"},
    {"main_db", "user", "a\x7f", "may not hold spaces, quotes or semicolons"},
    {"spool", "directory", "", "may not be empty"},
    {"spool", "directory", "var/lib",
	"is not an absolute path; it has to begin with /"},
    {"spool", "directory", "/a\nb", "holds a control character"},
    {"spool", "directory", "/a\x7f", "holds a control character"},
    {"spool", "socket",
	"/23456789012345678901234567890123456789012345678901234567890123456789"
	"012345678901234567890123456789012345678",
	"is longer than 107 bytes"},
    {"http", "listen", "80",
	"\"80\" is not an address with a port (0.0.0.0:80, [::]:80); several "
	"are separated by spaces"},
    {"http", "listen", "127.0.0.1:80, [::]:80",
	"\"127.0.0.1:80,\" is not an address with a port (0.0.0.0:80, "
	"[::]:80); several are separated by spaces"},
    {"clients", "trusted_proxies", "::1 localhost",
	"\"localhost\" is neither an address (192.0.2.1, 2001:db8::1) nor a "
	"network (192.0.2.0/24); several are separated by spaces"},
    {"clients", "trusted_proxies", "10.1.0.0/8",
	"\"10.1.0.0/8\" has bits set beyond its prefix; write 10.0.0.0/8; "
	"several are separated by spaces"},
};

static void
test_bad_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		const struct config_directive *d =
		    directive(bad[i].section, bad[i].key);
		struct config c;
		struct err e = {0};

		config_defaults(&c);
		if (config_value_add(&c, d, span_of(bad[i].text), &e) != -1)
			fail_msg("%s = %s was taken", bad[i].key, bad[i].text);
		assert_string_equal(e.text, bad[i].error);
	}
}

static void
test_text_holds_no_nul(void **state)
{
	const struct config_directive *d = directive("sandbox", "web_user");
	struct config c;
	struct err e;

	(void)state;
	assert_int_equal(config_value_add(&c, d,
			     (struct span){(const uint8_t *)"a\0b", 3}, &e),
	    -1);
	d = directive("spool", "directory");
	assert_int_equal(config_value_add(&c, d,
			     (struct span){(const uint8_t *)"/\0b", 3}, &e),
	    -1);
}

static void
test_longest_text(void **state)
{
	const struct config_directive *d = directive("spool", "directory");
	char path[CONFIG_PATH_SIZE + 1], shown[CONFIG_PATH_SIZE];
	struct config c;
	struct err e;

	(void)state;
	config_defaults(&c);
	memset(path, '/', sizeof(path));
	path[CONFIG_PATH_SIZE] = '\0';
	assert_int_equal(config_value_add(&c, d, span_of(path), &e), -1);
	path[CONFIG_PATH_SIZE - 1] = '\0';
	assert_int_equal(config_value_add(&c, d, span_of(path), &e), 0);
	config_format_value(&c, d, shown, sizeof(shown));
	assert_string_equal(shown, path);
}

/* Elements are added one call after the other until the list is full. */
static void
fill(const struct config_directive *d, const char *element)
{
	char shown[CONFIG_VALUE_SIZE], expected[64];
	struct config c;
	struct err e;

	config_defaults(&c);
	assert_true(config_value_is_list(d));
	config_value_clear(&c, d);
	for (uint64_t i = 0; i < d->most; i++)
		assert_int_equal(
		    config_value_add(&c, d, span_of(element), &e), 0);
	config_format_value(&c, d, shown, sizeof(shown));
	assert_int_equal(strlen(shown), d->most * (strlen(element) + 1) - 1);
	assert_int_equal(config_value_add(&c, d, span_of(element), &e), -1);
	(void)snprintf(expected, sizeof(expected), "has more than %d elements",
	    (int)d->most);
	assert_string_equal(e.text, expected);
	config_value_clear(&c, d);
	config_format_value(&c, d, shown, sizeof(shown));
	assert_string_equal(shown, "");
}

static void
test_full_lists(void **state)
{
	(void)state;
	fill(directive("http", "listen"),
	    "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
	fill(directive("clients", "trusted_proxies"),
	    "2001:db8:1111:2222:3333:4444:5555:6660/126");
}

static void
test_format_is_cut(void **state)
{
	const struct config_directive *d = directive("http", "listen");
	char text[8] = "xxxxxxx";
	struct config c;

	(void)state;
	config_defaults(&c);
	config_format_value(&c, d, text, 4);
	assert_string_equal(text, "0.0");
	assert_int_equal(text[4], 'x');
	config_format_range(d, text, 4);
	assert_string_equal(text, "add");
}

static void
test_choice_text(void **state)
{
	const struct config_directive *d = directive("log", "level");

	(void)state;
	assert_string_equal(config_choice_text(d, CONFIG_LEVEL_WARN), "warn");
	assert_string_equal(config_choice_text(d, CONFIG_MODE_MYSQL), "?");
}

static void
test_endpoints_of(void **state)
{
	struct config c;

	(void)state;
	config_defaults(&c);
	assert_ptr_equal(
	    config_value_endpoints(&c, directive("admin", "listen")),
	    &c.admin.listen);
	assert_null(config_value_endpoints(&c, directive("log", "level")));
}

static size_t
size_of_type(enum config_type type)
{
	return type == CONFIG_TEXT ? CONFIG_TEXT_SIZE : CONFIG_PATH_SIZE;
}

/* The table itself: what no compiler checks. */
static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];
		struct config c;
		char text[CONFIG_VALUE_SIZE];

		assert_true(d->least <= d->most);
		assert_true(d->offset < sizeof(struct config));
		assert_int_equal(d->type == CONFIG_CHOICE, d->choices != NULL);
		if (d->type == CONFIG_TEXT || d->type == CONFIG_PATH)
			assert_true(d->most < size_of_type(d->type));
		if (d->type == CONFIG_ENDPOINTS)
			assert_true(d->most <= CONFIG_LISTEN_MAX);
		if (d->type == CONFIG_NETWORKS)
			assert_true(d->most <= CONFIG_TRUSTED_MAX);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(
			    d->offset, config_directives[j].offset);
		/* initial is written as config_format_value would. */
		config_defaults(&c);
		config_format_value(&c, d, text, sizeof(text));
		assert_string_equal(text, d->initial);
	}
}

/* Numbers that other rooms and people rely on. */
static void
test_defaults(void **state)
{
	struct config c;

	(void)state;
	config_defaults(&c);
	assert_int_equal(c.http.listen.n, 2);
	assert_int_equal(c.http.listen.list[0].port, 80);
	assert_int_equal(c.http.workers, 0);
	assert_int_equal(c.https.listen.n, 0);
	assert_int_equal(c.clients.max_connections, 10000);
	assert_int_equal(c.clients.max_connections_per_address, 500);
	assert_int_equal(c.clients.max_header_size, 16384);
	assert_int_equal(c.clients.header_timeout, 10000);
	assert_int_equal(c.clients.idle_timeout, 30000);
	assert_int_equal(c.clients.proxy_protocol, CONFIG_PROXY_NO);
	assert_false(c.tracking.count_head);
	assert_int_equal(c.sandbox.sandbox, CONFIG_SANDBOX_AUTO);
	assert_int_equal(c.sandbox.action, CONFIG_ACTION_TRAP);
	assert_string_equal(c.sandbox.web_user, "nobody");
	assert_string_equal(c.spool.directory, "/var/lib/postal-tracker");
	assert_string_equal(c.spool.socket, "/run/postal-tracker/store.sock");
	assert_int_equal(c.spool.durability, CONFIG_DURABILITY_SYNC);
	assert_int_equal(c.spool.max_wait, 250);
	assert_int_equal(c.spool.max_size, 1 << 30);
	assert_int_equal(c.spool.retention, UINT64_C(30) * 86400 * 1000);
	assert_int_equal(c.postal.mode, CONFIG_MODE_STANDALONE);
	assert_string_equal(c.main_db.host, "127.0.0.1");
	assert_int_equal(c.main_db.port, 3306);
	assert_string_equal(c.message_db.prefix, "postal");
	assert_int_equal(c.links.lookup_timeout, 2000);
	assert_int_equal(c.forwarder.batch, 500);
	assert_int_equal(c.forwarder.poll, 1000);
	assert_int_equal(c.admin.listen.list[0].port, 9092);
	assert_int_equal(c.log.level, CONFIG_LEVEL_INFO);
	assert_int_equal(c.log.access, CONFIG_ACCESS_OFF);
}

static void
test_ranges(void **state)
{
	static const struct {
		const char *section, *key, *range;
	} rows[] = {
	    {"tracking", "count_head", "yes or no"},
	    {"log", "access", "off, text or json"},
	    {"http", "workers", "0 to 64"},
	    {"spool", "max_wait", "0 to 1m"},
	    {"spool", "max_size", "1M to 16384G"},
	    {"sandbox", "web_user", "a name"},
	    {"message_db", "host", "a name, or empty"},
	    {"spool", "directory", "an absolute path"},
	    {"main_db", "tls_ca", "an absolute path, or empty"},
	    {"http", "listen", "addresses with ports, separated by spaces"},
	    {"clients", "trusted_proxies",
		"addresses and networks, separated by spaces"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		char range[CONFIG_RANGE_SIZE];

		config_format_range(directive(rows[i].section, rows[i].key),
		    range, sizeof(range));
		assert_string_equal(range, rows[i].range);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_values),
	    cmocka_unit_test(test_bad_values),
	    cmocka_unit_test(test_text_holds_no_nul),
	    cmocka_unit_test(test_longest_text),
	    cmocka_unit_test(test_full_lists),
	    cmocka_unit_test(test_format_is_cut),
	    cmocka_unit_test(test_choice_text),
	    cmocka_unit_test(test_endpoints_of),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
