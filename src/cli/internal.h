/*
 * internal.h - what the commands share
 */
#ifndef CLI_INTERNAL_H
#define CLI_INTERNAL_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "ipc/counter.h"

/* Each gets argv from its own name on; returns an exit code. */
int command_run(int argc, char **argv);
int command_bind(int argc, char **argv);
int command_forward(int argc, char **argv);
int command_check(int argc, char **argv);
int command_config(int argc, char **argv);
int command_status(int argc, char **argv);
int command_events(int argc, char **argv);
int command_link(int argc, char **argv);
int command_sql(int argc, char **argv);
int command_domains(int argc, char **argv);
int command_selftest(int argc, char **argv);
int command_import_config(int argc, char **argv);

/* Prints what is wrong and the usage of the command; returns EX_USAGE. */
int cli_usage_error(const char *command, const char *what);

int cli_print_version(const struct cli_library *libraries);

/* --- options (options.c) ----------------------------------------------- */

enum option_letter {
	OPTION_CONFIG = 1 << 0, /* -c FILE, --config FILE */
	OPTION_JSON = 1 << 1,
	OPTION_FOLLOW = 1 << 2,
	OPTION_SINCE = 1 << 3,	/* --since SEQ */
	OPTION_SERVER = 1 << 4, /* --server TOKEN */
	OPTION_TOKEN = 1 << 5,	/* --token TOKEN */
	OPTION_NEEDING = 1 << 6,
	OPTION_STATE = 1 << 7,		/* --state DIR */
	OPTION_TARGET = 1 << 8,		/* --target NAME, more than once */
	OPTION_URL = 1 << 9,		/* --url URL */
	OPTION_PASSWORD_FILE = 1 << 10, /* --password-file PATH */
	OPTION_SHOW_PASSWORD = 1 << 11,
	OPTION_ALL = 1 << 12,
	OPTION_WATCH = 1 << 13, /* --watch, --watch=SECONDS */
	OPTION_REST = 1 << 14,	/* what is no option may be there, too */
};

#define OPTION_TARGETS_MAX 16
#define OPTION_WATCH_MAX 86400

struct options {
	const char *config; /* NULL: the packaged place */
	bool json, follow;
	uint64_t since;
	const char *server, *token;
	bool needing;
	const char *state; /* NULL: not given */
	const char *targets[OPTION_TARGETS_MAX];
	size_t n_targets;
	const char *url, *password_file;
	bool show_password, all, watch;
	uint64_t watch_seconds; /* 0: not given */
	char **rest;		/* what is no option */
	int n_rest;
};

/* Options may stand anywhere after the command. -1 after the error was
 * printed. */
int options_parse(
    struct options *o, int argc, char **argv, unsigned int allowed);

/* The configuration, or the errors on stderr and NULL. Owner: the caller
 * frees. origins may be NULL. */
struct config *options_load_config(
    const struct options *o, struct config_origins *origins);

/* --- asking the store (ask.c) ------------------------------------------ */

struct ask {
	struct ipc_channel channel;
	struct ipc_channel monitor; /* of a store of our own */
	pid_t store;		    /* 0: the daemon's store answers */
	int spool_fd;
	uint64_t waited_ms; /* for answers, see ask_receive */
	uint8_t *buffer, *scratch;
};

/*
 * Connects to the store of the running daemon. When none runs and start is
 * true, starts a store of its own, as sandboxed as the daemon's, for the time
 * of this command.
 */
int ask_open(struct ask *a, const struct config *c, bool start, struct err *e);
void ask_close(struct ask *a);
/* The monitor of the daemon that listens on [spool] socket; 0: none does. */
pid_t ask_daemon(const struct config *c);
/* One question, one answer of this type; a refusal is an error. So is, that
 * all answers together took longer than ASK_WITHIN_MS. */
int ask(struct ask *a, enum ipc_type type, const void *body,
    enum ipc_type wanted, struct ipc_received *answer, struct err *e);

/* A counter's number in a list of STATUS; 0 when it is not there. */
uint64_t ask_counter(const struct ipc_list *counters, enum counter wanted);

/* What a command waits for its answers, in all. */
#define ASK_WITHIN_MS UINT64_C(60000)

/*
 * Waits for one message; that none comes is an error, too. *waited_ms grows by
 * the time that it took, and ASK_WITHIN_MS is the end of it.
 *
 * Security: who answers is the weaker side, and may have been taken over. It
 * does not decide how long root's command runs: neither with one answer nor
 * with many. Whoever asks for a number of pages or files that is root's own
 * gives back some time for each, by ask_give_back.
 */
int ask_receive(const struct ipc_channel *c, uint8_t *buffer,
    uint64_t *waited_ms, struct ipc_received *in, struct err *e);
void ask_give_back(uint64_t *waited_ms, uint64_t ms);
/* Ends a role that a command started for itself, and waits for its end. */
void ask_end_role(struct ipc_channel *monitor, uint8_t *scratch, pid_t *pid);

/* --- output (json.c) --------------------------------------------------- */

/* "text" as a JSON string; bytes that are not UTF-8 become U+FFFD, and what a
 * terminal would obey is escaped. */
void json_string(FILE *out, struct span text);
/* The same without quotes, for people: what a terminal would obey is `?`. */
void plain_text(FILE *out, struct span text);
/* Microseconds since 1970 as seconds with six decimals. */
void json_time(FILE *out, int64_t us);

#endif
