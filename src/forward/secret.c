/*
 * secret.c - a password from a file
 *
 * Runs in the forwarder before its jail, and in `check`. The file's bytes
 * lie nowhere but in the secret's own pages.
 */
#include "forward/secret.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* Room for one byte too many, which is how a larger file shows, and NUL. */
#define MAPPED (2 * (size_t)SECRET_FILE_MOST)

static int
take_pages(struct secret *s, struct err *e)
{
	void *p = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_errno(e, "no memory for a password");
	/* Best effort: a limit on locked memory is no reason to stop. */
	(void)mlock(p, MAPPED);
	(void)madvise(p, MAPPED, MADV_DONTDUMP);
	*s = (struct secret){p, MAPPED};
	return 0;
}

/* Opened first and looked at then: what is checked is what is read. */
static int
open_checked(const char *path, struct err *e)
{
	struct stat st;
	int fd = fd_open_file(path, &st, e);

	if (fd < 0)
		return -1;
	if ((st.st_mode & S_IRWXO) != 0)
		(void)err_set(e,
		    "every user of this machine can get at it (mode %04o); "
		    "run: chmod o-rwx %.200s",
		    st.st_mode & 07777U, path);
	else if (st.st_size > SECRET_FILE_MOST)
		(void)err_set(e,
		    "is larger than %d bytes; it should hold a "
		    "password and nothing else",
		    SECRET_FILE_MOST);
	else
		return fd;
	fd_close(&fd);
	return -1;
}

static int
read_all(int fd, struct secret *s, size_t *len, struct err *e)
{
	ssize_t got = 1;

	*len = 0;
	while (got > 0 && *len <= SECRET_FILE_MOST) {
		got = read(fd, s->text + *len, SECRET_FILE_MOST + 1 - *len);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got < 0)
			return err_errno(e, "cannot read");
		else
			*len += (size_t)got;
	}
	/* It may have grown since it was looked at. */
	if (*len > SECRET_FILE_MOST)
		return err_set(e, "is larger than %d bytes", SECRET_FILE_MOST);
	return 0;
}

static int
cut_to_first_line(struct secret *s, size_t len, struct err *e)
{
	char *end;

	if (memchr(s->text, '\0', len) != NULL)
		return err_set(e, "holds a NUL byte; it should hold a "
				  "password in its first line");
	end = memchr(s->text, '\n', len);
	if (end != NULL) {
		explicit_bzero(end, len - (size_t)(end - s->text));
		if (end > s->text && end[-1] == '\r')
			end[-1] = '\0';
	}
	if (s->text[0] == '\0')
		return err_set(e, "its first line is empty; it should hold "
				  "the password");
	return 0;
}

int
secret_read(struct secret *s, const char *path, struct err *e)
{
	int fd = open_checked(path, e);
	size_t len = 0;
	int failed = fd < 0;

	*s = (struct secret){NULL, 0};
	if (!failed)
		failed = take_pages(s, e) != 0 ||
			 read_all(fd, s, &len, e) != 0 ||
			 cut_to_first_line(s, len, e) != 0;
	fd_close(&fd);
	if (!failed)
		return 0;
	secret_clear(s);
	return err_prefix(e, "password file %.200s", path);
}

/* Where systemd put the credential; *found: there is one with something in it.
 * An empty line is what our unit has for a file that is not there. */
static int
find_credential(
    const char *name, char path[PATH_MAX], bool *found, struct err *e)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	struct stat st;
	int len;

	*found = false;
	if (directory == NULL || directory[0] != '/')
		return 0;
	len = snprintf(path, PATH_MAX, "%s/%s", directory, name);
	if (len < 0 || len >= PATH_MAX)
		return err_set(e, "CREDENTIALS_DIRECTORY is too long");
	*found = stat(path, &st) == 0 ? st.st_size > 1 : errno != ENOENT;
	return 0;
}

static int
explain_refused(const char *path, const char *name, struct err *e)
{
	(void)err_set(e,
	    "password file %.200s: not for uid %d; start this as root, or let "
	    "systemd hand the file over: LoadCredential=%s:%.200s",
	    path, (int)geteuid(), name, path);
	e->code = EACCES;
	return -1;
}

int
secret_find(struct secret *s, const char *path, const char *name, struct err *e)
{
	char credential[PATH_MAX];
	bool found;

	*s = (struct secret){NULL, 0};
	if (path[0] != '\0' && (access(path, R_OK) == 0 || errno != EACCES))
		return secret_read(s, path, e);
	if (find_credential(name, credential, &found, e) != 0)
		return -1;
	if (found)
		return secret_read(s, credential, e);
	return path[0] != '\0' ? explain_refused(path, name, e) : 0;
}

const char *
secret_text(const struct secret *s)
{
	return s->text != NULL ? s->text : "";
}

void
secret_clear(struct secret *s)
{
	if (s->text != NULL) {
		explicit_bzero(s->text, s->mapped);
		(void)munmap(s->text, s->mapped);
	}
	*s = (struct secret){NULL, 0};
}
