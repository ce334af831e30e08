/*
 * check_spool.c - `postal-tracker check`: the spool directory, what is in it,
 * the file system below it, and store.sock
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/array.h"
#include "base/number.h"
#include "cli/check.h"
#include "config/user.h"

/* Below this a burst of events fills the disk in minutes. */
#define SPACE_WANTED (UINT64_C(64) << 20)
/* SQLite makes and removes files beside its databases. */
#define FILES_WANTED 16

/* --- owner and mode ---------------------------------------------------- */

static uid_t
owner_wanted(const struct check *k)
{
	struct config_user owner;
	struct err e;

	if (geteuid() == 0 &&
	    config_user_find(k->config->sandbox.store_user, &owner, &e) == 0)
		return owner.uid;
	return geteuid();
}

/* A start as another user leaves such files behind. */
static bool
check_files(struct check *k, uid_t wanted)
{
	static const char *const names[] = {"spool.db", "spool.db-wal",
	    "spool.db-shm", "links.db", "links.db-wal", "links.db-shm",
	    "replica.db", "replica.db-wal", "replica.db-shm"};
	const char *directory = k->config->spool.directory;
	char path[CONFIG_PATH_SIZE + 32];
	struct stat st;

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", directory, names[i]);
		if (lstat(path, &st) != 0 || st.st_uid == wanted)
			continue;
		check_say(k, "FAIL",
		    "[spool] directory %s: the file %s belongs to uid %d, the "
		    "store runs as uid %d; run: chown -R %d %s",
		    directory, names[i], (int)st.st_uid, (int)wanted,
		    (int)wanted, directory);
		return false;
	}
	return true;
}

static void
check_owner(struct check *k, const struct stat *st)
{
	const char *path = k->config->spool.directory;
	uid_t wanted = owner_wanted(k);

	if (st->st_uid != wanted)
		check_say(k, "FAIL",
		    "[spool] directory %s belongs to uid %d, the store runs "
		    "as uid %d; `chown -R %d %s` if it is a spool of this "
		    "server (an empty one is taken over at the start)",
		    path, (int)st->st_uid, (int)wanted, (int)wanted, path);
	else if (check_files(k, wanted))
		check_say(k, "ok",
		    "[spool] directory %s belongs to the store's "
		    "user (uid %d)",
		    path, (int)wanted);
}

static void
check_mode(struct check *k, const struct stat *st)
{
	const char *path = k->config->spool.directory;
	unsigned int mode = st->st_mode & 07777;

	if ((mode & (S_IWGRP | S_IWOTH)) != 0)
		check_say(k, "FAIL",
		    "[spool] directory %s has mode %04o, so others can replace "
		    "what is in it; run: chmod 700 %s",
		    path, mode, path);
	else if ((mode & (S_IRWXG | S_IRWXO)) != 0)
		check_say(k, "warn",
		    "[spool] directory %s has mode %04o, so others can get at "
		    "who opened and clicked; run: chmod 700 %s",
		    path, mode, path);
}

/* --- the file system --------------------------------------------------- */

/* Source: linux/magic.h and the file systems themselves. */
static const struct {
	uint32_t type;
	const char *name, *what;
} file_systems[] = {
    {0x01021994, "tmpfs", "is in memory and does not survive a restart"},
    {0x858458f6, "ramfs", "is in memory and does not survive a restart"},
    {0x794c7630, "overlay", "is a container's own and goes away with it"},
    {0x00006969, "NFS",
	"is another machine's, which SQLite's locks and its "
	"promise of stable storage do not reach"},
    {0xff534d42, "CIFS",
	"is another machine's, which SQLite's locks and its "
	"promise of stable storage do not reach"},
    {0xfe534d42, "SMB",
	"is another machine's, which SQLite's locks and its "
	"promise of stable storage do not reach"},
    {0x01021997, "9p",
	"is another machine's, which SQLite's locks and its "
	"promise of stable storage do not reach"},
    {0x00c36400, "Ceph",
	"is another machine's, which SQLite's locks and its "
	"promise of stable storage do not reach"},
    {0x5346414f, "AFS",
	"is another machine's, which SQLite's locks and its "
	"promise of stable storage do not reach"},
};

static void
check_file_system(struct check *k, const char *at)
{
	struct statfs fs;

	if (statfs(at, &fs) != 0)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(file_systems); i++)
		if ((uint32_t)fs.f_type == file_systems[i].type)
			check_say(k, "warn",
			    "[spool] directory %s: the file system (%s) %s; "
			    "choose a directory on a disk of this machine",
			    k->config->spool.directory, file_systems[i].name,
			    file_systems[i].what);
}

/* What the databases hold already counts as room for them. */
static uint64_t
bytes_used(const char *directory)
{
	char path[CONFIG_PATH_SIZE + 32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/spool.db", directory);
	return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void
check_room(struct check *k, uint64_t room)
{
	const char *path = k->config->spool.directory;
	uint64_t most = k->config->spool.max_size;
	char have[NUMBER_TEXT_SIZE], wanted[NUMBER_TEXT_SIZE];

	size_format(
	    room < SPACE_WANTED ? room / 1024 * 1024 : room >> 20 << 20, have);
	size_format(most, wanted);
	if (room < SPACE_WANTED)
		check_say(k, "FAIL",
		    "[spool] directory %s: only %s are free; make room, "
		    "events that cannot be stored are lost",
		    path, have);
	else if (room + bytes_used(path) < most)
		check_say(k, "warn",
		    "[spool] directory %s: %s are free, but the spool may grow "
		    "to max_size = %s; make room, or lower max_size",
		    path, have, wanted);
	else
		check_say(k, "ok", "[spool] directory %s: %s free", path, have);
}

/* at: the directory, or the one that it will be made in. */
static void
check_space(struct check *k, const char *at)
{
	const char *path = k->config->spool.directory;
	struct statvfs vfs;

	if (statvfs(at, &vfs) != 0) {
		check_say(k, "FAIL", "[spool] directory %s: %s", path,
		    strerror(errno));
		return;
	}
	if ((vfs.f_flag & ST_RDONLY) != 0)
		check_say(k, "FAIL",
		    "[spool] directory %s is on a read-only file system; "
		    "remount it or choose another directory",
		    path);
	else
		check_room(k, (uint64_t)vfs.f_bavail * vfs.f_frsize);
	/* Without a fixed number of inodes, f_files is 0. */
	if (vfs.f_files > 0 && vfs.f_favail < FILES_WANTED)
		check_say(k, "FAIL",
		    "[spool] directory %s: the file system has no inodes left "
		    "for files (%" PRIu64
		    " free); remove files there, events that cannot be stored "
		    "are lost",
		    path, (uint64_t)vfs.f_favail);
}

/* --- all of it --------------------------------------------------------- */

/* The directory that a path lies in. */
static void
parent_of(const char *path, char *parent, size_t size)
{
	const char *slash = strrchr(path, '/');
	int len = slash == NULL || slash == path ? 1 : (int)(slash - path);

	(void)snprintf(parent, size, "%.*s", len, path);
}

/* Only the last component is made at the start. */
static void
check_missing(struct check *k)
{
	const char *path = k->config->spool.directory;
	char parent[CONFIG_PATH_SIZE];
	struct stat st;

	parent_of(path, parent, sizeof(parent));
	if (stat(parent, &st) != 0 || !S_ISDIR(st.st_mode)) {
		check_say(k, "FAIL",
		    "[spool] directory %s cannot be made, there is no "
		    "directory %s; run: mkdir -p %s",
		    path, parent, parent);
		return;
	}
	check_say(k, "ok",
	    "[spool] directory %s does not exist; it is made at the "
	    "first start",
	    path);
	check_space(k, parent);
	check_file_system(k, parent);
}

static void
check_socket(struct check *k)
{
	const char *path = k->config->spool.socket;
	char dir[CONFIG_PATH_SIZE], above[CONFIG_PATH_SIZE];
	struct stat st;

	parent_of(path, dir, sizeof(dir));
	parent_of(dir, above, sizeof(above));
	if (stat(dir, &st) != 0 && stat(above, &st) != 0)
		check_say(k, "FAIL",
		    "[spool] socket %s cannot be made, there is no directory "
		    "%s; run: mkdir -p %s",
		    path, dir, dir);
}

void
check_spool(struct check *k)
{
	const char *path = k->config->spool.directory;
	struct stat st;

	check_socket(k);
	if (stat(path, &st) != 0 && errno == ENOENT) {
		check_missing(k);
		return;
	}
	if (stat(path, &st) != 0) {
		check_say(k, "FAIL",
		    "[spool] directory %s: %s; run this as root, or choose "
		    "another directory",
		    path, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		check_say(k, "FAIL",
		    "[spool] directory %s is not a directory; choose another "
		    "path",
		    path);
		return;
	}
	check_owner(k, &st);
	check_mode(k, &st);
	check_space(k, path);
	check_file_system(k, path);
}
