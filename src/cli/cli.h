/*
 * cli.h - what people type
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* Runs the command of argv; returns an exit code of sysexits.h. */
int cli_main(int argc, char **argv);

#endif
