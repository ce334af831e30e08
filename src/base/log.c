/*
 * log.c - one record, one line, one write to stderr
 *
 * Used by every process; write(2) on descriptor 2 is all that it needs, so
 * that it works in every jail. Holds the one log of the process.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECORD_SIZE 1024

static struct {
	char name[32];
	enum log_level most;
	bool with_priority;
} logger = {"postal-tracker", LOG_LEVEL_INFO, true};

void
log_open(const char *name, enum log_level most)
{
	(void)snprintf(logger.name, sizeof(logger.name), "%s", name);
	logger.most = most;
	logger.with_priority = isatty(STDERR_FILENO) == 0;
}

void
log_set_level(enum log_level most)
{
	logger.most = most;
}

/*
 * A record that stderr does not take (closed pipe, full disk) is lost: there
 * is nowhere left to say so, and a server does not stop for its log.
 */
static void
write_record(const char *record, size_t len)
{
	ssize_t n;

	do
		n = write(STDERR_FILENO, record, len);
	while (n < 0 && errno == EINTR);
}

/* A text of another program, such as an error of a database, may hold what
 * nobody escaped: a record is one line all the same. */
static size_t
one_line(char *record)
{
	size_t i = 0;

	for (; record[i] != '\0'; i++)
		if ((unsigned char)record[i] < 0x20 || record[i] == 0x7f)
			record[i] = '?';
	return i;
}

static void log_va(enum log_level level, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void
log_va(enum log_level level, const char *format, va_list ap)
{
	char record[RECORD_SIZE];
	size_t used = 0;
	int saved = errno;

	if (level > logger.most)
		return;
	if (logger.with_priority)
		used = (size_t)snprintf(record, sizeof(record), "<%d>", level);
	used += (size_t)snprintf(
	    record + used, sizeof(record) - used, "%s: ", logger.name);
	(void)vsnprintf(record + used, sizeof(record) - used - 1, format, ap);
	used = one_line(record);
	record[used] = '\n';
	write_record(record, used + 1);
	errno = saved;
}

void
log_err(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_va(LOG_LEVEL_ERR, format, ap);
	va_end(ap);
}

void
log_warn(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_va(LOG_LEVEL_WARN, format, ap);
	va_end(ap);
}

void
log_notice(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_va(LOG_LEVEL_NOTICE, format, ap);
	va_end(ap);
}

void
log_info(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_va(LOG_LEVEL_INFO, format, ap);
	va_end(ap);
}

void
log_debug(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_va(LOG_LEVEL_DEBUG, format, ap);
	va_end(ap);
}

const char *
log_escape(struct span bytes, char *text, size_t size)
{
	static const char more[] = "...\"";
	size_t used = 0;

	if (size < 16)
		return "";
	text[used++] = '"';
	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t c = bytes.p[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		if (size - used < 4 + sizeof(more)) {
			memcpy(text + used, more, sizeof(more));
			return text;
		}
		if (plain)
			text[used++] = (char)c;
		else
			used += (size_t)snprintf(
			    text + used, size - used, "\\x%02x", c);
	}
	text[used++] = '"';
	text[used] = '\0';
	return text;
}

int
log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t *held_back)
{
	if (now_ms < limit->next_ms) {
		limit->held_back++;
		return 0;
	}
	*held_back = limit->held_back;
	limit->held_back = 0;
	limit->next_ms = now_ms + LOG_LIMIT_INTERVAL_MS;
	return 1;
}
