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
#include "cli/certificates.h"
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
    {"domains", offsetof(struct ipc_status, domains), "tracking domains"},
    {"searches", offsetof(struct ipc_status, searches),
	"links looked for in MySQL while a visitor waited"},
    {"searches_limited", offsetof(struct ipc_status, searches_limited),
	"not looked for: too many of one server"},
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
json_forwarder(const struct ipc_status *s)
{
	const struct ipc_forwarder_state *f = &s->forwarder_state;

	(void)printf(",\"forwarder\":{\"connected_to_store\":%s,\"pid\":",
	    s->forwarder ? "true" : "false");
	if (s->forwarder)
		(void)printf("%" PRIu32, s->forwarder_pid);
	else
		(void)printf("null");
	(void)printf(",\"connected_to_mysql\":%s,\"written\":%" PRIu64
		     ",\"rate\":%" PRIu32 ",\"webhooks\":%" PRIu64
		     ",\"webhooks_skipped\":%" PRIu64 ",\"searches\":%" PRIu64
		     ",\"lag_ms\":%" PRIu64 ",\"databases\":%" PRIu32
		     ",\"broken\":%" PRIu32 ",\"error\":",
	    f->connected ? "true" : "false", f->written, f->rate, f->webhooks,
	    f->webhooks_skipped, f->searches, f->lag_ms, f->databases,
	    f->broken);
	if (f->error.len > 0)
		json_string(stdout, f->error);
	else
		(void)printf("null");
	(void)printf("}");
}

static void
json_asides(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_aside_row row;

	(void)printf(",\"set_aside_reasons\":[");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_aside_row_record, &row);
		(void)printf("%s{\"server_id\":%" PRIu32 ",\"n\":%" PRIu64
			     ",\"retry\":%s,\"reason\":",
		    i == 0 ? "" : ",", row.server_id, row.n,
		    row.retry ? "true" : "false");
		json_string(stdout, row.reason);
		(void)printf("}");
	}
	(void)printf("]");
}

static void
print_json(const struct ipc_status *s, struct ask *a)
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
	json_forwarder(s);
	json_asides(&s->asides);
	json_counters(&s->counters);
	json_roles(&s->roles);
	status_certificates_json(a);
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
print_lag(const struct ipc_forwarder_state *f)
{
	char text[NUMBER_TEXT_SIZE];

	if (f->lag_ms == 0) {
		(void)printf("  links: all read\n");
		return;
	}
	duration_format(f->lag_ms, text);
	(void)printf("  links: the oldest unread change is %s old\n", text);
}

static void
print_forwarder(const struct ipc_status *s)
{
	const struct ipc_forwarder_state *f = &s->forwarder_state;
	char up[NUMBER_TEXT_SIZE];

	if (s->mode != IPC_MODE_MYSQL)
		return;
	if (!s->forwarder) {
		(void)printf("\nforwarder: NOT CONNECTED; is `postal-tracker "
			     "forward` running? Events wait in the spool\n");
		return;
	}
	duration_format(
	    (uint64_t)((clock_wall_us() - s->forwarder_since_us) / 1000000) *
		1000,
	    up);
	(void)printf("\nforwarder: pid %" PRIu32 ", up %s, %s\n",
	    s->forwarder_pid, up,
	    f->connected ? "connected to MySQL" : "NOT CONNECTED to MySQL");
	(void)printf("  message databases: %" PRIu32 ", broken: %" PRIu32 "\n",
	    f->databases, f->broken);
	print_lag(f);
	(void)printf("  events a second: %" PRIu32 "\n", f->rate);
	(void)printf("  since its start: %" PRIu64 " events written, %" PRIu64
		     " webhooks, %" PRIu64 " webhooks skipped, %" PRIu64
		     " searches\n",
	    f->written, f->webhooks, f->webhooks_skipped, f->searches);
	if (f->error.len > 0) {
		(void)printf("  last error: ");
		json_string(stdout, f->error);
		(void)printf("\n");
	}
}

static void
print_asides(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_aside_row row;

	if (list->count > 0)
		(void)printf("\nset aside:\n");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_aside_row_record, &row);
		(void)printf("%12" PRIu64 "  server %" PRIu32 ", %s: ", row.n,
		    row.server_id, row.retry ? "tried again" : "for good");
		json_string(stdout, row.reason);
		(void)printf("\n");
	}
}

static void
print_text(const struct ipc_status *s, struct ask *a)
{
	char node[UUID_TEXT_SIZE], used[NUMBER_TEXT_SIZE],
	    most[NUMBER_TEXT_SIZE];

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
		(void)printf("%12" PRIu64 "  %-16s %s\n", number_at(s, i),
		    numbers[i].name, numbers[i].help);
	print_forwarder(s);
	print_asides(&s->asides);
	print_roles(&s->roles);
	print_counters(&s->counters);
	status_certificates_text(a);
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
		print_json(&answer.body.status, &a);
	else
		print_text(&answer.body.status, &a);
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
