/*
 * target.h - what a request target asks for: the token decoder
 *
 * Pure. Postal matches prefixes of the raw path, without decoding anything,
 * ASCII letters without case; everything after the second word is ignored,
 * because mail clients and gateways append junk to links.
 */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "base/span.h"

enum http_route {
	HTTP_ROUTE_OTHER,  /* "Hello." */
	HTTP_ROUTE_ROBOTS, /* /robots.txt */
	HTTP_ROUTE_OPEN,   /* /img/<server>/<message> */
	HTTP_ROUTE_CLICK,  /* /<server>/<link> */
};

struct http_target {
	enum http_route route;
	struct span server; /* token, as sent; borrows the target */
	struct span token;  /* message or link token, as sent */
};

/* Origin form ("/a/b?c") or absolute form ("http://host/a/b?c"); whatever
 * else is HTTP_ROUTE_OTHER. Never fails. */
struct http_target http_target_decode(struct span target);

#endif
