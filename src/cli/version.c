/*
 * version.c - `postal-tracker version`
 */
#include <stdio.h>
#include <sysexits.h>

#include "cli/internal.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

int
cli_print_version(const struct cli_library *libraries)
{
	(void)printf("postal-tracker %s\n", TRACKER_VERSION);
	(void)printf("compiler: %s\n", COMPILER);
	(void)printf("flags: %s\n", TRACKER_FLAGS);
	for (; libraries->name != NULL; libraries++)
		(void)printf("%s: %s\n", libraries->name, libraries->version());
	return EX_OK;
}
