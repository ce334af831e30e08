/*
 * client.c - who asked: PROXY header and forwarded list
 *
 * Pure; run by the web worker on what proxies and strangers send.
 */
#include "http/client.h"

#include <string.h>

#include "base/number.h"

static const uint8_t v2_signature[12] = {
    '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

#define V1_MAX 107
#define V2_HEADER 16

/* --- PROXY, version 1: one line of text -------------------------------- */

/* The bytes up to the next space, which is taken too. */
static struct span
take_field(struct span *line)
{
	const uint8_t *space =
	    line->len == 0 ? NULL : memchr(line->p, ' ', line->len);
	struct span field = *line;

	if (space == NULL) {
		line->len = 0;
		return field;
	}
	field.len = (size_t)(space - line->p);
	line->p += field.len + 1;
	line->len -= field.len + 1;
	return field;
}

static bool
is_address_of(struct span text, bool v4, struct addr *a)
{
	bool has_colon = text.len > 0 && memchr(text.p, ':', text.len) != NULL;

	return has_colon != v4 && addr_parse(text, a) == 0;
}

static enum http_proxy
parse_v1_line(struct span line, struct addr *client)
{
	struct span family;
	struct addr source, destination;
	uint64_t port;
	bool v4;

	(void)take_field(&line); /* PROXY */
	family = take_field(&line);
	if (span_equal(family, span_of("UNKNOWN")))
		return HTTP_PROXY_LOCAL;
	v4 = span_equal(family, span_of("TCP4"));
	if ((!v4 && !span_equal(family, span_of("TCP6"))) ||
	    !is_address_of(take_field(&line), v4, &source) ||
	    !is_address_of(take_field(&line), v4, &destination) ||
	    number_parse(take_field(&line), 0, UINT16_MAX, &port) != 0 ||
	    number_parse(line, 0, UINT16_MAX, &port) != 0)
		return HTTP_PROXY_BAD;
	*client = source;
	return HTTP_PROXY_ADDRESS;
}

static enum http_proxy
parse_v1(struct span bytes, size_t *header_len, struct addr *client)
{
	size_t seen = bytes.len < V1_MAX ? bytes.len : V1_MAX;
	const uint8_t *end = memchr(bytes.p, '\n', seen);
	struct span line;

	if (end == NULL)
		return bytes.len < V1_MAX ? HTTP_PROXY_MORE : HTTP_PROXY_BAD;
	line = (struct span){bytes.p, (size_t)(end - bytes.p)};
	*header_len = line.len + 1;
	if (line.len == 0 || line.p[line.len - 1] != '\r')
		return HTTP_PROXY_BAD;
	line.len--;
	return parse_v1_line(line, client);
}

/* --- PROXY, version 2: binary ------------------------------------------ */

static enum http_proxy
parse_v2_address(uint8_t family, struct span body, struct addr *client)
{
	struct addr a;

	if (family == 0x11) { /* TCP over IPv4 */
		if (body.len < 12)
			return HTTP_PROXY_BAD;
		memset(a.ip, 0, 10);
		memset(a.ip + 10, 0xff, 2);
		memcpy(a.ip + 12, body.p, 4);
	} else if (family == 0x21) { /* TCP over IPv6 */
		if (body.len < 36)
			return HTTP_PROXY_BAD;
		memcpy(a.ip, body.p, sizeof(a.ip));
	} else {
		return HTTP_PROXY_LOCAL;
	}
	*client = a;
	return HTTP_PROXY_ADDRESS;
}

static enum http_proxy
parse_v2(struct span bytes, size_t *header_len, struct addr *client)
{
	uint8_t version_command, family;
	size_t len;

	if (bytes.len < V2_HEADER)
		return HTTP_PROXY_MORE;
	version_command = bytes.p[12];
	family = bytes.p[13];
	len = (size_t)bytes.p[14] << 8 | bytes.p[15];
	if ((version_command & 0xf0) != 0x20 ||
	    len > HTTP_PROXY_HEADER_MAX - V2_HEADER)
		return HTTP_PROXY_BAD;
	if (bytes.len < V2_HEADER + len)
		return HTTP_PROXY_MORE;
	*header_len = V2_HEADER + len;
	switch (version_command & 0x0f) {
	case 0: /* LOCAL: a health check of the proxy itself */
		return HTTP_PROXY_LOCAL;
	case 1:
		return parse_v2_address(
		    family, (struct span){bytes.p + V2_HEADER, len}, client);
	default:
		return HTTP_PROXY_BAD;
	}
}

/* Whether bytes begin with prefix; MORE when they may yet. */
static enum http_proxy
compare(struct span bytes, struct span prefix)
{
	size_t seen = bytes.len < prefix.len ? bytes.len : prefix.len;

	if (seen > 0 && memcmp(bytes.p, prefix.p, seen) != 0)
		return HTTP_PROXY_ABSENT;
	return seen < prefix.len ? HTTP_PROXY_MORE : HTTP_PROXY_ADDRESS;
}

enum http_proxy
http_proxy_parse(struct span bytes, size_t *header_len, struct addr *client)
{
	enum http_proxy v1 = compare(bytes, span_of("PROXY "));
	enum http_proxy v2 =
	    compare(bytes, (struct span){v2_signature, sizeof(v2_signature)});

	*header_len = 0;
	if (v1 == HTTP_PROXY_ADDRESS)
		return parse_v1(bytes, header_len, client);
	if (v2 == HTTP_PROXY_ADDRESS)
		return parse_v2(bytes, header_len, client);
	return v1 == HTTP_PROXY_MORE || v2 == HTTP_PROXY_MORE
		   ? HTTP_PROXY_MORE
		   : HTTP_PROXY_ABSENT;
}

/* --- X-Forwarded-For --------------------------------------------------- */

static bool
is_separator(uint8_t c)
{
	return c == ',' || c == ' ' || c == '\t';
}

/* Takes the last element off the line; false when none is left. */
static bool
take_last(struct span *line, struct span *element)
{
	size_t end, start;

	while (line->len > 0 && is_separator(line->p[line->len - 1]))
		line->len--;
	end = start = line->len;
	while (start > 0 && !is_separator(line->p[start - 1]))
		start--;
	*element = (struct span){line->p + start, end - start};
	line->len = start;
	return element->len > 0;
}

static bool
is_port(struct span text)
{
	uint64_t port;

	return number_parse(text, 0, UINT16_MAX, &port) == 0;
}

/* "192.0.2.1:443", "[2001:db8::1]", "[2001:db8::1]:443", or bare. */
static int
parse_element(struct span text, struct addr *a)
{
	const uint8_t *close, *colon;
	struct span rest;

	if (text.p[0] == '[') {
		close = memchr(text.p, ']', text.len);
		if (close == NULL)
			return -1;
		rest = (struct span){
		    close + 1, text.len - (size_t)(close + 1 - text.p)};
		if (rest.len > 0 &&
		    (rest.p[0] != ':' ||
			!is_port((struct span){rest.p + 1, rest.len - 1})))
			return -1;
		text = (struct span){text.p + 1, (size_t)(close - text.p) - 1};
		return is_address_of(text, false, a) ? 0 : -1;
	}
	colon = memchr(text.p, ':', text.len);
	if (colon != NULL) {
		struct span host = {text.p, (size_t)(colon - text.p)};

		rest = (struct span){colon + 1, text.len - host.len - 1};
		if (is_port(rest) && is_address_of(host, true, a))
			return 0;
	}
	return addr_parse(text, a);
}

struct addr
http_client_address(const struct http_request *r, struct addr peer,
    const struct network *trusted, size_t n_trusted)
{
	struct addr client = peer;

	for (size_t i = r->n_forwarded; i > 0; i--) {
		struct span line = r->forwarded[i - 1], element;

		while (networks_contain(trusted, n_trusted, &client) &&
		       take_last(&line, &element))
			if (parse_element(element, &client) != 0)
				return client;
		if (!networks_contain(trusted, n_trusted, &client))
			return client;
	}
	return client;
}
