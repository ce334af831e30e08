/*
 * cli_domains_test.c - when a certificate is due, and what the ACME client
 * noted
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "cli/domains.h"

#define DAY INT64_C(86400)

static void
test_due(void **state)
{
	static const struct {
		int64_t life, left;
		bool due;
	} rows[] = {{90, 31, false}, {90, 30, false}, {90, 29, true},
	    {90, -1, true}, {6, 3, false}, {6, 2, false}, {6, 1, true},
	    {398, 40, false}, {398, 30, false}, {398, 29, true},
	    {45, 16, false}, {45, 14, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct tls_certificate c = {.not_before = 1700000000};

		c.not_after = c.not_before + rows[i].life * DAY;
		if (domains_is_due(&c, c.not_after - rows[i].left * DAY) !=
		    rows[i].due)
			fail_msg("row %zu", i);
	}
}

static void
write_state(const char *directory, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_notes(void **state)
{
	char directory[] = "/tmp/domains-test.XXXXXX", command[64], link[64];
	struct domains_acme a;

	(void)state;
	assert_non_null(mkdtemp(directory));
	write_state(directory, "good.example",
	    "failures=3\ntried=1700000000\nnext=1700014400\nerror=a=b c\n");
	domains_read_acme(&a, directory, "good.example");
	assert_true(a.known);
	assert_int_equal(a.failures, 3);
	assert_int_equal(a.tried, 1700000000);
	assert_int_equal(a.next, 1700014400);
	assert_string_equal(a.error, "a=b c");

	/* Nothing of a file that is not of this form. */
	write_state(directory, "bad.example", "failures=3\nroot:x:0:0\n");
	write_state(directory, "sign.example", "next=-1\n");
	write_state(directory, "empty.example", "");
	write_state(directory, "far.example", "next=99999999999999\n");
	(void)snprintf(link, sizeof(link), "%s/link.example", directory);
	assert_int_equal(symlink("good.example", link), 0);
	(void)snprintf(link, sizeof(link), "%s/fifo.example", directory);
	assert_int_equal(mkfifo(link, 0600), 0);
	static const char *const unknown[] = {"bad.example", "sign.example",
	    "empty.example", "far.example", "link.example", "fifo.example",
	    "missing.example"};
	for (size_t i = 0; i < ARRAY_LENGTH(unknown); i++) {
		domains_read_acme(&a, directory, unknown[i]);
		if (a.known || a.next != 0 || a.failures != 0)
			fail_msg("%s", unknown[i]);
	}
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

/* The opening of a device does something already. */
static void
test_only_files_are_opened(void **state)
{
	char directory[] = "/tmp/domains-test.XXXXXX", path[64], command[64];
	struct domains_certificates all;
	char event[1024];
	struct err e;
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/a.example", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(
	    path, sizeof(path), "%s/a.example/fullchain.pem", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(watch >= 0 && inotify_add_watch(watch, path, IN_OPEN) >= 0);
	assert_int_equal(domains_read_certificates(&all, directory, &e), 0);
	assert_int_equal(all.n, 1);
	assert_string_not_equal(all.list[0].error, "");
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	domains_clear_certificates(&all);
	(void)close(watch);
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_due),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_only_files_are_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
