/*
 * events.c - `postal-tracker events`: what is in the spool
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "cli/internal.h"

#define PAGE 256
#define FOLLOW_EVERY_US 200000

static const char *
kind_of(const struct ipc_event_row *row)
{
	return row->kind == IPC_EVENT_OPEN ? "open" : "click";
}

static const char *
method_of(const struct ipc_event_row *row)
{
	return row->method == IPC_METHOD_HEAD ? "HEAD" : "GET";
}

static void
address_of(const struct ipc_event_row *row, char text[ADDR_TEXT_SIZE])
{
	struct addr a;

	memcpy(a.ip, row->ip, sizeof(a.ip));
	addr_format(&a, text);
}

static void
json_number_or_null(const char *name, bool known, uint64_t value)
{
	if (known)
		(void)printf(",\"%s\":%" PRIu64, name, value);
	else
		(void)printf(",\"%s\":null", name);
}

static void
json_string_or_null(const char *name, bool known, struct span value)
{
	(void)printf(",\"%s\":", name);
	if (known)
		json_string(stdout, value);
	else
		(void)fputs("null", stdout);
}

static void
print_json(const struct ipc_event_row *row)
{
	bool click = row->kind == IPC_EVENT_CLICK;
	char ip[ADDR_TEXT_SIZE];

	address_of(row, ip);
	(void)printf("{\"seq\":%" PRIu64 ",\"at\":", row->seq);
	json_time(stdout, row->at_us);
	(void)printf(",\"kind\":\"%s\"", kind_of(row));
	json_string_or_null("server", true, row->server);
	json_string_or_null("token", true, row->token);
	json_number_or_null("message_id",
	    (row->flags & IPC_EVENT_HAS_MESSAGE) != 0, row->message_id);
	json_number_or_null("link_id", click, row->link_id);
	json_string_or_null("url", row->url.len > 0, row->url);
	(void)printf(",\"ip\":\"%s\"", ip);
	json_string_or_null("user_agent",
	    (row->flags & IPC_EVENT_HAS_AGENT) != 0, row->user_agent);
	(void)printf(",\"method\":\"%s\"}\n", method_of(row));
}

/* Text for a terminal: no control characters reach it. */
static void
print_quoted(struct span text)
{
	(void)fputc(' ', stdout);
	json_string(stdout, text);
}

static void
print_text(const struct ipc_event_row *row)
{
	time_t seconds = (time_t)(row->at_us / 1000000);
	char when[32] = "", ip[ADDR_TEXT_SIZE];
	struct tm utc;

	if (gmtime_r(&seconds, &utc) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	address_of(row, ip);
	(void)printf("%" PRIu64 " %s.%06dZ %s ", row->seq, when,
	    (int)(row->at_us % 1000000), kind_of(row));
	plain_text(stdout, row->server);
	(void)fputc('/', stdout);
	plain_text(stdout, row->token);
	(void)printf(" %s", ip);
	if (row->url.len > 0)
		print_quoted(row->url);
	if ((row->flags & IPC_EVENT_HAS_AGENT) != 0)
		print_quoted(row->user_agent);
	(void)fputc('\n', stdout);
}

/* Prints one page and moves *after on; how many rows it had, or -1. */
static int
print_page(
    struct ask *a, const struct options *o, uint64_t *after, struct err *e)
{
	struct ipc_events_get get = {*after, PAGE};
	uint64_t more_ms = o->follow ? ASK_WITHIN_MS : 0;
	struct ipc_received answer;
	const struct ipc_list *rows;
	struct ipc_event_row row;
	struct cursor c;

	if (ask(a, IPC_EVENTS_GET, &get, IPC_EVENT_ROWS, &answer, e) != 0)
		return -1;
	rows = &answer.body.event_rows.rows;
	c = cursor_of(rows->records);
	for (size_t i = 0; i < rows->count; i++) {
		ipc_next(&c, &ipc_event_row_record, &row);
		if (row.seq <= *after)
			return err_set(
			    e, "the store sent events that it had sent before");
		if (o->json)
			print_json(&row);
		else
			print_text(&row);
		*after = row.seq;
	}
	/* A large spool may take its time, and --follow has no end. */
	ask_give_back(&a->waited_ms, more_ms + rows->count);
	if (rows->count > 0 && fflush(stdout) != 0)
		return err_errno(e, "cannot write");
	return rows->count;
}

static int
print_events(const struct config *c, const struct options *o)
{
	uint64_t after = o->since;
	struct ask a;
	struct err e;
	int n;

	n = ask_open(&a, c, !o->follow, &e) == 0 ? 1 : -1;
	while (n > 0 || (n == 0 && o->follow)) {
		n = print_page(&a, o, &after, &e);
		if (n == 0 && o->follow)
			(void)usleep(FOLLOW_EVERY_US);
	}
	if (n < 0)
		(void)fprintf(stderr, "postal-tracker events: %s\n", e.text);
	ask_close(&a);
	return n < 0 ? EX_UNAVAILABLE : EX_OK;
}

int
command_events(int argc, char **argv)
{
	struct options o;
	struct config *c;
	int exit_code;

	if (options_parse(&o, argc, argv,
		OPTION_CONFIG | OPTION_JSON | OPTION_FOLLOW | OPTION_SINCE) !=
	    0)
		return EX_USAGE;
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	exit_code = print_events(c, &o);
	free(c);
	return exit_code;
}
