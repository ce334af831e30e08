/*
 * log.h - one record, one line, one write to stderr
 *
 * A record reads `<6>web[2]: verb key=value ...`: the priority as sd-daemon
 * and journald understand it (left away on a terminal), who speaks, what
 * happened. Control characters in it become `?`, so that it is one line
 * whatever it quotes. A process has one log. The monitor, the commands and the
 * roles write to it; lower rooms fill a struct err.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include "base/span.h"

/* The numbers are those of syslog. */
enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARN = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* name is copied: "monitor", "web[2]". */
void log_open(const char *name, enum log_level most);
/* Changes the level, after a reload. */
void log_set_level(enum log_level most);

/* Something failed and a person has to act. */
void log_err(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something is wrong and goes on by itself. */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A change of state worth a line in every journal: start, reload, stop. */
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Bytes from outside, made fit for a log line: quoted, everything outside
 * printable ASCII and `"` and `\` as \xHH, cut with "..." at the end of text.
 * Returns text.
 */
const char *log_escape(struct span bytes, char *text, size_t size);

/*
 * Repeats become one line with a count: log_limit_pass is true for the first
 * record of every interval and stores how many were held back since the last
 * one. Zero-initialized by the owner, one for each kind of record.
 */
struct log_limit {
	uint64_t next_ms;
	uint64_t held_back;
};
#define LOG_LIMIT_INTERVAL_MS 10000
int log_limit_pass(
    struct log_limit *limit, uint64_t now_ms, uint64_t *held_back);

#endif
