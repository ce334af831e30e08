/*
 * landlock.c - which files and ports a process can still reach
 *
 * Run by roles that cannot live in an empty root, or hold a directory that
 * lies outside of theirs. By system call and with
 * constants of our own: the C library has no functions, and the headers of a
 * build machine may be older than the kernel that the binary runs on.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

/* The same numbers on every architecture. */
#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE 445
#define CALL_RESTRICT_SELF 446
#define ASK_VERSION 1U
#define RULE_PATH 1
#define RULE_PORT 2

/* Rights over files. */
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_FILE (UINT64_C(1) << 8)
#define FS_TRUNCATE (UINT64_C(1) << 14) /* from version 3 */
/* Rights over ports, and what a domain may do to others. */
#define NET_BIND (UINT64_C(1) << 0)
#define NET_CONNECT (UINT64_C(1) << 1)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

struct ruleset {
	uint64_t files;
	uint64_t ports;	 /* from version 4 */
	uint64_t scoped; /* from version 6 */
};

struct path_rule {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

struct port_rule {
	uint64_t allowed;
	uint64_t port;
};

int
sandbox_landlock_version(void)
{
	long version = syscall(CALL_CREATE_RULESET, NULL, 0, ASK_VERSION);

	return version > 0 ? (int)version : 0;
}

/* All rights over files that this version knows: those without a rule are
 * refused. */
static uint64_t
file_rights(int version)
{
	static const unsigned int n_rights[] = {
	    0, 13, 14 /* refer */, 15 /* truncate */, 15, 16 /* ioctl */};
	const int last = (int)(sizeof(n_rights) / sizeof(n_rights[0])) - 1;

	return (UINT64_C(1) << n_rights[version > last ? last : version]) - 1;
}

static int
add_path(int ruleset, const struct sandbox_path *path, struct err *e)
{
	/* One that has to be readable is really opened. */
	int fd = open(path->path,
	    (path->required ? O_RDONLY | O_NONBLOCK : O_PATH) | O_CLOEXEC);
	struct path_rule rule = {FS_READ_FILE | FS_READ_DIR, fd};
	struct stat st;
	int failed;

	if (fd < 0 && !path->required)
		return 0;
	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)err_errno(e, "cannot read %.200s", path->path);
		fd_close(&fd);
		return -1;
	}
	/* A file cannot have the right to be listed. */
	if (!S_ISDIR(st.st_mode))
		rule.allowed = FS_READ_FILE;
	failed = syscall(CALL_ADD_RULE, ruleset, RULE_PATH, &rule, 0) != 0;
	if (failed)
		(void)err_errno(e, "Landlock does not take %.200s", path->path);
	fd_close(&fd);
	return failed ? -1 : 0;
}

static int
add_hierarchy(int ruleset, const struct sandbox_hierarchy *h, uint64_t known,
    struct err *e)
{
	struct path_rule rule = {FS_READ_FILE | FS_READ_DIR, h->fd};

	if (h->write)
		rule.allowed |= known & (FS_WRITE_FILE | FS_REMOVE_FILE |
					    FS_MAKE_FILE | FS_TRUNCATE);
	if (syscall(CALL_ADD_RULE, ruleset, RULE_PATH, &rule, 0) != 0)
		return err_errno(
		    e, "Landlock does not take descriptor %d", h->fd);
	return 0;
}

static int
add_rules(
    int ruleset, const struct sandbox_files *files, int version, struct err *e)
{
	uint64_t known = file_rights(version);

	for (size_t i = 0; i < files->n_paths; i++)
		if (add_path(ruleset, &files->paths[i], e) != 0)
			return -1;
	for (size_t i = 0; i < files->n_hierarchies; i++)
		if (add_hierarchy(ruleset, &files->hierarchies[i], known, e) !=
		    0)
			return -1;
	for (size_t i = 0; version >= 4 && i < files->n_ports; i++) {
		struct port_rule rule = {NET_CONNECT, files->ports[i]};

		if (syscall(CALL_ADD_RULE, ruleset, RULE_PORT, &rule, 0) != 0)
			return err_errno(e, "Landlock does not take a port");
	}
	return 0;
}

/* How much of struct ruleset a version reads. */
static size_t
ruleset_size(int version)
{
	if (version >= 6)
		return sizeof(struct ruleset);
	return version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

int
sandbox_confine_files(const struct sandbox_files *files, struct err *e)
{
	int version = sandbox_landlock_version(), ruleset, failed;
	struct ruleset wanted = {.files = file_rights(version)};

	if (version == 0)
		return SANDBOX_UNAVAILABLE;
	if (version >= 4)
		wanted.ports = (files->binds ? 0 : NET_BIND) |
			       (files->n_ports > 0 ? NET_CONNECT : 0);
	if (version >= 6)
		wanted.scoped = SCOPE_SIGNAL;
	ruleset = (int)syscall(
	    CALL_CREATE_RULESET, &wanted, ruleset_size(version), 0);
	if (ruleset < 0)
		return err_errno(e, "Landlock makes no set of rules");
	failed = add_rules(ruleset, files, version, e);
	if (failed == 0 && syscall(CALL_RESTRICT_SELF, ruleset, 0) != 0)
		failed = err_errno(e, "Landlock does not confine this process");
	fd_close(&ruleset);
	return failed;
}
