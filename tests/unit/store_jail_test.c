/*
 * store_jail_test.c - a hijacked store with the directory of ACME challenges
 *
 * The directory lies outside of the store's root; its descriptor must not
 * become a way out. A child enters the store's jail, as the store does, and
 * tries.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "role/jail.h"

#define STORE_ID 60982
#define EXIT_REFUSED 77

struct place {
	char top[64];
	int spool, challenges;
};

static void
put(const char *top, const char *name, uid_t owner)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_int_equal(fchown(fd, owner, owner), 0);
	(void)close(fd);
}

static int
make(const char *top, const char *name, mode_t mode, uid_t owner)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(fchown(fd, owner, owner), 0);
	return fd;
}

/* Everybody may do everything there: what stops the child is the jail. */
static struct place
make_place(void)
{
	struct place p = {.top = "/tmp/store-jail.XXXXXX"};

	assert_non_null(mkdtemp(p.top));
	assert_int_equal(chmod(p.top, 0777), 0);
	p.spool = make(p.top, "spool", 0700, STORE_ID);
	p.challenges = make(p.top, "challenges", 0777, 60983);
	put(p.top, "challenges/token", 60983);
	put(p.top, "spool/file", STORE_ID);
	put(p.top, "secret", 0);
	assert_int_equal(symlinkat("../secret", p.challenges, "link"), 0);
	return p;
}

static void
clear_place(struct place *p)
{
	char command[128];

	(void)close(p->spool);
	(void)close(p->challenges);
	(void)snprintf(command, sizeof(command), "rm -r %s", p->top);
	assert_int_equal(system(command), 0);
}

static void
refused(int call)
{
	(void)call;
	_exit(EXIT_REFUSED);
}

static int
enter(const struct place *p, bool landlock)
{
	int kept_spool = dup(p->spool);
	const struct sandbox_hierarchy kept[] = {
	    {kept_spool, true}, {p->challenges, false}};
	struct sandbox_files files = {.hierarchies = kept, .n_hierarchies = 2};
	struct role_jail jail = {.policy = "store",
	    .refused = refused,
	    .root = true,
	    .uid = STORE_ID,
	    .gid = STORE_ID,
	    .root_fd = dup(p->spool),
	    .files = landlock ? &files : NULL,
	    .descriptors = 64,
	    .file_size = UINT64_MAX};
	struct err e;

	return role_enter_jail(&jail, &e) == 0 ? 0 : -1;
}

static bool
may(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

/* What it is for. */
static int
do_its_work(const struct place *p)
{
	if (!may(p->challenges, "token", O_RDONLY | O_NOFOLLOW))
		return 2;
	if (!may(AT_FDCWD, "/file", O_RDWR) ||
	    !may(AT_FDCWD, "/new", O_RDWR | O_CREAT | O_EXCL) ||
	    rename("/new", "/newer") != 0 || unlink("/newer") != 0)
		return 3;
	return 0;
}

static int
look_outside(const struct place *p)
{
	if (may(p->challenges, "..", O_RDONLY | O_DIRECTORY) ||
	    may(p->challenges, "../secret", O_RDONLY) ||
	    may(p->challenges, "link", O_RDONLY) ||
	    may(p->challenges, "../../../etc/passwd", O_RDONLY))
		return 4;
	return 0;
}

static int
write_there(const struct place *p)
{
	if (may(p->challenges, "token", O_RDWR) ||
	    may(p->challenges, "new", O_RDWR | O_CREAT) ||
	    may(p->challenges, "../new", O_RDWR | O_CREAT))
		return 5;
	return 0;
}

/* Landlock does not look at these: the filter has to. */
static int
open_path_only(const struct place *p)
{
	return may(p->challenges, "..", O_PATH) ? 6 : 7;
}

static int
truncate_one(const struct place *p)
{
	(void)p;
	return may(AT_FDCWD, "/file", O_RDWR | O_TRUNC) ? 6 : 7;
}

static int
change_directory(const struct place *p)
{
	return fchdir(p->challenges) == 0 ? 6 : 7;
}

static int
rename_into_root(const struct place *p)
{
	return renameat(p->challenges, "token", AT_FDCWD, "/token") == 0 ? 6
									 : 7;
}

static int
run(int (*act)(const struct place *), bool landlock)
{
	struct place p = make_place();
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(enter(&p, landlock) != 0 ? 1 : act(&p));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	clear_place(&p);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_hijacked_store(void **state)
{
	(void)state;
	if (geteuid() != 0 || sandbox_landlock_version() == 0) {
		print_message("skipped: needs root and Landlock\n");
		skip();
	}
	assert_int_equal(run(do_its_work, true), 0);
	assert_int_equal(run(look_outside, true), 0);
	assert_int_equal(run(write_there, true), 0);
	assert_int_equal(run(open_path_only, true), EXIT_REFUSED);
	assert_int_equal(run(truncate_one, true), EXIT_REFUSED);
	assert_int_equal(run(change_directory, true), EXIT_REFUSED);
	assert_int_equal(run(rename_into_root, true), EXIT_REFUSED);
	/* The test can tell: without Landlock the descriptor is a way out. */
	assert_int_equal(run(look_outside, false), 4);
	assert_int_equal(run(write_there, false), 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hijacked_store)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
