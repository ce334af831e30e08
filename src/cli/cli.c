/*
 * cli.c - what people type: the table of commands
 *
 * To add a command: a function in internal.h, a row here, a file of its own.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/array.h"
#include "cli/internal.h"

static int command_help(int argc, char **argv);

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage, *does;
} commands[] = {
    {"run", command_run, "run [-c FILE]",
	"the daemon, in the foreground, log on stderr"},
    {"forward", command_forward, "forward [-c FILE]",
	"the forwarder to Postal's MySQL, in the foreground"},
    {"bind", command_bind, "bind",
	"the binder, which opens ports for the daemon; systemd starts it"},
    {"check", command_check, "check [-c FILE] [--json]",
	"configuration, machine, database, certificates, daemon: a line each, "
	"with the remedy"},
    {"selftest", command_selftest,
	"selftest [-c FILE] [--json] [--server TOKEN] [--url URL]",
	"play one open and one click, show where they arrive, leave nothing"},
    {"config", command_config, "config [-c FILE]",
	"the configuration in effect, and where each value comes from"},
    {"status", command_status,
	"status [-c FILE] [--json] [--all] [--watch [SECONDS]]",
	"the running daemon: what it serves, holds and counts; exit code 0 "
	"when it stores events, 75 when not, 69 without a daemon"},
    {"events", command_events,
	"events [-c FILE] [--json] [--follow] [--since SEQ]",
	"the opens and clicks in the spool"},
    {"link", command_link,
	"link add [-c FILE] --server TOKEN [--token TOKEN] URL",
	"add a link (stand-alone use), print its URL path"},
    {"sql", command_sql, "sql [-c FILE]",
	"the SQL that creates the ledger and the forwarder's least grants"},
    {"domains", command_domains,
	"domains [-c FILE] [--json] [--needing] [--target NAME]... [--state "
	"DIR]",
	"Postal's tracking domains, and what each needs for HTTPS"},
    {"import-config", command_import_config,
	"import-config [--password-file PATH | --show-password] [FILE]",
	"print tracker.conf as Postal's postal.yml and environment have it"},
    {"version", NULL, "version", "version, build flags, libraries"},
    {"help", command_help, "help", "this text"},
};

static void
print_usage(FILE *out)
{
	(void)fprintf(out, "usage: postal-tracker COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		(void)fprintf(out, "  postal-tracker %s\n      %s\n",
		    commands[i].usage, commands[i].does);
	(void)fprintf(out,
	    "\nWithout -c, %s is read; built-in defaults when there is "
	    "none.\n",
	    config_default_path());
}

static int
command_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print_usage(stdout);
	return EX_OK;
}

int
cli_usage_error(const char *command, const char *what)
{
	(void)fprintf(stderr, "postal-tracker %s: %s\n", command, what);
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (strcmp(commands[i].name, command) == 0)
			(void)fprintf(stderr, "usage: postal-tracker %s\n",
			    commands[i].usage);
	return EX_USAGE;
}

int
cli_main(int argc, char **argv, const struct cli_library *libraries)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0)
		return cli_print_version(libraries);
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (argc > 1)
		(void)fprintf(stderr,
		    "postal-tracker: there is no command \"%s\"\n\n", name);
	print_usage(stderr);
	return EX_USAGE;
}
