/*
 * cli.h - what people type
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* A library that some room uses, for `version`; a NULL name ends the list. */
struct cli_library {
	const char *name;
	const char *(*version)(void);
};

/* Runs the command of argv; returns an exit code of sysexits.h. */
int cli_main(int argc, char **argv, const struct cli_library *libraries);

#endif
