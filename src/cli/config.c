/*
 * config.c - `postal-tracker config`: what is in effect, and why
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/internal.h"

static void
print_origin(const struct config_origins *origins, size_t i)
{
	if (origins->of[i].file[0] == '\0')
		(void)printf("  ; default\n");
	else
		(void)printf(
		    "  ; %s:%u\n", origins->of[i].file, origins->of[i].line);
}

int
command_config(int argc, char **argv)
{
	struct config_origins *origins = calloc(1, sizeof(*origins));
	const char *section = "";
	struct options o;
	struct config *c;
	char value[CONFIG_VALUE_SIZE];

	if (origins == NULL)
		return EX_OSERR;
	if (options_parse(&o, argc, argv, OPTION_CONFIG) != 0) {
		free(origins);
		return EX_USAGE;
	}
	c = options_load_config(&o, origins);
	for (size_t i = 0; c != NULL && i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];

		if (strcmp(d->section, section) != 0)
			(void)printf(
			    "%s[%s]\n", i == 0 ? "" : "\n", d->section);
		section = d->section;
		config_format_value(c, d, value, sizeof(value));
		(void)printf("%s = %s", d->key, value);
		print_origin(origins, i);
	}
	free(origins);
	if (c == NULL)
		return EX_CONFIG;
	free(c);
	return EX_OK;
}
