/*
 * target.h - what a request target asks for: the token decoder
 *
 * Pure. Postal matches prefixes of the raw path, without decoding anything,
 * ASCII letters without case; everything after the second word is ignored,
 * because mail clients and gateways append junk to links. The path of an ACME
 * challenge (RFC 8555, section 8.3) is taken as a whole, case included: its
 * token consists of the characters of base64url and nothing follows it.
 */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "base/span.h"

enum http_route {
	HTTP_ROUTE_OTHER,     /* "Hello." */
	HTTP_ROUTE_ROBOTS,    /* /robots.txt */
	HTTP_ROUTE_OPEN,      /* /img/<server>/<message> */
	HTTP_ROUTE_CLICK,     /* /<server>/<link> */
	HTTP_ROUTE_CHALLENGE, /* /.well-known/acme-challenge/<token> */
};

struct http_target {
	enum http_route route;
	struct span server; /* token, as sent; borrows the target */
	/* Message or link token, as sent; of a challenge empty when what
	 * stands there cannot be one. */
	struct span token;
};

/* The longest token of an ACME challenge that is looked for. */
#define HTTP_CHALLENGE_TOKEN_MAX 128

/* The length of "http://" or "https://" at the front, without case; 0: it is
 * neither. */
size_t http_scheme_len(struct span url);

/* The raw path: without scheme and authority, and without the query, which is
 * what stands behind the first "?"; *query (may be NULL): it, or empty. */
struct span http_target_path(struct span target, struct span *query);

/* Origin form ("/a/b?c") or absolute form ("http://host/a/b?c"); whatever
 * else is HTTP_ROUTE_OTHER. Never fails. */
struct http_target http_target_decode(struct span target);

#endif
