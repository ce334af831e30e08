/*
 * certificates.c - the directory of certificates and keys, watched
 *
 * Runs in the monitor, as root: what lies in the directory may belong to an
 * ACME user. So nothing but regular files is opened, of a limited size, none
 * that he only links to, and what is in them is not looked at here.
 */
#include "monitor/certificates.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "ipc/message.h"
#include "monitor/names.h"

static const struct {
	const char *name;
	off_t most;
} files[CERTIFICATE_FILES] = {
    [CERTIFICATE_CHAIN] = {"fullchain.pem", IPC_CHAIN_FILE_MAX},
    [CERTIFICATE_KEY] = {"privkey.pem", IPC_KEY_FILE_MAX},
};

/* So many looks lie between two tries of what there was no room for. */
#define PAUSE_LOOKS 5

/* Of this process or machine, and over by and by; no fault of a file. */
static bool
is_shortage(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOMEM;
}

static bool
postpone(struct certificate *entry)
{
	bool first = !entry->postponed;

	entry->pause = PAUSE_LOOKS;
	entry->postponed = true;
	return first;
}

/* --- copies ------------------------------------------------------------ */

static int
copy_bytes(int from, int to, off_t size, struct err *e)
{
	off_t left = size;

	while (left > 0) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "cannot be copied");
		if (n == 0)
			return err_set(e, "changed while it was copied");
		left -= n;
	}
	if (fcntl(to, F_ADD_SEALS,
		F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		return err_errno(e, "cannot be sealed");
	return 0;
}

/* A sealed copy in *copy. Owner: the caller. */
static int
copy_file(int dir, int which, int *copy, struct err *e)
{
	int place = path_open(dir, files[which].name, 0, e), from;
	struct stat st;
	int failed = -1;

	*copy = -1;
	if (place < 0)
		return err_prefix(e, "%s", files[which].name);
	from = fd_reopen_regular(place);
	fd_close(&place);
	if (from < 0 && errno == EINVAL)
		return err_set(e, "%s is no file", files[which].name);
	if (from < 0 || fstat(from, &st) != 0)
		(void)err_errno(e, "cannot be opened");
	else if (st.st_size > files[which].most)
		(void)err_set(
		    e, "has more than %d bytes", (int)files[which].most);
	else if ((*copy = memfd_create("postal-tracker-certificate",
		      MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
		(void)err_errno(e, "cannot be copied");
	else
		failed = copy_bytes(from, *copy, st.st_size, e);
	fd_close(&from);
	if (failed == 0)
		return 0;
	fd_close(copy);
	return err_prefix(e, "%s", files[which].name);
}

static void
report(struct certificate *c, int dir, const struct certificates_found *found)
{
	int copies[CERTIFICATE_FILES] = {-1, -1};
	struct err e = {0};

	for (int i = 0; i < CERTIFICATE_FILES; i++) {
		if (copy_file(dir, i, &copies[i], &e) == 0)
			continue;
		fd_close(&copies[CERTIFICATE_CHAIN]);
		if (!is_shortage(e.code) || postpone(c))
			found->unreadable(found->owner, c->name, &e);
		return;
	}
	found->changed(found->owner, c->name, copies[CERTIFICATE_CHAIN],
	    copies[CERTIFICATE_KEY]);
}

/* --- what changed ------------------------------------------------------ */

/* What somebody links to that is not his: its refusal is told, once. */
static const struct file_mark forbidden = {.there = true};

/* False: for want of something it cannot be seen. */
static bool
mark_file(int dir, const char *name, struct file_mark *mark)
{
	struct err e = {0};
	struct stat st;
	int fd = path_open(dir, name, 0, &e);
	bool there = fd >= 0 && fstat(fd, &st) == 0;

	fd_close(&fd);
	*mark = (struct file_mark){.there = false};
	if (there)
		*mark = (struct file_mark){.there = true,
		    .device = st.st_dev,
		    .inode = st.st_ino,
		    .size = st.st_size,
		    .changed = st.st_ctim};
	else if (e.code == EPERM)
		*mark = forbidden;
	return !is_shortage(e.code);
}

static bool
mark_files(int dir, struct file_mark marks[CERTIFICATE_FILES])
{
	for (int i = 0; i < CERTIFICATE_FILES; i++)
		if (!mark_file(dir, files[i].name, &marks[i]))
			return false;
	return true;
}

static bool
same_mark(const struct file_mark *a, const struct file_mark *b)
{
	return a->there == b->there &&
	       (!a->there || (a->device == b->device && a->inode == b->inode &&
				 a->size == b->size &&
				 a->changed.tv_sec == b->changed.tv_sec &&
				 a->changed.tv_nsec == b->changed.tv_nsec));
}

static bool
same_marks(const struct file_mark *a, const struct file_mark *b)
{
	return same_mark(&a[CERTIFICATE_CHAIN], &b[CERTIFICATE_CHAIN]) &&
	       same_mark(&a[CERTIFICATE_KEY], &b[CERTIFICATE_KEY]);
}

static size_t
place_of(const struct certificates *c, const char *name, bool *there)
{
	return names_place(c->list, c->n, sizeof(c->list[0]), name, there);
}

/* NULL: too many, or no memory; tried again at the next look. */
static struct certificate *
entry_of(struct certificates *c, const char *name,
    const struct certificates_found *found)
{
	bool there;
	size_t i = place_of(c, name, &there);
	char *copy;

	if (there)
		return &c->list[i];
	if (c->n == CERTIFICATES_MAX) {
		if (!c->too_many)
			found->too_many(found->owner);
		c->too_many = true;
		return NULL;
	}
	copy = strdup(name);
	if (copy == NULL)
		return NULL;
	memmove(&c->list[i + 1], &c->list[i], (c->n - i) * sizeof(c->list[0]));
	c->list[i] = (struct certificate){.name = copy};
	c->n++;
	return &c->list[i];
}

/* dir -1: nobody may look into it; why is in e. */
static void
try_pair(struct certificate *entry, int dir, const struct err *e,
    const struct certificates_found *found)
{
	entry->pause = 0;
	if (dir < 0)
		found->unreadable(found->owner, entry->name, e);
	else
		report(entry, dir, found);
	if (entry->pause == 0)
		entry->postponed = false;
}

static void
compare(struct certificate *entry, const struct file_mark *now, int dir,
    bool at_once, const struct err *e, const struct certificates_found *found)
{
	bool settled = at_once || same_marks(entry->seen, now), again;

	memcpy(entry->seen, now, sizeof(entry->seen));
	if (!settled)
		return;
	again = entry->pause > 0 && (at_once || --entry->pause == 0);
	if (!again && same_marks(entry->tried, now))
		return;
	memcpy(entry->tried, now, sizeof(entry->tried));
	try_pair(entry, dir, e, found);
}

/* What cannot be seen is as it was. */
static void
keep_present(struct certificates *c, const char *name)
{
	bool there;
	size_t i = place_of(c, name, &there);

	if (there)
		c->list[i].present = true;
}

static void
look_at(struct certificates *c, int parent, const char *name, bool at_once,
    const struct certificates_found *found)
{
	struct err e = {0};
	int dir = path_open(parent, name, O_DIRECTORY, &e);
	struct file_mark now[CERTIFICATE_FILES] = {forbidden, forbidden};
	struct certificate *entry = NULL;

	if (is_shortage(e.code) || (dir >= 0 && !mark_files(dir, now)))
		keep_present(c, name);
	else if ((dir >= 0 || e.code == EPERM) &&
		 (now[CERTIFICATE_CHAIN].there || now[CERTIFICATE_KEY].there))
		entry = entry_of(c, name, found);
	if (entry != NULL) {
		entry->present = true;
		compare(entry, now, dir, at_once, &e, found);
	}
	fd_close(&dir);
}

static void
forget_absent(struct certificates *c, bool at_once,
    const struct certificates_found *found)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct certificate *entry = &c->list[i];

		if (entry->present || (!at_once && !entry->missed)) {
			entry->missed = !entry->present;
			c->list[kept++] = *entry;
			continue;
		}
		/* Not one that nobody was told of. */
		if (entry->tried[CERTIFICATE_CHAIN].there ||
		    entry->tried[CERTIFICATE_KEY].there)
			found->gone(found->owner, entry->name);
		free(entry->name);
		c->too_many = false;
	}
	c->n = kept;
}

DIR *
certificates_open_directory(const char *directory, struct err *e)
{
	int place = path_open(AT_FDCWD, directory, O_DIRECTORY, e), fd;
	DIR *dir = NULL;

	if (place < 0) {
		(void)err_prefix(e, "%s", directory);
		return NULL;
	}
	fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd_close(&place);
	if (fd >= 0)
		dir = fdopendir(fd);
	if (dir == NULL) {
		(void)err_errno(e, "%s", directory);
		fd_close(&fd);
	}
	return dir;
}

int
certificates_look(struct certificates *c, const char *directory, bool at_once,
    const struct certificates_found *found, struct err *e)
{
	DIR *dir = certificates_open_directory(directory, e);
	struct dirent *entry;
	int n = 0;

	if (dir == NULL)
		return -1;
	if (c->list == NULL)
		c->list = calloc(CERTIFICATES_MAX, sizeof(c->list[0]));
	if (c->list == NULL) {
		(void)closedir(dir);
		return err_errno(e, "%s", directory);
	}
	for (size_t i = 0; i < c->n; i++)
		c->list[i].present = false;
	errno = 0;
	while (
	    (entry = readdir(dir)) != NULL && n++ < CERTIFICATES_ENTRIES_MAX) {
		if (entry->d_name[0] != '.' &&
		    (entry->d_type == DT_DIR || entry->d_type == DT_LNK ||
			entry->d_type == DT_UNKNOWN))
			look_at(c, dirfd(dir), entry->d_name, at_once, found);
		errno = 0;
	}
	if (entry != NULL)
		(void)err_set(e, "%s holds more than %d entries", directory,
		    CERTIFICATES_ENTRIES_MAX);
	else if (errno != 0)
		(void)err_errno(e, "%s", directory);
	if (entry != NULL || errno != 0) {
		(void)closedir(dir);
		return -1;
	}
	(void)closedir(dir);
	forget_absent(c, at_once, found);
	return 0;
}

bool
certificates_postpone(struct certificates *c, const char *name)
{
	bool there;
	size_t i = place_of(c, name, &there);

	return there && postpone(&c->list[i]);
}

void
certificates_clear(struct certificates *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->list[i].name);
	free(c->list);
	*c = (struct certificates){.list = NULL};
}
