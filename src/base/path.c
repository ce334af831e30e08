/*
 * path.c - a path through directories that others can write
 *
 * Used by the monitor and by commands. Step by step, because of several links
 * on a way each one counts.
 */
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* As many as the kernel follows. */
#define LINKS_MOST 40
#define REST_SIZE ((size_t)2 * PATH_MAX)

/* A link of somebody who is not trusted, whose text is being walked. */
struct link {
	uid_t owner;
	size_t left; /* bytes of the rest behind its text */
};

struct walk {
	int at;
	int flags;
	char rest[REST_SIZE]; /* ends with NUL */
	size_t pos;
	struct link links[LINKS_MOST];
	size_t n_links;
	unsigned int n_followed;
};

static int
fail(struct err *e)
{
	int code = errno;

	(void)err_set(e, "%s", strerror(code));
	e->code = code;
	return -1;
}

static int
fail_with(int code, struct err *e)
{
	errno = code;
	return fail(e);
}

static bool
is_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static size_t
left(const struct walk *w)
{
	return strlen(w->rest + w->pos);
}

static void
skip_slashes(struct walk *w)
{
	while (w->rest[w->pos] == '/')
		w->pos++;
}

/* --- what is not followed ---------------------------------------------- */

/* Links whose text is at its end lead to where we are. */
static int
settle(struct walk *w, struct err *e)
{
	struct stat st;

	while (w->n_links > 0 && left(w) <= w->links[w->n_links - 1].left) {
		uid_t owner = w->links[--w->n_links].owner;

		if (fstat(w->at, &st) != 0)
			return fail(e);
		if (st.st_uid == owner)
			continue;
		(void)err_set(e,
		    "a link of uid %d leads to what belongs to uid %d; only "
		    "root may make such a link",
		    (int)owner, (int)st.st_uid);
		e->code = EPERM;
		return -1;
	}
	return 0;
}

static int
check_names(const struct walk *w, const struct stat *st, struct err *e)
{
	struct stat directory;

	if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
		return 0;
	if (fstat(w->at, &directory) != 0)
		return fail(e);
	if (is_trusted(directory.st_uid) || directory.st_uid == st->st_uid)
		return 0;
	(void)err_set(e,
	    "it belongs to uid %d and has another name outside this directory "
	    "of uid %d; copy it",
	    (int)st->st_uid, (int)directory.st_uid);
	e->code = EPERM;
	return -1;
}

/* --- steps ------------------------------------------------------------- */

static void
move_to(struct walk *w, int fd)
{
	fd_close(&w->at);
	w->at = fd;
}

static int
move_to_root(struct walk *w, struct err *e)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(e);
	move_to(w, fd);
	return 0;
}

/* Puts the link's text in front of the rest. */
static int
follow(struct walk *w, int link_fd, uid_t owner, struct err *e)
{
	size_t behind = left(w), len;
	char text[PATH_MAX];
	ssize_t n = readlinkat(link_fd, "", text, sizeof(text));

	if (n < 0)
		return fail(e);
	len = (size_t)n;
	if (w->n_followed++ == LINKS_MOST)
		return fail_with(ELOOP, e);
	if (len == sizeof(text) || len + behind + 2 > REST_SIZE)
		return fail_with(ENAMETOOLONG, e);
	if (!is_trusted(owner))
		w->links[w->n_links++] = (struct link){owner, behind};
	memmove(w->rest + len + 1, w->rest + w->pos, behind + 1);
	memcpy(w->rest, text, len);
	w->rest[len] = behind > 0 ? '/' : '\0';
	w->pos = 0;
	return text[0] == '/' ? move_to_root(w, e) : 0;
}

/* A directory is asked for as such first: one that is only mounted when it is
 * needed is mounted then. */
static int
open_next(const struct walk *w, const char *name, bool directory)
{
	const int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
	int fd = -1;

	if (directory)
		fd = openat(w->at, name, flags | O_DIRECTORY);
	if (fd < 0 && (!directory || errno == ENOTDIR))
		fd = openat(w->at, name, flags);
	return fd;
}

/* The rest begins with a name. */
static int
step(struct walk *w, struct err *e)
{
	size_t len = strcspn(w->rest + w->pos, "/");
	char name[NAME_MAX + 1];
	struct stat st;
	bool directory;
	int fd, failed;

	if (len > NAME_MAX)
		return fail_with(ENAMETOOLONG, e);
	memcpy(name, w->rest + w->pos, len);
	name[len] = '\0';
	w->pos += len;
	skip_slashes(w);
	directory = left(w) > 0 || w->flags != 0;
	fd = open_next(w, name, directory);
	if (fd < 0 || fstat(fd, &st) != 0) {
		failed = fail(e);
	} else if (S_ISLNK(st.st_mode)) {
		failed = follow(w, fd, st.st_uid, e);
	} else if (directory && !S_ISDIR(st.st_mode)) {
		failed = fail_with(ENOTDIR, e);
	} else {
		failed = check_names(w, &st, e);
		if (!failed) {
			move_to(w, fd);
			return 0;
		}
	}
	fd_close(&fd);
	return failed;
}

int
path_open(int dir_fd, const char *path, int flags, struct err *e)
{
	struct walk w = {.at = -1, .flags = flags};
	size_t len = strlen(path);

	if (len == 0 || len >= PATH_MAX)
		return fail_with(len == 0 ? ENOENT : ENAMETOOLONG, e);
	memcpy(w.rest, path, len + 1);
	w.at = openat(path[0] == '/' ? AT_FDCWD : dir_fd,
	    path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (w.at < 0)
		return fail(e);
	for (;;) {
		skip_slashes(&w);
		if (settle(&w, e) != 0)
			break;
		if (w.rest[w.pos] == '\0')
			return w.at;
		if (step(&w, e) != 0)
			break;
	}
	fd_close(&w.at);
	return -1;
}
