/*
 * status.c - `postal-tracker status`: the running daemon, for people and
 * scripts, once or again and again
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/number.h"
#include "cli/status.h"

#define WATCH_SECONDS 2
/* A page is one write, so that a terminal shows it at once. */
#define PAGE_SIZE (256 * 1024)
/* Cursor home, erase to the end of the screen (ECMA-48). */
#define REDRAW "\x1b[H\x1b[J"

const struct status_number status_numbers[] = {
    {"accepted", offsetof(struct ipc_status, accepted), STATUS_SUM,
	"events of all time"},
    {"pending", offsetof(struct ipc_status, pending), STATUS_DETAIL,
	"in the spool"},
    {"written", offsetof(struct ipc_status, written), STATUS_SUM,
	"in Postal's tables"},
    {"unmatched", offsetof(struct ipc_status, unmatched), STATUS_SUM,
	"of unknown or pruned messages"},
    {"duplicates", offsetof(struct ipc_status, duplicates), STATUS_SUM,
	"found written already"},
    {"set_aside", offsetof(struct ipc_status, set_aside), STATUS_TROUBLE,
	"cannot be written for now"},
    {"expired", offsetof(struct ipc_status, expired), STATUS_SUM,
	"older than retention"},
    {"lost", offsetof(struct ipc_status, lost), STATUS_TROUBLE,
	"not stored: disk full, spool full, or the store away"},
    {"late", offsetof(struct ipc_status, late), STATUS_TROUBLE,
	"answered before they were stored"},
    {"last_seq", offsetof(struct ipc_status, last_seq), STATUS_DETAIL,
	"number of the last event"},
    {"servers", offsetof(struct ipc_status, servers), STATUS_DETAIL,
	"known server tokens"},
    {"links", offsetof(struct ipc_status, links), STATUS_DETAIL, "known links"},
    {"domains", offsetof(struct ipc_status, domains), STATUS_DETAIL,
	"tracking domains"},
    {"searches", offsetof(struct ipc_status, searches), STATUS_SUM,
	"links looked for in MySQL while a visitor waited"},
    {"searches_limited", offsetof(struct ipc_status, searches_limited),
	STATUS_TROUBLE, "not looked for: too many of one server"},
};
const size_t status_n_numbers = ARRAY_LENGTH(status_numbers);

uint64_t
status_number_of(const struct ipc_status *s, const struct status_number *n)
{
	uint64_t value;

	memcpy(&value, (const uint8_t *)s + n->offset, sizeof(value));
	return value;
}

void
status_listener_text(
    const struct ipc_listener_row *row, char text[ENDPOINT_TEXT_SIZE])
{
	struct endpoint at = {.port = row->port};

	memcpy(at.addr.ip, row->ip, sizeof(at.addr.ip));
	endpoint_format(&at, text);
}

const char *
status_mode(const struct ipc_status *s)
{
	return s->mode == IPC_MODE_MYSQL ? "mysql" : "standalone";
}

/* --- once -------------------------------------------------------------- */

/* Prints what the daemon says; the exit code. */
static int
look(const struct config *c, const struct options *o, struct err *e)
{
	struct ipc_status_get get = {0};
	struct ipc_received answer;
	int exit_code = EX_UNAVAILABLE;
	struct ask a;

	if (ask_open(&a, c, false, e) == 0 &&
	    ask(&a, IPC_STATUS_GET, &get, IPC_STATUS, &answer, e) == 0) {
		exit_code = answer.body.status.ready ? EX_OK : EX_TEMPFAIL;
		if (o->json)
			status_print_json(&answer.body.status, &a);
		else
			status_print_text(&answer.body.status, &a, o->all);
	}
	ask_close(&a);
	return exit_code;
}

/* --- again and again --------------------------------------------------- */

/* A page is written as a whole or not begun: nothing is left to be done. */
static void
on_end(int signal_number)
{
	(void)signal_number;
	_exit(EX_OK);
}

static void
wait_for_next(uint64_t seconds)
{
	struct timespec t = {.tv_sec = (time_t)seconds};

	while (nanosleep(&t, &t) != 0)
		;
}

/* A daemon that is away may come back: a restart, an upgrade. */
static void
print_away(const struct options *o, const struct err *e)
{
	if (o->json)
		status_print_json_away(e);
	else
		(void)printf("AWAY: %s\nLooking again every %u s.\n", e->text,
		    (unsigned int)o->watch_seconds);
}

static int
watch(const struct config *c, const struct options *o)
{
	static char page[PAGE_SIZE];
	bool redraw = !o->json && isatty(STDOUT_FILENO) != 0;
	bool first = true;
	struct err e;

	(void)setvbuf(stdout, page, _IOFBF, sizeof(page));
	(void)signal(SIGINT, on_end);
	(void)signal(SIGTERM, on_end);
	for (;;) {
		if (redraw)
			(void)printf(REDRAW);
		else if (!o->json && !first)
			(void)printf("\n");
		if (look(c, o, &e) == EX_UNAVAILABLE)
			print_away(o, &e);
		if (fflush(stdout) != 0)
			return EX_IOERR;
		first = false;
		wait_for_next(o->watch_seconds);
	}
}

/* --watch may be followed by its seconds also as the next word. */
static int
take_seconds(struct options *o)
{
	if (o->watch && o->watch_seconds == 0 && o->n_rest > 0) {
		if (number_parse(span_of(o->rest[0]), 1, OPTION_WATCH_MAX,
			&o->watch_seconds) != 0)
			return -1;
		o->rest++;
		o->n_rest--;
	}
	if (o->watch_seconds == 0)
		o->watch_seconds = WATCH_SECONDS;
	return o->n_rest > 0 ? -1 : 0;
}

int
command_status(int argc, char **argv)
{
	struct options o;
	struct config *c;
	struct err e;
	int exit_code;

	if (options_parse(&o, argc, argv,
		OPTION_CONFIG | OPTION_JSON | OPTION_ALL | OPTION_WATCH |
		    OPTION_REST) != 0)
		return EX_USAGE;
	if (take_seconds(&o) != 0)
		return cli_usage_error(argv[0],
		    o.watch ? "--watch takes whole seconds, from 1 to 86400"
			    : "takes no arguments");
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	exit_code = o.watch ? watch(c, &o) : look(c, &o, &e);
	if (exit_code == EX_UNAVAILABLE)
		(void)fprintf(stderr, "postal-tracker status: %s\n", e.text);
	free(c);
	return exit_code;
}
