/*
 * bind.c - `postal-tracker bind`
 */
#include "binder/binder.h"

#include <sysexits.h>

#include "cli/internal.h"

int
command_bind(int argc, char **argv)
{
	if (argc > 1)
		return cli_usage_error(argv[0], "takes no arguments");
	return binder_run();
}
