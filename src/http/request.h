/*
 * request.h - the head of an HTTP/1 request, parsed strictly
 *
 * Pure: no allocation, no copies, no descriptors. The parser is given the
 * bytes that have arrived so far, again and again from the same start, until
 * it says that the head is complete or wrong. It looks at each byte once, so
 * that a client that sends a byte a minute costs nothing.
 *
 * Source: RFC 9110, RFC 9112. Stricter where admired servers are lenient: no
 * obs-fold, no bare CR or LF, no NUL or other control in a value, no space
 * before a colon, exactly one valid Host in HTTP/1.1, no body.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* The limits of Postal's own server: of the path, of the query behind it, and
 * of both together. */
#define HTTP_PATH_MAX 8192
#define HTTP_QUERY_MAX 10240
#define HTTP_TARGET_MAX 12288
#define HTTP_FIELDS_MAX 100
/* Lines of X-Forwarded-For that are kept, the last ones; the ones before
 * them are as if they were garbage. */
#define HTTP_FORWARDED_MAX 16

enum http_method {
	HTTP_METHOD_GET = 1,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_OTHER, /* known, but not served here: 405 */
};

enum http_parse {
	HTTP_PARSE_MORE, /* the head is not complete */
	HTTP_PARSE_DONE,
	HTTP_PARSE_WRONG, /* answer `status`, then close */
};

struct http_request {
	/* Results, valid after HTTP_PARSE_DONE; spans borrow the buffer. */
	enum http_method method;
	uint8_t minor;	    /* HTTP/1.minor, 0 or 1 */
	bool keep_alive;    /* after this request */
	struct span target; /* as sent: origin form, absolute form or "*" */
	struct span user_agent, referer;
	bool has_user_agent, has_referer;
	size_t n_forwarded;
	size_t head_len; /* bytes up to and with the empty line */

	/* After HTTP_PARSE_WRONG: 400, 405, 414, 431, 501 or 505. */
	int status;

	/* The parser's own; places, because the buffer may move. */
	size_t scanned;	   /* bytes already looked at */
	size_t line_start; /* 2 behind an empty first line, else 0 */
	size_t lines_end;  /* behind the last complete line */
	size_t n_fields;
	bool have_line; /* the request line was read */
	bool has_host;
	bool has_length, has_coding, has_body;
	bool close_asked, keep_asked;

	/* X-Forwarded-For, in order of arrival; last, because it need not be
	 * cleared. */
	struct span forwarded[HTTP_FORWARDED_MAX];
};

/* Ready for the next request of a connection. */
void http_request_init(struct http_request *r);

/*
 * bytes: everything since the start of the request; max_head: its limit in
 * bytes (431, or 414 when the request line alone passes it or HTTP_TARGET_MAX).
 * However the bytes are cut, what is said in the end is the same.
 * The bytes behind head_len belong to the next request.
 */
enum http_parse http_request_parse(
    struct http_request *r, struct span bytes, size_t max_head);

#endif
