/*
 * output.c - where the lines of the access log go
 *
 * Runs in the logger. A file is written at once; it may be slow, and that is
 * what this process is for. A pipe or a socket is written when it says that
 * there is room, a whole line at least, so that a reader who does not read
 * stops nobody. A disk that is full is said once; lines are counted until it
 * takes them again.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logger/internal.h"

#define PREFIX "<6>"

static uint32_t
count_lines(const uint8_t *p, size_t len)
{
	uint32_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += p[i] == '\n';
	return n;
}

/* Those of which not all was written. */
static uint32_t
lines_left(const struct output *o)
{
	size_t from = o->at < o->n_own ? o->n_own : o->at;

	return count_lines(o->bytes + from, o->len - from);
}

int
output_open(
    struct output *o, struct loop *loop, int fd, bool prefixed, struct err *e)
{
	struct stat st;

	*o = (struct output){.watch = {.fd = -1},
	    .loop = loop,
	    .fd = fd,
	    .prefixed = prefixed,
	    .bytes = malloc(OUTPUT_MAX)};
	if (o->bytes == NULL)
		return err_errno(e, "no memory");
	if (fstat(fd, &st) != 0)
		return err_errno(e, "cannot look at the access log");
	o->is_socket = S_ISSOCK(st.st_mode);
	o->waits = o->is_socket || S_ISFIFO(st.st_mode);
	return 0;
}

bool
output_is_busy(const struct output *o)
{
	return o->at < o->len;
}

/* --- failure ----------------------------------------------------------- */

static uint32_t
fail(struct output *o, int error)
{
	uint32_t n = lines_left(o);
	uint64_t held_back;

	if (!o->said &&
	    log_limit_pass(&o->log_failed, o->loop->now_ms, &held_back)) {
		log_err("access log error=\"%s\": lines are left out and "
			"counted until it can be written again",
		    strerror(error));
		o->said = true;
	}
	o->n_lost += n;
	o->len = o->at = o->n_own = 0;
	return n;
}

static void
recover(struct output *o)
{
	/* On the edge of a full disk it goes back and forth. */
	if (!o->said)
		return;
	log_notice("access log written again left_out=%" PRIu64, o->n_lost);
	o->said = false;
	o->n_lost = 0;
}

/* --- writing ----------------------------------------------------------- */

/* Whole lines, at most PIPE_BUF bytes of them: a pipe takes so many without
 * waiting, and without a line of another process in between. */
static size_t
next_piece(const struct output *o)
{
	size_t left = o->len - o->at, n = left < PIPE_BUF ? left : PIPE_BUF;

	if (!o->waits)
		return left;
	while (n > 0 && o->bytes[o->at + n - 1] != '\n')
		n--;
	return n > 0 ? n : left < PIPE_BUF ? left : PIPE_BUF;
}

/* One piece. -1 with errno. */
static int
write_piece(struct output *o)
{
	const uint8_t *p = o->bytes + o->at;
	size_t len = next_piece(o);
	ssize_t n;

	do
		n = o->is_socket
			? send(o->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL)
			: write(o->fd, p, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	o->at += (size_t)n;
	if (n > 0)
		o->torn = o->bytes[o->at - 1] != '\n';
	return 0;
}

static void
on_room(struct loop_watch *watch, uint32_t events)
{
	struct output *o = (struct output *)watch;

	uint32_t n_lost = 0;

	(void)events;
	if (write_piece(o) != 0 && errno != EAGAIN)
		n_lost = fail(o, errno);
	else if (!output_is_busy(o))
		recover(o);
	if (output_is_busy(o))
		return;
	(void)loop_remove(o->loop, &o->watch);
	logger_go_on(n_lost);
}

static void
copy_lines(struct output *o, struct span lines)
{
	struct writer w = writer_of(o->bytes, OUTPUT_MAX);

	/* What was begun before a failure ends here. */
	if (o->torn)
		writer_u8(&w, '\n');
	o->n_own = w.len;
	while (lines.len > 0) {
		const uint8_t *end = memchr(lines.p, '\n', lines.len);
		size_t len =
		    end == NULL ? lines.len : (size_t)(end - lines.p) + 1;

		if (!o->prefixed)
			len = lines.len;
		else
			writer_text(&w, PREFIX);
		writer_bytes(&w, (struct span){lines.p, len});
		lines.p += len;
		lines.len -= len;
	}
	o->len = w.len;
	o->at = 0;
}

uint32_t
output_put(struct output *o, struct span lines)
{
	copy_lines(o, lines);
	if (o->waits) {
		o->watch = (struct loop_watch){o->fd, on_room};
		if (loop_add(o->loop, &o->watch, EPOLLOUT) == 0)
			return 0;
		return fail(o, errno);
	}
	while (output_is_busy(o)) {
		if (write_piece(o) != 0)
			return fail(o, errno);
	}
	recover(o);
	return 0;
}

void
output_give_up(struct output *o)
{
	if (output_is_busy(o))
		log_err("access log lines=%" PRIu32
			": lost at the end, because nobody reads them",
		    lines_left(o));
	(void)loop_remove(o->loop, &o->watch);
}
