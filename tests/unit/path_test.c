/*
 * path_test.c - which links are followed, and to what
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/path.h"

static char directory[] = "/tmp/path-test.XXXXXX";

static void
run(const char *command)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "cd %s && %s", directory, command);
	/* A test's own words. NOLINTNEXTLINE(cert-env33-c) */
	assert_int_equal(system(text), 0);
}

/* 0: it is what the kernel finds; else the error. */
static int
open_as_kernel(const char *name, int flags)
{
	char path[600];
	struct stat found, wanted;
	struct err e = {0};
	int at = open(directory, O_PATH | O_CLOEXEC), fd;

	assert_true(at >= 0);
	fd = path_open(at, name, flags, &e);
	(void)close(at);
	if (fd < 0) {
		assert_true(e.text[0] != '\0');
		return e.code;
	}
	(void)snprintf(path, sizeof(path), "%s%s%s",
	    name[0] == '/' ? "" : directory, name[0] == '/' ? "" : "/", name);
	assert_int_equal(fstat(fd, &found), 0);
	assert_int_equal(stat(path, &wanted), 0);
	assert_true(found.st_dev == wanted.st_dev);
	assert_true(found.st_ino == wanted.st_ino);
	(void)close(fd);
	return 0;
}

struct row {
	const char *name;
	int code;
};

static void
open_all(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int code = open_as_kernel(rows[i].name, 0);

		if (code != rows[i].code)
			fail_msg("%s: %s", rows[i].name, strerror(code));
	}
}

static void
test_as_the_kernel(void **state)
{
	static const struct row rows[] = {{"a", 0}, {"a/b", 0}, {"a//b/", 0},
	    {"./a/./b/../b", 0}, {"a/..", 0}, {"/", 0}, {"//tmp", 0}, {"to", 0},
	    {"to-a/b/file", 0}, {"to-a//", 0}, {"root", 0}, {"root/tmp", 0},
	    {"chain", 0}, {"up", 0}, {"slashes/b", 0}, {"", ENOENT},
	    {"none", ENOENT}, {"none/b", ENOENT}, {"gone", ENOENT},
	    {"a/b/file/x", ENOTDIR}, {"to/x", ENOTDIR}, {"loop", ELOOP},
	    {"loop/x", ELOOP}};
	char text[5000];

	(void)state;
	run("mkdir -p a/b && touch a/b/file && ln -s a/b/file to && "
	    "ln -s ./a/ to-a && ln -s / root && ln -s to chain && "
	    "ln -s to-a/.. up && ln -s a/// slashes && ln -s none gone && "
	    "ln -s pool loop && ln -s loop pool");
	open_all(rows, ARRAY_LENGTH(rows));
	assert_int_equal(open_as_kernel("to-a", O_DIRECTORY), 0);
	assert_int_equal(open_as_kernel("to", O_DIRECTORY), ENOTDIR);
	memset(text, 'x', sizeof(text));
	text[300] = '\0';
	assert_int_equal(open_as_kernel(text, 0), ENAMETOOLONG);
	text[300] = 'x';
	text[4999] = '\0';
	assert_int_equal(open_as_kernel(text, 0), ENAMETOOLONG);
	/* Forty links, and one more. */
	run("ln -s a 0 && for i in $(seq 40); do ln -s $((i - 1)) $i; done");
	assert_int_equal(open_as_kernel("39", 0), 0);
	assert_int_equal(open_as_kernel("40", 0), ELOOP);
	run("rm -r *");
}

/* User 1234 has `mine`; root has `victim`, 5678 `theirs`. */
static void
test_links_of_others(void **state)
{
	static const struct row rows[] = {
	    /* His own, by whatever way. */
	    {"mine/key", 0},
	    {"mine/link", 0},
	    {"mine/linked/key", 0},
	    {"mine/twice", 0},
	    /* Root's links lead anywhere, but not through his. */
	    {"mine/by-root", 0},
	    {"mine/by-root-theirs", 0},
	    {"mine/by-root-dir/key", 0},
	    {"to-mine", 0},
	    {"to-steal", EPERM},
	    /* What is there already. */
	    {"victim/key", 0},
	    {"mine/of-root", 0},
	    {"mine/steal", EPERM},
	    {"mine/steal-absolute", EPERM},
	    {"mine/steal-theirs", EPERM},
	    {"mine/steal-dir/key", EPERM},
	    {"mine/steal-dir", EPERM},
	    {"mine/steal-slash/key", EPERM},
	    {"mine/by-way", EPERM},
	    {"mine/to-by-root", EPERM},
	    {"mine/steal-twice", EPERM},
	    {"mine/up/victim/key", EPERM},
	    {"mine/top/etc/passwd", EPERM},
	    {"mine/hard", EPERM},
	    {"theirs/to-mine", EPERM},
	    {"theirs/to-link", EPERM},
	};

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: nothing can be another user's\n");
		skip();
	}
	run("chmod 755 . && mkdir -m 700 victim && mkdir -p mine/dir theirs && "
	    "touch victim/key mine/key mine/dir/key mine/of-root theirs/key");
	run("cd mine && ln -s key link && ln -s dir linked && ln -s link twice "
	    "&& ln -s ../victim/key steal && ln -s $PWD/../victim/key "
	    "steal-absolute && ln -s ../theirs/key steal-theirs && "
	    "ln -s ../victim steal-dir && ln -s ../victim/// steal-slash && "
	    "ln -s dir/../../victim/key by-way && ln -s steal steal-twice && "
	    "ln -s .. up && ln -s // top");
	run("chown -hR 1234 mine && chown root mine/of-root && cd mine && "
	    "ln -s ../victim/key by-root && ln -s ../theirs/key "
	    "by-root-theirs && ln -s ../victim by-root-dir && "
	    "ln -s by-root to-by-root && chown -h 1234 to-by-root && "
	    "ln ../victim/key hard");
	run("ln -s mine/key to-mine && ln -s mine/steal to-steal && "
	    "cd theirs && ln -s ../mine/key to-mine && ln -s ../mine/link "
	    "to-link && chown -hR 5678 .");
	open_all(rows, ARRAY_LENGTH(rows));
	run("rm -r *");
}

/* One name, now a link to what is his, now one to what is not. */
static _Noreturn void
swap(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(directory) != 0)
		_exit(1);
	while (rename("first", "name") == 0 && rename("second", "name") == 0 &&
	       symlink("key", "first") == 0 &&
	       symlink("victim", "second") == 0 &&
	       lchown("first", 1234, 1234) == 0 &&
	       lchown("second", 1234, 1234) == 0)
		continue;
	_exit(1);
}

static void
test_a_race(void **state)
{
	int at, fd, n = 0, refused = 0;
	struct err e = {0};
	struct stat st;
	pid_t child;

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: nothing can be another user's\n");
		skip();
	}
	run("touch key victim && chown 1234 key && ln -s key first && "
	    "ln -s victim second && chown -h 1234 first second");
	at = open(directory, O_PATH | O_CLOEXEC);
	assert_true(at >= 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		swap();
	(void)alarm(60);
	while (n < 2000 || refused < 2000) {
		fd = path_open(at, "name", 0, &e);
		refused += fd < 0 && e.code == EPERM;
		if (fd < 0)
			continue;
		n++;
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_uid, 1234);
		(void)close(fd);
	}
	(void)alarm(0);
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	(void)close(at);
	run("rm -r *");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_the_kernel),
	    cmocka_unit_test(test_links_of_others),
	    cmocka_unit_test(test_a_race),
	};
	int failed;

	if (mkdtemp(directory) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(directory);
	return failed;
}
