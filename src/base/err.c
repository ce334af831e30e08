/*
 * err.c - what went wrong, in one line for a person
 *
 * Pure but for reading errno; used by every process.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
err_set(struct err *e, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	e->code = 0;
	return -1;
}

int
err_errno(struct err *e, const char *format, ...)
{
	int code = errno;
	size_t used;
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	e->code = code;
	used = strlen(e->text);
	(void)snprintf(
	    e->text + used, sizeof(e->text) - used, ": %s", strerror(code));
	return -1;
}

int
err_prefix(struct err *e, const char *format, ...)
{
	char prefix[ERR_TEXT_SIZE];
	char cause[ERR_TEXT_SIZE];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(prefix, sizeof(prefix), format, ap);
	va_end(ap);
	memcpy(cause, e->text, sizeof(cause));
	(void)snprintf(
	    e->text, sizeof(e->text), "%.200s: %.300s", prefix, cause);
	return -1;
}
