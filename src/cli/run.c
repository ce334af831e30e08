/*
 * run.c - `postal-tracker run`
 */
#include <sysexits.h>

#include "cli/internal.h"
#include "monitor/monitor.h"

int
command_run(int argc, char **argv)
{
	struct options o;

	if (options_parse(&o, argc, argv, OPTION_CONFIG) != 0)
		return EX_USAGE;
	return monitor_run(o.config);
}
