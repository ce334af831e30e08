/*
 * resolver.c - what looking up names needs, brought in before the jail
 *
 * Runs in the forwarder before its jail, in which no library can be loaded.
 */
#include "forward/resolver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NSSWITCH "/etc/nsswitch.conf"
#define NAME_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

/* A look-up is bounded by this times the number of name servers. */
#define RESOLVER_LIMITS "timeout:2 attempts:2"

/* The handle is kept: the library stays. One that the C library has built in
 * ("files", "dns") is simply not found. */
static void
load_module(const char *name, size_t len)
{
	char soname[64];

	if (len == 0 || len > 32)
		return;
	(void)snprintf(
	    soname, sizeof(soname), "libnss_%.*s.so.2", (int)len, name);
	(void)dlopen(soname, RTLD_NOW | RTLD_LOCAL);
}

/* "files mdns4_minimal [NOTFOUND=return] dns # comment" */
static void
load_modules(const char *p)
{
	while (*p != '\0' && *p != '#') {
		size_t len = strspn(p, NAME_CHARACTERS);

		if (*p == '[') {
			p += strcspn(p, "]");
			continue;
		}
		load_module(p, len);
		p += len > 0 ? len : 1;
	}
}

void
resolver_prepare(void)
{
	FILE *f = fopen(NSSWITCH, "re");
	char line[1024];

	/* One thread so far, and nobody has asked for a name. */
	(void)setenv("RES_OPTIONS", RESOLVER_LIMITS, 0);
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		const char *p = line + strspn(line, " \t");

		if (strncmp(p, "hosts:", 6) == 0)
			load_modules(p + 6);
	}
	(void)fclose(f);
}
