/*
 * main.c - command or role name to entry function
 *
 * One executable: what people type is a command; what the monitor starts is
 * a role, recognised by its argv[0] ("postal-tracker: web[0]").
 */
#include <stddef.h>
#include <string.h>

#include "admin/admin.h"
#include "base/array.h"
#include "cli/cli.h"
#include "keeper/keeper.h"
#include "logger/logger.h"
#include "sandbox/sandbox.h"
#include "store/store.h"
#include "web/web.h"

#define ROLE_PREFIX "postal-tracker: "

static const struct {
	const char *name;
	int (*main)(const char *argv0);
} roles[] = {
    {"web[", web_main},
    {"store[", store_main},
    {"keeper[", keeper_main},
    {"admin[", admin_main},
    {"logger[", logger_main},
};

static const struct cli_library libraries[] = {
    {"libseccomp", sandbox_library_version},
    {"sqlite", store_library_version},
    {NULL, NULL},
};

int
main(int argc, char **argv)
{
	size_t prefix = strlen(ROLE_PREFIX);

	if (argc == 1 && strncmp(argv[0], ROLE_PREFIX, prefix) == 0) {
		const char *name = argv[0] + prefix;

		for (size_t i = 0; i < ARRAY_LENGTH(roles); i++)
			if (strncmp(name, roles[i].name,
				strlen(roles[i].name)) == 0)
				return roles[i].main(argv[0]);
	}
	return cli_main(argc, argv, libraries);
}
