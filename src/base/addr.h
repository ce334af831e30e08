/*
 * addr.h - IP addresses, ports and networks
 *
 * One form for both families: 16 bytes, IPv4 as ::ffff:a.b.c.d. An address
 * that arrives mapped is therefore IPv4 from the first moment on, and is
 * shown as IPv4.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/span.h"

struct addr {
	uint8_t ip[16];
};

/* An address and a port, as a socket is bound to. */
struct endpoint {
	struct addr addr;
	uint16_t port;
	uint32_t scope; /* interface of a link-local address; 0 if none */
};

/* A CIDR network; prefix counts bits of the 16-byte form (IPv4: 96 + n). */
struct network {
	struct addr addr;
	uint8_t prefix;
};

#define ADDR_TEXT_SIZE 46
#define ENDPOINT_TEXT_SIZE 64
#define NETWORK_TEXT_SIZE 50

bool addr_is_v4(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
/* Whether it is 0.0.0.0 or ::. */
bool addr_is_any(const struct addr *a);
/* "192.0.2.1" or "2001:db8::1", without brackets, port or zone. */
int addr_parse(struct span text, struct addr *a);
/* The canonical text (RFC 5952); mapped IPv4 as IPv4. */
void addr_format(const struct addr *a, char text[ADDR_TEXT_SIZE]);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
/* "0.0.0.0:80", "[::]:80"; a port is required. */
int endpoint_parse(struct span text, struct endpoint *e);
void endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT_SIZE]);
/* From and to what the kernel uses; from: -1 when not an IP address. */
int endpoint_from_sockaddr(
    const struct sockaddr_storage *sa, struct endpoint *e);
socklen_t endpoint_to_sockaddr(
    const struct endpoint *e, struct sockaddr_storage *sa);

/* "192.0.2.0/24", "2001:db8::/32" or one address. Bits below the prefix have
 * to be zero: a typing error is an error. */
int network_parse(struct span text, struct network *n, struct err *e);
void network_format(const struct network *n, char text[NETWORK_TEXT_SIZE]);
bool network_contains(const struct network *n, const struct addr *a);
/* Whether any of n networks contains the address. */
bool networks_contain(
    const struct network *list, size_t n, const struct addr *a);

#endif
