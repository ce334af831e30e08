/*
 * main.c - the logger: writes the access log, and is there only for that
 *
 * A disk can be slow and a pipe full; the web workers must not wait for either
 * and own no file. So they send their lines here. Runs as they do, in an empty
 * root; owns a descriptor that it can append to, and a channel to each worker.
 * After a reload another one with a fresh descriptor takes over; this one ends
 * when its last worker has gone to that one, or has ended.
 */
#include "logger/logger.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "http/access.h"
#include "logger/internal.h"

/* In the order of the descriptors that the monitor passes. */
#define EMPTY_ROOT_FD (ROLE_FIRST_FD + 0)
#define FILE_FD (ROLE_FIRST_FD + 1)
#define DESCRIPTORS (SPEAKERS_MAX + 32)
/* Messages of one worker before the next one's turn. */
#define MESSAGES_A_ROUND 4

/* A web worker's channel. */
struct speaker {
	struct loop_watch watch;    /* first: the watch is the speaker */
	struct ipc_channel channel; /* fd -1: the place is free */
	uint16_t index;
	uint64_t instance;
};

static struct {
	struct role role;
	struct loop loop;
	struct loop_watch monitor_watch;
	struct output output;
	bool paused;	       /* nothing is read: the output is busy */
	struct speaker *waits; /* whose lines it is busy with */
	bool stopping;
	uint64_t stop_by_ms;
	size_t n_speakers;
	struct speaker speakers[SPEAKERS_MAX];
	uint8_t *buffer, *scratch; /* IPC_RECORD_MAX bytes each */
} logger;

/* --- workers ----------------------------------------------------------- */

static void
speaker_end(struct speaker *s)
{
	(void)loop_remove(&logger.loop, &s->watch);
	fd_close(&s->channel.fd);
	logger.n_speakers--;
}

static void
part_from(struct speaker *s, const struct ipc_message *m, unsigned int breach)
{
	struct ipc_replace body = {s->instance, (uint8_t)breach};

	log_err("replace peer=web[%u] message=%s reason=\"%s\"", s->index,
	    m == NULL ? "?" : m->name, ipc_breach_text(breach));
	(void)ipc_send(
	    &logger.role.monitor, logger.scratch, IPC_REPLACE, &body, -1);
	speaker_end(s);
}

static void on_speaker(struct loop_watch *watch, uint32_t events);

/* With a busy output the workers' lines wait in their channels, and then with
 * them. */
static void
read_speakers(bool on)
{
	logger.paused = !on;
	for (size_t i = 0; i < SPEAKERS_MAX; i++) {
		struct speaker *s = &logger.speakers[i];

		if (s->channel.fd < 0)
			continue;
		(void)loop_remove(&logger.loop, &s->watch);
		if (!on)
			continue;
		s->watch = (struct loop_watch){s->channel.fd, on_speaker};
		if (loop_add(&logger.loop, &s->watch, EPOLLIN) != 0)
			speaker_end(s);
	}
}

static void
tell_lost(struct speaker *s, uint32_t n)
{
	struct ipc_lines_lost lost = {n};

	if (n > 0)
		(void)ipc_send(
		    &s->channel, logger.scratch, IPC_LINES_LOST, &lost, -1);
}

void
logger_go_on(uint32_t n_lost)
{
	/* Paused, nobody's channel ends. */
	if (!logger.paused)
		return;
	tell_lost(logger.waits, n_lost);
	read_speakers(true);
}

/* 0, or the breach. */
static unsigned int
write_lines(struct speaker *s, struct span lines)
{
	/* A hijacked worker may write lies, but no lines of a kind that it
	 * could not write by itself, and nothing that a terminal obeys. */
	if (!http_access_are_lines(lines))
		return IPC_BREACH_FORM;
	tell_lost(s, output_put(&logger.output, lines));
	if (output_is_busy(&logger.output)) {
		logger.waits = s;
		read_speakers(false);
	}
	return 0;
}

static void
on_speaker(struct loop_watch *watch, uint32_t events)
{
	struct speaker *s = (struct speaker *)watch;
	struct ipc_received in;
	unsigned int breach;

	(void)events;
	for (int i = 0; i < MESSAGES_A_ROUND && s->watch.fd >= 0; i++) {
		switch (ipc_receive(&s->channel, logger.buffer, &in)) {
		case IPC_AGAIN:
			return;
		case IPC_CLOSED:
			speaker_end(s);
			return;
		case IPC_BREACH:
			part_from(s, in.message, in.breach);
			return;
		default:
			/* The table lets nothing through but LINES. */
			breach = write_lines(s, in.body.lines.text);
			if (breach == 0)
				break;
			part_from(s, in.message, breach);
			return;
		}
	}
}

static void
speaker_add(const struct ipc_channel_offer *offer, int fd)
{
	struct speaker *s = NULL;

	for (size_t i = 0; i < SPEAKERS_MAX && s == NULL; i++)
		if (logger.speakers[i].channel.fd < 0)
			s = &logger.speakers[i];
	if (s == NULL) {
		log_err("channel peer=web[%u]: too many workers", offer->index);
		fd_close(&fd);
		return;
	}
	*s = (struct speaker){.watch = {.fd = -1},
	    .channel = {fd, IPC_LOGGER, IPC_WEB},
	    .index = offer->index,
	    .instance = offer->instance};
	logger.n_speakers++;
	if (logger.paused)
		return;
	s->watch = (struct loop_watch){fd, on_speaker};
	if (loop_add(&logger.loop, &s->watch, EPOLLIN) != 0)
		speaker_end(s);
}

/* --- the monitor ------------------------------------------------------- */

static void
stop_for(const char *reason)
{
	log_err("stop reason=\"%s\"", reason);
	exit(EX_PROTOCOL);
}

static void
stop_within(uint32_t within_ms)
{
	logger.stopping = true;
	logger.stop_by_ms = logger.loop.now_ms + within_ms;
	loop_wake_at(&logger.loop, logger.stop_by_ms);
}

static void
handle(const struct ipc_received *in)
{
	if (in->message->type == IPC_STOP)
		stop_within(in->body.stop.within_ms);
	else if (in->message->type == IPC_PING)
		role_answer(&logger.role);
	else if (in->message->type == IPC_CHANNEL &&
		 in->body.channel.role == IPC_WEB)
		speaker_add(&in->body.channel, in->fd);
	else
		stop_for("the monitor sent a message out of order");
}

static void
on_monitor(struct loop_watch *watch, uint32_t events)
{
	struct ipc_received in;

	(void)events;
	switch (ipc_receive(&logger.role.monitor, logger.buffer, &in)) {
	case IPC_AGAIN:
		break;
	case IPC_CLOSED:
		(void)loop_remove(&logger.loop, watch);
		stop_within(0);
		break;
	case IPC_BREACH:
		stop_for("the monitor sent a message that is not in the table");
		break;
	default:
		handle(&in);
	}
}

/* --- the whole --------------------------------------------------------- */

static void
on_due(void *owner)
{
	(void)owner;
	if (logger.stopping && logger.loop.now_ms >= logger.stop_by_ms)
		loop_stop(&logger.loop);
}

static void
after_round(void *owner)
{
	(void)owner;
	if (logger.stopping && logger.n_speakers == 0 &&
	    !output_is_busy(&logger.output))
		loop_stop(&logger.loop);
}

static int
start(const char *argv0, struct err *e)
{
	struct role_needs needs = {.root_fd = EMPTY_ROOT_FD,
	    .descriptors = DESCRIPTORS,
	    .file_size = UINT64_MAX};
	bool to_file;

	if (role_take(
		&logger.role, IPC_LOGGER, argv0, IPC_LOGGER_SETTINGS, e) != 0)
		return -1;
	to_file = logger.role.settings.logger_settings.to_file != 0;
	if (logger.role.n_fds != (to_file ? 2 : 1))
		return err_set(e, "PARAMS and descriptors disagree");
	logger.buffer = logger.role.buffer;
	logger.scratch = malloc(IPC_RECORD_MAX);
	if (logger.scratch == NULL)
		return err_errno(e, "no memory");
	for (size_t i = 0; i < ARRAY_LENGTH(logger.speakers); i++)
		logger.speakers[i].channel.fd = logger.speakers[i].watch.fd =
		    -1;
	if (loop_open(&logger.loop, &logger, e) != 0 ||
	    output_open(&logger.output, &logger.loop,
		to_file ? FILE_FD : STDERR_FILENO,
		!to_file && isatty(STDERR_FILENO) == 0, e) != 0 ||
	    role_restrict(&logger.role, &needs, e) != 0)
		return -1;
	logger.monitor_watch =
	    (struct loop_watch){logger.role.monitor.fd, on_monitor};
	if (loop_add(&logger.loop, &logger.monitor_watch, EPOLLIN) != 0)
		return err_errno(e, "cannot watch the monitor");
	logger.loop.on_due = on_due;
	logger.loop.after_round = after_round;
	return role_ready(&logger.role, false, e);
}

int
logger_main(const char *argv0)
{
	struct err e;

	if (start(argv0, &e) != 0 || loop_run(&logger.loop, &e) != 0)
		role_fatal(&e);
	output_give_up(&logger.output);
	return EX_OK;
}
