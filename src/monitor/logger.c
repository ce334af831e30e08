/*
 * logger.c - the access log: its file, and the role that writes it
 *
 * Runs in the monitor. The file is opened here, for appending and nothing
 * else, and goes to the logger as a descriptor. SIGUSR1 and each reload open it
 * anew, so that a file that was renamed is let go: another logger starts with
 * it, all workers go over to that one, and the old one ends behind the last
 * line that it was sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "monitor/internal.h"

/* Those who may read it are of the file's group. */
#define FILE_MODE 0640

static int
cannot_open(const char *path, struct err *e)
{
	switch (errno) {
	case ENOENT:
		return err_errno(
		    e, "[log] access_file %s: make its directory", path);
	case ELOOP:
		return err_errno(e,
		    "[log] access_file %s is a symbolic link: name the file "
		    "itself",
		    path);
	case ENXIO:
		return err_errno(e,
		    "[log] access_file %s is a pipe, and nobody reads it: "
		    "start its reader first",
		    path);
	default:
		return err_errno(e, "[log] access_file %s", path);
	}
}

int
logger_open_file(const char *path, int *fd, struct err *e)
{
	struct stat st;

	/* O_NONBLOCK: a pipe without a reader would stop us here, and one that
	 * is full would stop the logger. */
	*fd = open(path,
	    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK |
		O_CLOEXEC,
	    FILE_MODE);
	if (*fd < 0)
		return cannot_open(path, e);
	if (fstat(*fd, &st) == 0 &&
	    (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)))
		return 0;
	fd_close(fd);
	return err_set(
	    e, "[log] access_file %s is neither a file nor a pipe", path);
}

int
monitor_open_access_file(const struct config *c, int *fd, struct err *e)
{
	*fd = -1;
	if (c->log.access == CONFIG_ACCESS_OFF || c->log.access_file[0] == '\0')
		return 0;
	return logger_open_file(c->log.access_file, fd, e);
}

int
monitor_set_logger(struct monitor *m, int fd, struct err *e)
{
	/* The workers before it have so long, and it a little longer. */
	uint64_t grace = 2 * monitor_worker_grace(m);
	struct child *new = NULL;

	if (m->config.log.access != CONFIG_ACCESS_OFF) {
		new = child_new(m, IPC_LOGGER, 0);
		if (new == NULL) {
			fd_close(&fd);
			return err_set(e, "too many processes");
		}
	}
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (m->children[i].role == IPC_LOGGER && &m->children[i] != new)
			child_stop(&m->children[i], grace);
	fd_close(&m->access_fd);
	m->access_fd = fd;
	if (new != NULL)
		child_start(new);
	return 0;
}

int
monitor_reopen_access_file(struct monitor *m, struct err *e)
{
	int fd;

	if (monitor_open_access_file(&m->config, &fd, e) != 0 ||
	    (fd >= 0 && monitor_set_logger(m, fd, e) != 0))
		return -1;
	return fd >= 0;
}

void
monitor_rotate(struct monitor *m)
{
	const char *path = m->config.log.access_file;
	struct err e;
	int opened;

	if (m->phase >= PHASE_ENDING)
		return;
	opened = monitor_reopen_access_file(m, &e);
	if (opened < 0)
		log_err("reopen failed: %s; the file in use stays", e.text);
	else if (opened == 0)
		log_notice("reopen: requests are not logged to a file");
	else
		log_notice("reopen access_file=%s", path);
}
