/*
 * forward.c - `postal-tracker forward`
 */
#include "forward/forward.h"

#include <sysexits.h>

#include "cli/internal.h"

int
command_forward(int argc, char **argv)
{
	struct options o;

	if (options_parse(&o, argc, argv, OPTION_CONFIG) != 0)
		return EX_USAGE;
	return forward_run(o.config);
}
