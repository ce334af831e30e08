/*
 * internal.h - what the files of the logger share
 */
#ifndef LOGGER_INTERNAL_H
#define LOGGER_INTERNAL_H

#include <stdbool.h>

#include "base/log.h"
#include "base/loop.h"
#include "role/role.h"

/* Workers, new and old ones of a few reloads. */
#define SPEAKERS_MAX 256
/* The least line is its newline, and "<6>" may stand in front of each; the
 * first byte may end a line that is torn. */
#define OUTPUT_MAX (1 + 4 * IPC_LINES_MAX)

/* --- output.c: where the lines go -------------------------------------- */

struct output {
	struct loop_watch watch; /* first: for what can be full, while it is */
	struct loop *loop;
	int fd;
	bool prefixed;	/* "<6>" in front of each line, for journald */
	bool waits;	/* a pipe, a socket: it says when there is room */
	bool is_socket; /* send instead of write */
	bool said;	/* that it fails, and not yet that it works again */
	struct log_limit log_failed;
	bool torn;	 /* a part of a line is there, and no newline */
	uint64_t n_lost; /* while it fails */
	uint8_t *bytes;	 /* OUTPUT_MAX */
	size_t len, at;	 /* what is still to be written */
	size_t n_own;	 /* of that, what ends a torn line in front */
};

/* fd stays the caller's. */
int output_open(
    struct output *o, struct loop *loop, int fd, bool prefixed, struct err *e);
/* May be called when output_is_busy is false. Returns how many lines were
 * lost. */
uint32_t output_put(struct output *o, struct span lines);
/* What was put is not away yet. */
bool output_is_busy(const struct output *o);
/* The end: what is not away is lost. */
void output_give_up(struct output *o);

/* --- main.c ------------------------------------------------------------ */

/* There is room again; so many lines that had to wait were lost. */
void logger_go_on(uint32_t n_lost);

#endif
