/*
 * status.c - `postal-tracker status`: the running daemon, for people and
 * scripts
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/number.h"
#include "base/uuid.h"
#include "cli/internal.h"
#include "ipc/counter.h"

/* The numbers of the spool, in the order of the conservation law. */
static const struct {
	const char *name;
	size_t offset;
	const char *help;
} numbers[] = {
    {"accepted", offsetof(struct ipc_status, accepted), "events of all time"},
    {"pending", offsetof(struct ipc_status, pending), "in the spool"},
    {"written", offsetof(struct ipc_status, written), "in Postal's tables"},
    {"unmatched", offsetof(struct ipc_status, unmatched),
	"of unknown or pruned messages"},
    {"duplicates", offsetof(struct ipc_status, duplicates),
	"found written already"},
    {"set_aside", offsetof(struct ipc_status, set_aside),
	"cannot be written for now"},
    {"expired", offsetof(struct ipc_status, expired), "older than retention"},
    {"lost", offsetof(struct ipc_status, lost),
	"not stored: disk full, spool full, or the store away"},
    {"late", offsetof(struct ipc_status, late),
	"answered before they were stored"},
    {"last_seq", offsetof(struct ipc_status, last_seq),
	"number of the last event"},
    {"servers", offsetof(struct ipc_status, servers), "known server tokens"},
    {"links", offsetof(struct ipc_status, links), "known links"},
};

static uint64_t
number_at(const struct ipc_status *s, size_t i)
{
	return *(const uint64_t *)(const void *)((const uint8_t *)s +
						 numbers[i].offset);
}

static const char *
mode_of(const struct ipc_status *s)
{
	return s->mode == IPC_MODE_MYSQL ? "mysql" : "standalone";
}

/* --- JSON -------------------------------------------------------------- */

static void
json_counters(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_counter_row row;

	(void)printf(",\"counters\":{");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		(void)printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",",
		    counter_name(row.counter), row.value);
	}
	(void)printf("}");
}

static void
json_roles(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_role_row row;

	(void)printf(",\"roles\":[");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_role_row_record, &row);
		(void)printf("%s{\"role\":\"%s\",\"index\":%u,\"pid\":%" PRIu32
			     ",\"starts\":%" PRIu32 ",\"since\":",
		    i == 0 ? "" : ",", ipc_role_name(row.role), row.index,
		    row.pid, row.starts);
		json_time(stdout, row.since_us);
		(void)printf("}");
	}
	(void)printf("]");
}

static void
print_json(const struct ipc_status *s)
{
	char node[UUID_TEXT_SIZE];

	uuid_format(s->node, node);
	(void)printf("{\"mode\":\"%s\",\"node\":\"%s\",\"ready\":%s,"
		     "\"reason\":",
	    mode_of(s), node, s->ready ? "true" : "false");
	json_string(stdout, s->reason);
	(void)printf(",\"started\":");
	json_time(stdout, s->started_us);
	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
		(void)printf(
		    ",\"%s\":%" PRIu64, numbers[i].name, number_at(s, i));
	(void)printf(",\"spool_bytes\":%" PRIu64
		     ",\"spool_max_bytes\":%" PRIu64,
	    s->spool_bytes, s->max_size);
	json_counters(&s->counters);
	json_roles(&s->roles);
	(void)printf("}\n");
}

/* --- text -------------------------------------------------------------- */

static void
print_roles(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	int64_t now = clock_wall_us();
	struct ipc_role_row row;
	char up[NUMBER_TEXT_SIZE], name[32];

	(void)printf("\n%-12s %8s %10s %7s\n", "role", "pid", "up", "starts");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_role_row_record, &row);
		duration_format(
		    (uint64_t)((now - row.since_us) / 1000000) * 1000, up);
		(void)snprintf(name, sizeof(name), "%s[%u]",
		    ipc_role_name(row.role), row.index);
		(void)printf("%-12s %8" PRIu32 " %10s %7" PRIu32 "\n", name,
		    row.pid, row.pid == 0 ? "-" : up, row.starts);
	}
}

static void
print_counters(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_counter_row row;

	(void)printf("\n");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		(void)printf("%12" PRIu64 "  %-28s %s\n", row.value,
		    counter_name(row.counter), counter_help(row.counter));
	}
}

static void
print_text(const struct ipc_status *s)
{
	char node[UUID_TEXT_SIZE], used[NUMBER_TEXT_SIZE], most[NUMBER_TEXT_SIZE];

	uuid_format(s->node, node);
	size_format(s->spool_bytes, used);
	size_format(s->max_size, most);
	(void)printf("%s, mode %s, node %s\n", s->ready ? "ready" : "NOT READY",
	    mode_of(s), node);
	if (s->reason.len > 0)
		(void)printf(
		    "  %.*s\n", (int)s->reason.len, (const char *)s->reason.p);
	(void)printf("spool: %s of %s\n\n", used, most);
	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
		(void)printf("%12" PRIu64 "  %-12s %s\n", number_at(s, i),
		    numbers[i].name, numbers[i].help);
	print_roles(&s->roles);
	print_counters(&s->counters);
}

static int
print_status(const struct config *c, const struct options *o)
{
	struct ipc_status_get get = {0};
	struct ipc_received answer;
	struct ask a;
	struct err e;
	bool failed;

	failed = ask_open(&a, c, false, &e) != 0 ||
		 ask(&a, IPC_STATUS_GET, &get, IPC_STATUS, &answer, &e) != 0;
	if (failed)
		(void)fprintf(stderr, "postal-tracker status: %s\n", e.text);
	else if (o->json)
		print_json(&answer.body.status);
	else
		print_text(&answer.body.status);
	ask_close(&a);
	return failed ? EX_UNAVAILABLE : EX_OK;
}

int
command_status(int argc, char **argv)
{
	struct options o;
	struct config *c;
	int exit_code;

	if (options_parse(&o, argc, argv, OPTION_CONFIG | OPTION_JSON) != 0)
		return EX_USAGE;
	if (o.n_rest > 0)
		return cli_usage_error(argv[0], "takes no arguments");
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	exit_code = print_status(c, &o);
	free(c);
	return exit_code;
}
