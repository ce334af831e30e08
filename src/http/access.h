/*
 * access.h - one request as one line of the access log
 *
 * Pure: no allocation, no descriptors, no clock. A line is made in two steps,
 * because a request is gone when its answer leaves: its part is rendered
 * while the head is there, and the whole when the answer is known.
 *
 * Security: what strangers send cannot end a line, nor a value in it. Every
 * byte of it that is no plain printable character is escaped, and each value
 * is cut, so that a line has at most HTTP_ACCESS_LINE_MAX bytes.
 *
 * text is the combined format as nginx writes it by default, with its escapes;
 * json is one object (RFC 8259), in valid UTF-8.
 */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/span.h"

/* With its newline. Less than PIPE_BUF, with a priority in front: a line goes
 * into a pipe whole or not at all. */
#define HTTP_ACCESS_LINE_MAX 4080
/* Bytes of a line that one value may take; longer ones end in "...". */
#define HTTP_ACCESS_TARGET_MAX 1792
#define HTTP_ACCESS_REFERER_MAX 768
#define HTTP_ACCESS_AGENT_MAX 512
#define HTTP_ACCESS_WORD_MAX 128 /* tokens, TLS name */
#define HTTP_ACCESS_SHORT_MAX 40 /* method, version, TLS suite */

enum http_access_format {
	HTTP_ACCESS_OFF,
	HTTP_ACCESS_TEXT,
	HTTP_ACCESS_JSON,
};

/* The second that was written last; zeroes at first. */
struct http_access_clock {
	int64_t second;
	char text[40];
	size_t len;
};

/* What is known when a request was read, also when it is none. */
struct http_access_request {
	int64_t at_us; /* wall clock */
	const struct addr *client;
	struct span line; /* its first line, as sent, without its end */
	bool has_referer, has_agent;
	struct span referer, agent;
	struct span server, token; /* empty: the target names none */
	const char *tls_suite;	   /* NULL: not over TLS */
	struct span tls_name;	   /* as the client sent it; empty: none */
	unsigned int worker;
};

enum http_access_kind {
	HTTP_ACCESS_NONE,
	HTTP_ACCESS_OPEN,
	HTTP_ACCESS_CLICK,
};

/* What became of the event until the answer left. */
enum http_access_event {
	HTTP_ACCESS_NO_EVENT,
	HTTP_ACCESS_QUEUED, /* on its way; nobody waited for it */
	HTTP_ACCESS_STORED,
	HTTP_ACCESS_LATE, /* on its way; waited for in vain */
	HTTP_ACCESS_LOST,
};

struct http_access_answer {
	int status;
	size_t bytes; /* of the body */
	enum http_access_kind kind;
	enum http_access_event event;
	uint64_t took_us;
};

/* The part of the request in its two halves, one behind the other. */
struct http_access_part {
	uint8_t text[HTTP_ACCESS_LINE_MAX];
	uint16_t front_len, len;
};

void http_access_begin(enum http_access_format format,
    struct http_access_clock *clock, const struct http_access_request *r,
    struct http_access_part *part);

/*
 * Writes the line and its newline. When it does not fit, w->full is set and
 * w->len is as before.
 */
void http_access_end(enum http_access_format format,
    const struct http_access_part *part, const struct http_access_answer *a,
    struct writer *w);

/*
 * The first line of a head, or of what came of it: up to its end or that of
 * the bytes; one empty line before it is left out.
 */
struct span http_access_first_line(struct span head);

/* Whether these are lines as this file makes them: valid UTF-8 without control
 * characters, and a newline at the end of each, also of the last. */
bool http_access_are_lines(struct span lines);

#endif
