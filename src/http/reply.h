/*
 * reply.h - the answers, and how they look on the wire
 *
 * Pure: a reply is a list of borrowed parts for one writev. All heads are
 * rendered once when a worker starts; only the date, the connection header,
 * a redirect's Location and a content that the caller has vary.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/span.h"

enum http_reply {
	HTTP_REPLY_PICTURE,
	HTTP_REPLY_REDIRECT, /* 307, needs a location */
	HTTP_REPLY_HELLO,
	HTTP_REPLY_ROBOTS,
	HTTP_REPLY_UNKNOWN_SERVER, /* 404 Invalid Server Token */
	HTTP_REPLY_UNKNOWN_LINK,   /* 404 Link not found */
	HTTP_REPLY_CHALLENGE,	   /* 200, needs a content */
	HTTP_REPLY_NO_CHALLENGE,   /* 404 Verification not found */
	HTTP_REPLY_UNAVAILABLE,	   /* 503, Retry-After, page that tries again */
	/* Of the admin listener; each needs a content. */
	HTTP_REPLY_FINE,	       /* 200, a line */
	HTTP_REPLY_METRICS,	       /* 200, Prometheus' text format */
	HTTP_REPLY_NOT_FOUND,	       /* 404, a line */
	HTTP_REPLY_NOT_READY,	       /* 503, a line */
	HTTP_REPLY_BAD_REQUEST,	       /* 400 */
	HTTP_REPLY_METHOD_NOT_ALLOWED, /* 405, Allow */
	HTTP_REPLY_TIMEOUT,	       /* 408 */
	HTTP_REPLY_TARGET_TOO_LONG,    /* 414 */
	HTTP_REPLY_HEADER_TOO_LARGE,   /* 431 */
	HTTP_REPLY_NOT_IMPLEMENTED,    /* 501 */
	HTTP_REPLY_VERSION,	       /* 505 */
	HTTP_REPLY_N,
};

#define HTTP_REPLY_PARTS 6
/* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL. */
#define HTTP_DATE_SIZE 30

struct http_reply_options {
	struct span location; /* of a redirect; from http_location_encode */
	struct span content;  /* of a reply that needs one: its body */
	char length[12];      /* of content; filled in here */
	bool head;	      /* the request was HEAD: no body */
	bool keep_alive;      /* the connection stays open */
	uint8_t minor;	      /* of the request: 1.0 has to be told so */
	const char *date;     /* HTTP_DATE_SIZE - 1 characters */
};

/* Heads rendered once: all of them, for as long as the process lives. */
struct http_replies {
	struct http_reply_text {
		char head[448]; /* up to and with "Date: " */
		size_t head_len;
		struct span body;
	} of[HTTP_REPLY_N];
};

void http_replies_init(struct http_replies *all);

/* The reply of a status that http_request_parse gave. */
enum http_reply http_reply_of_status(int status);

/* Fills parts, which borrow constants and the options; returns how many. */
int http_reply_render(const struct http_replies *all, enum http_reply reply,
    struct http_reply_options *options, struct iovec parts[HTTP_REPLY_PARTS]);

/* Copies what is left of the parts behind the bytes that were sent to out,
 * when that is not NULL; returns how many bytes that are. */
size_t http_reply_rest(
    const struct iovec *parts, int n, size_t sent, uint8_t *out);

/* Status code of a reply, for the log and the counters. */
int http_reply_status(enum http_reply reply);

/* IMF-fixdate of RFC 9110, section 5.6.7; seconds since 1970. */
void http_date_format(int64_t seconds, char date[HTTP_DATE_SIZE]);

enum http_location {
	HTTP_LOCATION_OK,
	HTTP_LOCATION_SCHEME, /* empty, or neither http: nor https: */
	HTTP_LOCATION_SPACE,  /* does not fit into out */
};

/*
 * A stored URL as it may stand in Location: bytes outside printable ASCII and
 * space " < > \ ^ ` { | } percent-encoded, nothing else touched (a percent
 * sign stays as it is). The scheme is compared without case and has to be
 * followed by "//". out has to hold up to three times url.len.
 */
enum http_location http_location_encode(struct span url, struct writer *out);

#endif
