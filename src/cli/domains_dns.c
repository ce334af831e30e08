/*
 * domains_dns.c - whether a name leads to this machine
 *
 * Run by `postal-tracker domains`, as whoever typed it.
 */
#include "cli/domains.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <string.h>

static void
add(struct domains_addresses *a, const struct addr *addr)
{
	for (size_t i = 0; i < a->n; i++)
		if (addr_equal(&a->list[i], addr))
			return;
	if (a->n < DOMAINS_HERE_MAX)
		a->list[a->n++] = *addr;
}

static int
addr_of(const struct sockaddr *sa, socklen_t len, struct addr *addr)
{
	struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
	struct endpoint at;

	if (sa == NULL ||
	    (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return -1;
	if (len == 0)
		len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					       : sizeof(struct sockaddr_in6);
	memcpy(&storage, sa, len < sizeof(storage) ? len : sizeof(storage));
	if (endpoint_from_sockaddr(&storage, &at) != 0)
		return -1;
	*addr = at.addr;
	return 0;
}

int
domains_own_addresses(struct domains_addresses *a, struct err *e)
{
	struct ifaddrs *all;
	struct addr addr;

	a->n = 0;
	if (getifaddrs(&all) != 0)
		return err_errno(
		    e, "cannot read the addresses of this machine");
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		if (addr_of(i->ifa_addr, 0, &addr) == 0)
			add(a, &addr);
	freeifaddrs(all);
	return 0;
}

static const char *
look_up(const char *name, struct addrinfo **found)
{
	const struct addrinfo hints = {
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	int failed = getaddrinfo(name, NULL, &hints, found);

	return failed == 0 ? NULL : gai_strerror(failed);
}

int
domains_add_target(
    struct domains_addresses *a, const char *target, struct err *e)
{
	struct addrinfo *found = NULL;
	const char *failed;
	struct addr addr;

	if (addr_parse(span_of(target), &addr) == 0) {
		add(a, &addr);
		return 0;
	}
	failed = look_up(target, &found);
	if (failed != NULL)
		return err_set(e, "%s: %s", target, failed);
	for (const struct addrinfo *i = found; i != NULL; i = i->ai_next)
		if (addr_of(i->ai_addr, i->ai_addrlen, &addr) == 0)
			add(a, &addr);
	freeaddrinfo(found);
	return 0;
}

static bool
is_here(const struct domains_addresses *here, const struct addr *addr)
{
	for (size_t i = 0; i < here->n; i++)
		if (addr_equal(&here->list[i], addr))
			return true;
	return false;
}

void
domains_resolve(struct domains_dns *dns, const char *name,
    const struct domains_addresses *here)
{
	struct addrinfo *found = NULL;
	const char *failed = look_up(name, &found);

	*dns = (struct domains_dns){.asked = true};
	if (failed != NULL)
		(void)span_to_text(
		    span_of(failed), dns->error, sizeof(dns->error));
	dns->here = failed == NULL;
	for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
		struct addr addr;

		if (addr_of(i->ai_addr, i->ai_addrlen, &addr) != 0 ||
		    dns->n == DOMAINS_ADDRESSES_MAX)
			continue;
		dns->list[dns->n] = addr;
		dns->own[dns->n] = is_here(here, &addr);
		dns->here = dns->here && dns->own[dns->n];
		dns->n++;
	}
	if (found != NULL)
		freeaddrinfo(found);
	dns->here = dns->here && dns->n > 0;
}
