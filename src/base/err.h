/*
 * err.h - what went wrong, in one line for a person
 *
 * Lower rooms neither log nor exit: they return -1 and fill a struct err that
 * the caller owns. The text says what, where and, when known, what to do; it
 * has no trailing newline or full stop.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_TEXT_SIZE 512

struct err {
	int code; /* errno of the cause; 0 when there is none */
	char text[ERR_TEXT_SIZE];
};

/* Sets the text, formatted as by printf, and clears the code. Always -1. */
int err_set(struct err *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same and adds ": " and the text of errno, which it keeps as code. */
int err_errno(struct err *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Puts a formatted prefix and ": " in front of the text; keeps the code. */
int err_prefix(struct err *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
