/*
 * monitor_certificates_test.c - what the look at the directory reports
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/message.h"
#include "monitor/certificates.h"

static char directory[] = "/tmp/certificates-test.XXXXXX";
static struct certificates c;
/* What was reported since the last look, a word each. */
static char report[4096];
/* Nothing that is reported can be taken. */
static bool no_room;

static void
note(const char *what, const char *name)
{
	size_t len = strlen(report);

	(void)snprintf(report + len, sizeof(report) - len, "%s%s:%s",
	    len > 0 ? " " : "", what, name);
}

/* Sealed: the same bytes for ever. */
static void
expect_sealed(int fd)
{
	char byte;

	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE) != 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(write(fd, "x", 1), -1);
	(void)close(fd);
}

static void
changed(void *owner, const char *name, int chain_fd, int key_fd)
{
	(void)owner;
	expect_sealed(chain_fd);
	expect_sealed(key_fd);
	note("changed", name);
	if (no_room && certificates_postpone(&c, name))
		note("postponed", name);
}

static void
unreadable(void *owner, const char *name, const struct err *e)
{
	(void)owner;
	note("unreadable", name);
	note("", e->text);
}

static void
gone(void *owner, const char *name)
{
	(void)owner;
	note("gone", name);
}

static void
too_many(void *owner)
{
	(void)owner;
	note("too many", "");
}

static const char *
look(bool at_once)
{
	const struct certificates_found found = {
	    NULL, changed, unreadable, gone, too_many};
	struct err e;

	report[0] = '\0';
	assert_int_equal(
	    certificates_look(&c, directory, at_once, &found, &e), 0);
	return report;
}

static const char *
path(const char *name)
{
	static char text[512];

	(void)snprintf(text, sizeof(text), "%s/%s", directory, name);
	return text;
}

static void
put(const char *name, const char *bytes)
{
	FILE *f = fopen(path(name), "we");

	assert_non_null(f);
	(void)fputs(bytes, f);
	(void)fclose(f);
}

static void
run(const char *command)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "cd %s && %s", directory, command);
	/* A test's own words. NOLINTNEXTLINE(cert-env33-c) */
	assert_int_equal(system(text), 0);
}

static void
make_pair(const char *name, const char *bytes)
{
	char file[300];

	(void)mkdir(path(name), 0700);
	(void)snprintf(file, sizeof(file), "%s/fullchain.pem", name);
	put(file, bytes);
	(void)snprintf(file, sizeof(file), "%s/privkey.pem", name);
	put(file, bytes);
}

static void
test_comes_and_goes(void **state)
{
	(void)state;
	assert_string_equal(look(true), "");
	make_pair("b", "one");
	/* Not before it looks the same twice; then once. */
	assert_string_equal(look(false), "");
	assert_string_equal(look(false), "changed:b");
	assert_string_equal(look(false), "");
	assert_string_equal(look(true), "");
	make_pair("a", "one");
	assert_string_equal(look(true), "changed:a");
	/* Of the same size, in the same place. */
	put("b/privkey.pem", "two");
	assert_string_equal(look(false), "");
	assert_string_equal(look(false), "changed:b");
	run("rm -r a");
	assert_string_equal(look(false), "");
	assert_string_equal(look(false), "gone:a");
	/* Away for a moment only. */
	run("mv b x");
	assert_string_equal(look(false), "");
	run("mv x b");
	assert_string_equal(look(false), "");
	assert_string_equal(look(false), "");
	run("rm -r b");
	assert_string_equal(look(true), "gone:b");
}

/* As certbot: live/<name>/ of links, which are replaced one by one. */
static void
test_links(void **state)
{
	(void)state;
	run("mkdir ../$(basename $PWD).archive && cd ../*.archive && "
	    "echo 1 > c1 && echo 1 > k1 && echo 2 > c2 && echo 2 > k2");
	run("mkdir n && ln -s ../../$(basename $PWD).archive/c1 "
	    "n/fullchain.pem "
	    "&& ln -s ../../$(basename $PWD).archive/k1 n/privkey.pem");
	assert_string_equal(look(true), "changed:n");
	run("ln -sf ../../$(basename $PWD).archive/k2 n/privkey.pem");
	assert_string_equal(look(false), "");
	run("ln -sf ../../$(basename $PWD).archive/c2 n/fullchain.pem");
	assert_string_equal(look(false), "");
	assert_string_equal(look(false), "changed:n");
	/* The directory may be a link too. */
	run("ln -s n linked");
	assert_string_equal(look(true), "changed:linked");
	run("rm -r n linked ../$(basename $PWD).archive");
	(void)look(true);
}

static void
test_what_is_no_pair(void **state)
{
	(void)state;
	put("README", "certbot puts it there");
	run("mkdir empty .hidden && echo 1 > .hidden/fullchain.pem");
	assert_string_equal(look(true), "");
	run("mkdir half && echo 1 > half/fullchain.pem");
	assert_string_equal(look(true),
	    "unreadable:half :privkey.pem: No such file or directory");
	assert_string_equal(look(true), "");
	run("mkfifo half/privkey.pem");
	assert_string_equal(
	    look(true), "unreadable:half :privkey.pem is no file");
	run("rm half/privkey.pem && ln -s /dev/zero half/privkey.pem");
	assert_string_equal(
	    look(true), "unreadable:half :privkey.pem is no file");
	run("rm half/privkey.pem && head -c 16385 /dev/zero > "
	    "half/privkey.pem");
	assert_string_equal(look(true),
	    "unreadable:half :privkey.pem: has more than 16384 bytes");
	run("head -c 16384 /dev/zero > half/privkey.pem");
	assert_string_equal(look(true), "changed:half");
	run("rm -r half empty .hidden README");
	assert_string_equal(look(true), "gone:half");
}

/* A look with so many descriptors more than are open; what it says. */
static const char *
look_with(rlim_t more)
{
	const struct certificates_found found = {
	    NULL, changed, unreadable, gone, too_many};
	struct rlimit all, few;
	struct err e;
	int next = dup(STDERR_FILENO);

	assert_true(next >= 0);
	(void)close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = (struct rlimit){(rlim_t)next + more, all.rlim_max};
	report[0] = '\0';
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	if (certificates_look(&c, directory, true, &found, &e) != 0)
		assert_int_equal(e.code, EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	return report;
}

/* Whatever fails for want of a descriptor is no fault of the file: it is told
 * once, nothing is gone, and the pair is taken as soon as there is one. */
static void
test_no_descriptors(void **state)
{
	unsigned int told = 0;
	rlim_t more = 0;

	(void)state;
	make_pair("a", "one");
	assert_string_equal(look(true), "changed:a");
	put("a/privkey.pem", "two");
	while (strcmp(look_with(more), "changed:a") != 0) {
		if (report[0] != '\0') {
			assert_non_null(strstr(report, "unreadable:a :"));
			assert_non_null(strstr(report, "Too many open files"));
			told++;
		}
		assert_true(++more < 20);
	}
	assert_true(more > 3);
	assert_int_equal(told, 1);
	/* Not seen, twice, is not away. */
	for (int i = 0; i < 2; i++)
		assert_string_equal(look_with(1), "");
	assert_string_equal(look(true), "");
	/* By itself, and not before some looks have passed. */
	put("a/privkey.pem", "three");
	for (more--; told == 1; told += report[0] != '\0')
		(void)look_with(more);
	for (int i = 0; i < 4; i++)
		assert_string_equal(look(false), "");
	assert_string_equal(look(false), "changed:a");
	assert_string_equal(look(true), "");
	run("rm -r a");
	assert_string_equal(look(true), "gone:a");
}

static void
test_postponed(void **state)
{
	(void)state;
	make_pair("a", "one");
	no_room = true;
	assert_string_equal(look(true), "changed:a postponed:a");
	for (int i = 0; i < 4; i++)
		assert_string_equal(look(false), "");
	assert_string_equal(look(false), "changed:a");
	/* A reload does not wait, nor does another file. */
	assert_string_equal(look(true), "changed:a");
	put("a/privkey.pem", "two");
	assert_string_equal(look(false), "");
	assert_string_equal(look(false), "changed:a");
	no_room = false;
	assert_string_equal(look(true), "changed:a");
	for (int i = 0; i < 8; i++)
		assert_string_equal(look(false), "");
	/* It is told once more when it was there meanwhile. */
	no_room = true;
	put("a/privkey.pem", "three");
	assert_string_equal(look(true), "changed:a postponed:a");
	no_room = false;
	run("rm -r a");
	assert_string_equal(look(true), "gone:a");
	assert_false(certificates_postpone(&c, "a"));
}

static void
test_too_many(void **state)
{
	(void)state;
	run("mkdir one && echo 1 > one/fullchain.pem && "
	    "for i in $(seq 2000); do ln -s one $i; done");
	(void)look(true);
	assert_non_null(strstr(report, "unreadable:"));
	assert_int_equal(c.n, CERTIFICATES_MAX);
	run("rm -r *");
	(void)look(true);
	assert_int_equal(c.n, 0);
}

static void
test_no_directory(void **state)
{
	const struct certificates_found found = {
	    NULL, changed, unreadable, gone, too_many};
	struct err e;

	(void)state;
	make_pair("a", "one");
	assert_string_equal(look(true), "changed:a");
	/* Not reachable is not empty. */
	assert_int_equal(
	    certificates_look(&c, "/nonexistent", true, &found, &e), -1);
	assert_string_equal(e.text, "/nonexistent: No such file or directory");
	assert_int_equal(c.n, 1);
	run("rm -r a");
}

/* Whoever writes the directory does not keep the monitor busy with it, and
 * takes nothing away. */
static void
test_too_many_entries(void **state)
{
	const struct certificates_found found = {
	    NULL, changed, unreadable, gone, too_many};
	char wanted[200];
	struct err e;

	(void)state;
	make_pair("good", "one");
	assert_string_equal(look(true), "changed:good");
	run("seq -f x%05g 16001 | xargs touch");
	report[0] = '\0';
	assert_int_equal(
	    certificates_look(&c, directory, true, &found, &e), -1);
	assert_string_equal(report, "");
	(void)snprintf(wanted, sizeof(wanted),
	    "%s holds more than 16000 entries", directory);
	assert_string_equal(e.text, wanted);
	run("seq -f x%05g 16001 | xargs rm");
	assert_string_equal(look(true), "");
	run("rm -r good");
	assert_string_equal(look(true), "gone:good");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_comes_and_goes),
	    cmocka_unit_test(test_links),
	    cmocka_unit_test(test_what_is_no_pair),
	    cmocka_unit_test(test_no_descriptors),
	    cmocka_unit_test(test_postponed),
	    cmocka_unit_test(test_too_many_entries),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_no_directory),
	};
	int failed;

	if (mkdtemp(directory) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	certificates_clear(&c);
	(void)rmdir(directory);
	return failed;
}
