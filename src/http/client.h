/*
 * client.h - who asked: PROXY header and forwarded list
 *
 * Pure. Nothing that a client sends is believed unless it came through a
 * trusted proxy; garbage ends the walk and never the answer.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/addr.h"
#include "base/span.h"
#include "http/request.h"

/* The longest PROXY header accepted: v1 has 107 bytes, v2 16 + 2 KB of TLVs. */
#define HTTP_PROXY_HEADER_MAX 2064

enum http_proxy {
	HTTP_PROXY_MORE,    /* could be a header; more bytes are needed */
	HTTP_PROXY_ABSENT,  /* the bytes are something else */
	HTTP_PROXY_ADDRESS, /* header_len bytes, client is set */
	HTTP_PROXY_LOCAL,   /* header_len bytes; the proxy speaks for itself
			     * (v2 LOCAL, v1 UNKNOWN, v2 other families) */
	HTTP_PROXY_BAD,	    /* begins like a header and is broken */
};

/*
 * PROXY protocol v1 or v2 at the start of bytes. Source: "The PROXY protocol,
 * Versions 1 & 2" by Willy Tarreau.
 */
enum http_proxy http_proxy_parse(
    struct span bytes, size_t *header_len, struct addr *client);

/*
 * Walks X-Forwarded-For from the right, starting at peer: as long as the
 * address so far is in trusted, the next element replaces it. Elements are
 * separated by commas, spaces and tabs; an address, IPv4 with a port, or IPv6
 * in brackets with or without one. The first element that is none of these
 * ends the walk. If all are trusted, the left-most is the client.
 */
struct addr http_client_address(const struct http_request *r, struct addr peer,
    const struct network *trusted, size_t n_trusted);

#endif
