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
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/place.h"
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

/* --- a kernel without Landlock ----------------------------------------- */

/* From here on the calls of Landlock are unknown to the kernel. */
static bool
lose_landlock(void)
{
	struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					 offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 444, 0, 2),
	    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 446, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	       sandbox_landlock_version() == 0;
}

/* 0: refused with the remedy; 1: taken. */
static int
open_challenges(const struct place *p, const char *name)
{
	struct err e = {0};
	char path[128];
	int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/%s", p->top, name);
	if (place_open_challenges(path, p->spool, &fd, &e) == 0)
		return fd >= 0 ? 1 : 2;
	return fd < 0 && strstr(e.text, "Landlock") != NULL &&
		       strstr(e.text, path) != NULL
		   ? 0
		   : 3;
}

static int
refuse_what_is_outside(const struct place *p)
{
	/* Before: taken. */
	if (open_challenges(p, "challenges") != 1 || !lose_landlock())
		return 4;
	if (open_challenges(p, "challenges") != 0 ||
	    open_challenges(p, "spool-2") != 0 || open_challenges(p, "") != 0)
		return 5;
	return open_challenges(p, "spool/challenges") == 1 ? 0 : 6;
}

static void
test_without_landlock(void **state)
{
	struct place p;
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0 || sandbox_landlock_version() == 0) {
		print_message("skipped: needs root and Landlock\n");
		skip();
	}
	p = make_place();
	(void)close(make(p.top, "spool/challenges", 0755, 60983));
	/* Its name begins with the spool's. */
	(void)close(make(p.top, "spool-2", 0755, 60983));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(refuse_what_is_outside(&p));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	clear_place(&p);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hijacked_store),
	    cmocka_unit_test(test_without_landlock)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
