/*
 * place.c - the places that the daemon needs: spool directory, store.sock,
 * directory of challenges, and a root directory with nothing in it
 *
 * Runs in the monitor before it drops capabilities, and in commands that
 * start a store of their own.
 */
#include "monitor/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/span.h"
#include "sandbox/sandbox.h"

#define ENDING_WAIT_MS 2000
#define TOOLS_BACKLOG 64

static bool
is_empty(int dir_fd)
{
	int fd = dup(dir_fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool empty = dir != NULL;

	if (dir == NULL) {
		fd_close(&fd);
		return false;
	}
	while (empty && (entry = readdir(dir)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "..") == 0;
	(void)closedir(dir);
	return empty;
}

/* Makes the directory the store's own, or says why that would be wrong. */
static int
own_spool(const char *path, int fd, const struct config_user *owner,
    bool created, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_errno(e, "[spool] directory %s", path);
	if (geteuid() != 0 || st.st_uid == owner->uid)
		return 0;
	if (!created && !is_empty(fd))
		return err_set(e,
		    "[spool] directory %s belongs to uid %d and is not empty, "
		    "but the store runs as uid %d; `chown -R %d:%d %s` if it "
		    "is a spool of this server, else choose another directory",
		    path, (int)st.st_uid, (int)owner->uid, (int)owner->uid,
		    (int)owner->gid, path);
	if (fchown(fd, owner->uid, owner->gid) != 0 || fchmod(fd, 0700) != 0)
		return err_errno(e,
		    "[spool] directory %s cannot be given to uid %d", path,
		    (int)owner->uid);
	return 0;
}

/* The process that has the lock, from /proc/locks; 0 when not in sight. */
static pid_t
lock_holder(int fd)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256];
	struct stat st;
	pid_t found = 0;

	if (f == NULL || fstat(fd, &st) != 0)
		memset(&st, 0, sizeof(st));
	while (
	    f != NULL && found == 0 && fgets(line, sizeof(line), f) != NULL) {
		unsigned int major_, minor_;
		uint64_t inode;
		int pid;

		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%" SCNu64, &pid,
			&major_, &minor_, &inode) == 4 &&
		    inode == st.st_ino && major_ == major(st.st_dev) &&
		    minor_ == minor(st.st_dev))
			found = pid;
	}
	if (f != NULL)
		(void)fclose(f);
	return found;
}

static int
lock_spool(const char *path, int fd, struct err *e)
{
	uint64_t until = clock_mono_ms() + ENDING_WAIT_MS;
	pid_t holder;

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return err_errno(
			    e, "[spool] directory %s cannot be locked", path);
		if (clock_mono_ms() >= until) {
			holder = lock_holder(fd);
			(void)err_set(e,
			    "[spool] directory %s is in use by another "
			    "postal-tracker (pid %d); two daemons need two "
			    "directories",
			    path, (int)holder);
			e->code = EWOULDBLOCK;
			return -1;
		}
		(void)usleep(10000);
	}
	return 0;
}

int
place_open_spool(
    const char *path, const struct config_user *owner, int *fd, struct err *e)
{
	bool created = mkdir(path, 0700) == 0;

	if (!created && errno != EEXIST)
		return err_errno(
		    e, "[spool] directory %s cannot be made", path);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return err_errno(e, "[spool] directory %s", path);
	if (own_spool(path, *fd, owner, created, e) != 0 ||
	    lock_spool(path, *fd, e) != 0) {
		fd_close(fd);
		return -1;
	}
	return 0;
}

static int
directory_of(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	return span_to_text(
	    (struct span){(const uint8_t *)path, len == 0 ? 1 : len}, dir,
	    size);
}

/* Whether somebody listens on the socket file. */
static bool
is_alive(const struct sockaddr_un *sa)
{
	int fd =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)sa,
				     sizeof(*sa)) == 0 ||
				    errno == EAGAIN);

	fd_close(&fd);
	return alive;
}

static int
bind_socket(const struct sockaddr_un *sa, int fd, struct err *e)
{
	struct stat st;

	if (lstat(sa->sun_path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return err_set(e,
			    "[spool] socket %s exists and is not a socket",
			    sa->sun_path);
		if (is_alive(sa))
			return err_set(e,
			    "[spool] socket %s is in use by another "
			    "postal-tracker; two daemons need two sockets",
			    sa->sun_path);
		(void)unlink(sa->sun_path);
	}
	/* Who may ask is decided by SO_PEERCRED, not by the mode. */
	if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) != 0 ||
	    chmod(sa->sun_path, 0666) != 0 || listen(fd, TOOLS_BACKLOG) != 0)
		return err_errno(e, "[spool] socket %s", sa->sun_path);
	return 0;
}

int
place_open_socket(const char *path, int *fd, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char dir[sizeof(sa.sun_path)];

	if (span_to_text(span_of(path), sa.sun_path, sizeof(sa.sun_path)) !=
		0 ||
	    directory_of(path, dir, sizeof(dir)) != 0)
		return err_set(e,
		    "[spool] socket %s: a socket's path has at most %d bytes",
		    path, (int)sizeof(sa.sun_path) - 1);
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return err_errno(
		    e, "[spool] socket %s: cannot make %s", path, dir);
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return err_errno(e, "[spool] socket %s", path);
	if (bind_socket(&sa, *fd, e) != 0) {
		fd_close(fd);
		return -1;
	}
	return 0;
}

int
place_open_empty(const char *near, int *fd, struct err *e)
{
	char dir[256], path[300];

	if (directory_of(near, dir, sizeof(dir)) != 0)
		return err_set(e, "%s: the path is too long", near);
	(void)snprintf(path, sizeof(path), "%s/empty.XXXXXX", dir);
	if (mkdtemp(path) == NULL) {
		(void)snprintf(
		    path, sizeof(path), "/tmp/postal-tracker.XXXXXX");
		if (mkdtemp(path) == NULL)
			return err_errno(e,
			    "cannot make an empty root directory in %s or /tmp",
			    dir);
	}
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		(void)err_errno(e, "cannot open %s", path);
	(void)rmdir(path);
	return *fd < 0 ? -1 : 0;
}

/* --- challenges -------------------------------------------------------- */

/* Where a directory really is. */
static int
path_of_fd(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	path[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -1 : 0;
}

static bool
lies_in(int inner_fd, int outer_fd)
{
	char inner[PATH_MAX], outer[PATH_MAX];
	size_t len;

	if (path_of_fd(inner_fd, inner) != 0 ||
	    path_of_fd(outer_fd, outer) != 0)
		return false;
	len = strlen(outer);
	return strncmp(inner, outer, len) == 0 &&
	       (inner[len] == '/' || inner[len] == '\0');
}

int
place_open_challenges(const char *path, int spool_fd, int *fd, struct err *e)
{
	*fd = -1;
	if (path[0] == '\0')
		return 0;
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return err_errno(e,
		    "[https] acme_challenges %s (make it for the user of the "
		    "ACME client, readable by all)",
		    path);
	if (sandbox_landlock_version() > 0 || lies_in(*fd, spool_fd))
		return 0;
	fd_close(fd);
	return err_set(e,
	    "[https] acme_challenges %s is outside of the spool directory, "
	    "and this kernel has no Landlock (Linux 5.13, lsm= with landlock) "
	    "that would keep the store in there: use a newer kernel, or a "
	    "directory below [spool] directory",
	    path);
}
