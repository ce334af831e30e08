/*
 * address.c - what the kernel says of an IPv6 address of this machine
 *
 * Run by the monitor when a bind fails and by `check`.
 */
#include "monitor/address.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Source: linux/if_addr.h, which cannot be included beside the C library's
 * headers everywhere. */
#define FLAG_DUPLICATE 0x08
#define FLAG_TENTATIVE 0x40

static bool
parse_hex(const char *hex, struct addr *a)
{
	if (strlen(hex) != 2 * sizeof(a->ip))
		return false;
	for (size_t i = 0; i < sizeof(a->ip); i++) {
		char byte[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

		a->ip[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return true;
}

enum address_state
address_find_v6(const struct addr *a)
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	enum address_state state = ADDRESS_MISSING;
	char line[128], hex[33];

	while (f != NULL && state == ADDRESS_MISSING &&
	       fgets(line, sizeof(line), f) != NULL) {
		unsigned int flags;
		struct addr have;

		if (sscanf(line, "%32[0-9a-f] %*x %*x %*x %x", hex, &flags) !=
			2 ||
		    !parse_hex(hex, &have) || !addr_equal(&have, a))
			continue;
		state = (flags & FLAG_DUPLICATE) != 0	? ADDRESS_DUPLICATE
			: (flags & FLAG_TENTATIVE) != 0 ? ADDRESS_TENTATIVE
							: ADDRESS_THERE;
	}
	if (f != NULL)
		(void)fclose(f);
	return state;
}
