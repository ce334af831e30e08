/*
 * addr.c - IP addresses, ports and networks
 *
 * Pure; used by every process.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool
addr_is_v4(const struct addr *a)
{
	return memcmp(a->ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool
addr_is_any(const struct addr *a)
{
	static const uint8_t zero[16];
	size_t from = addr_is_v4(a) ? sizeof(v4_prefix) : 0;

	return memcmp(a->ip + from, zero, sizeof(zero) - from) == 0;
}

int
addr_parse(struct span text, struct addr *a)
{
	char copy[ADDR_TEXT_SIZE];
	struct addr parsed;

	if (span_to_text(text, copy, sizeof(copy)) != 0)
		return -1;
	memcpy(parsed.ip, v4_prefix, sizeof(v4_prefix));
	if (inet_pton(AF_INET, copy, parsed.ip + sizeof(v4_prefix)) != 1 &&
	    inet_pton(AF_INET6, copy, parsed.ip) != 1)
		return -1;
	*a = parsed;
	return 0;
}

void
addr_format(const struct addr *a, char text[ADDR_TEXT_SIZE])
{
	const char *done;

	if (addr_is_v4(a))
		done = inet_ntop(
		    AF_INET, a->ip + sizeof(v4_prefix), text, ADDR_TEXT_SIZE);
	else
		done = inet_ntop(AF_INET6, a->ip, text, ADDR_TEXT_SIZE);
	assert(done != NULL);
}

bool
endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port &&
	       a->scope == b->scope;
}

int
endpoint_parse(struct span text, struct endpoint *e)
{
	struct span host = text;
	struct endpoint parsed = {0};
	uint64_t port;
	size_t colon = text.len;

	while (colon > 0 && text.p[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return -1;
	host.len = colon - 1;
	if (number_parse((struct span){text.p + colon, text.len - colon}, 1,
		UINT16_MAX, &port) != 0)
		return -1;
	if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']') {
		host.p++;
		host.len -= 2;
	} else if (memchr(host.p, ':', host.len) != NULL) {
		return -1;
	}
	if (addr_parse(host, &parsed.addr) != 0)
		return -1;
	parsed.port = (uint16_t)port;
	*e = parsed;
	return 0;
}

void
endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT_SIZE])
{
	char host[ADDR_TEXT_SIZE];

	addr_format(&e->addr, host);
	(void)snprintf(text, ENDPOINT_TEXT_SIZE,
	    addr_is_v4(&e->addr) ? "%s:%u" : "[%s]:%u", host, e->port);
}

int
endpoint_from_sockaddr(const struct sockaddr_storage *sa, struct endpoint *e)
{
	struct endpoint out = {0};

	if (sa->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		memcpy(out.addr.ip, v4_prefix, sizeof(v4_prefix));
		memcpy(out.addr.ip + sizeof(v4_prefix), &in.sin_addr, 4);
		out.port = ntohs(in.sin_port);
	} else if (sa->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		memcpy(out.addr.ip, &in6.sin6_addr, sizeof(out.addr.ip));
		out.port = ntohs(in6.sin6_port);
		out.scope = in6.sin6_scope_id;
	} else {
		return -1;
	}
	*e = out;
	return 0;
}

socklen_t
endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *sa)
{
	memset(sa, 0, sizeof(*sa));
	if (addr_is_v4(&e->addr)) {
		struct sockaddr_in in = {.sin_family = AF_INET};

		in.sin_port = htons(e->port);
		memcpy(&in.sin_addr, e->addr.ip + sizeof(v4_prefix), 4);
		memcpy(sa, &in, sizeof(in));
		return sizeof(in);
	}
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	in6.sin6_port = htons(e->port);
	in6.sin6_scope_id = e->scope;
	memcpy(&in6.sin6_addr, e->addr.ip, sizeof(e->addr.ip));
	memcpy(sa, &in6, sizeof(in6));
	return sizeof(in6);
}

/* A copy of a with all bits below the prefix cleared. */
static struct addr
mask(const struct addr *a, uint8_t prefix)
{
	struct addr out = *a;

	for (size_t i = 0; i < sizeof(out.ip); i++) {
		size_t first_bit = i * 8;

		if (first_bit >= prefix)
			out.ip[i] = 0;
		else if (prefix - first_bit < 8)
			out.ip[i] &= (uint8_t)(0xff00 >> (prefix - first_bit));
	}
	return out;
}

int
network_parse(struct span text, struct network *n, struct err *e)
{
	const uint8_t *slash =
	    text.len > 0 ? memchr(text.p, '/', text.len) : NULL;
	struct span host = text;
	struct network parsed;
	struct addr masked;
	uint64_t bits = 0;
	bool v4;

	if (slash != NULL)
		host.len = (size_t)(slash - text.p);
	if (addr_parse(host, &parsed.addr) != 0)
		return err_set(e,
		    "is neither an address (192.0.2.1, 2001:db8::1) nor a "
		    "network (192.0.2.0/24)");
	v4 = memchr(host.p, ':', host.len) == NULL;
	if (slash == NULL)
		bits = v4 ? 32 : 128;
	else if (number_parse((struct span){slash + 1, text.len - host.len - 1},
		     0, v4 ? 32 : 128, &bits) != 0)
		return err_set(
		    e, "has a prefix length outside 0 to %d", v4 ? 32 : 128);
	parsed.prefix = (uint8_t)(v4 ? bits + 96 : bits);
	masked = mask(&parsed.addr, parsed.prefix);
	if (!addr_equal(&masked, &parsed.addr)) {
		struct network meant = {masked, parsed.prefix};
		char shown[NETWORK_TEXT_SIZE];

		network_format(&meant, shown);
		return err_set(
		    e, "has bits set beyond its prefix; write %s", shown);
	}
	*n = parsed;
	return 0;
}

void
network_format(const struct network *n, char text[NETWORK_TEXT_SIZE])
{
	char host[ADDR_TEXT_SIZE];
	bool v4 = addr_is_v4(&n->addr) && n->prefix >= 96;

	addr_format(&n->addr, host);
	if (n->prefix == 128)
		(void)snprintf(text, NETWORK_TEXT_SIZE, "%s", host);
	else
		(void)snprintf(text, NETWORK_TEXT_SIZE, "%s/%d", host,
		    v4 ? n->prefix - 96 : n->prefix);
}

bool
network_contains(const struct network *n, const struct addr *a)
{
	bool n_v4 = n->prefix >= 96 && addr_is_v4(&n->addr);
	struct addr masked = mask(a, n->prefix);

	/* ::/0 means every IPv6 address, not the mapped IPv4 ones too. */
	return n_v4 == addr_is_v4(a) && addr_equal(&masked, &n->addr);
}

bool
networks_contain(const struct network *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (network_contains(&list[i], a))
			return true;
	return false;
}
