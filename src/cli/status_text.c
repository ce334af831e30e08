/*
 * status_text.c - `postal-tracker status`: the page that a person reads
 *
 * What matters first; what is 0 has no line unless all is wanted.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/uuid.h"
#include "cli/certificates.h"
#include "cli/status.h"
#include "ipc/counter.h"

/* How long ago, in whole seconds; 0 for what the clock says is to come. */
static const char *
since(int64_t at_us, char text[NUMBER_TEXT_SIZE])
{
	int64_t now = clock_wall_us();
	uint64_t s = now > at_us ? (uint64_t)(now - at_us) / 1000000 : 0;

	/* From two minutes on seconds are of no interest, and so on. */
	if (s >= 2 * 86400)
		s -= s % 86400;
	else if (s >= 2 * 3600)
		s -= s % 3600;
	else if (s >= 2 * 60)
		s -= s % 60;
	if (s == 0)
		(void)snprintf(text, NUMBER_TEXT_SIZE, "0s");
	else
		duration_format(s * 1000, text);
	return text;
}

/* --- what it does ------------------------------------------------------ */

static void
print_head(const struct ipc_status *s)
{
	char node[UUID_TEXT_SIZE];

	uuid_format(s->node, node);
	(void)printf("%s, mode %s, node %s\n", s->ready ? "ready" : "NOT READY",
	    status_mode(s), node);
	if (s->reason.len > 0) {
		(void)printf("  ");
		json_string(stdout, s->reason);
		(void)printf("\n");
	}
}

static void
print_listeners(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_listener_row row;
	char text[ENDPOINT_TEXT_SIZE];

	if (list->count == 0)
		return;
	(void)printf("%-10s", "serves");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_listener_row_record, &row);
		status_listener_text(&row, text);
		(void)printf("%s%s%s", i == 0 ? "" : "  ", text,
		    row.tls	? " (HTTPS)"
		    : row.admin ? " (admin)"
				: "");
	}
	(void)printf("\n");
}

static double
rate_of(const struct ipc_status *s, enum counter wanted)
{
	return (double)ask_counter(&s->rates, wanted) * 1000.0 / s->rates_ms;
}

static void
print_rates(const struct ipc_status *s)
{
	if (s->rates_ms == 0)
		(void)printf("%-10snot known yet\n", "a second");
	else
		(void)printf(
		    "%-10s%.1f opens, %.1f clicks, %.1f requests (over the "
		    "last %.0f s)\n",
		    "a second", rate_of(s, COUNTER_OPENS),
		    rate_of(s, COUNTER_CLICKS), rate_of(s, COUNTER_REQUESTS),
		    s->rates_ms / 1000.0);
}

/* --- what it has ------------------------------------------------------- */

static void
print_spool(const struct ipc_status *s)
{
	char used[NUMBER_TEXT_SIZE], most[NUMBER_TEXT_SIZE],
	    age[NUMBER_TEXT_SIZE];

	/* In whole kilobytes, that it can be read. */
	size_format(
	    s->spool_bytes + 1023 - (s->spool_bytes + 1023) % 1024, used);
	size_format(s->max_size, most);
	(void)printf("%-10s", "spool");
	if (s->pending == 0)
		(void)printf("empty");
	else
		(void)printf("%" PRIu64 " %s", s->pending,
		    s->mode == IPC_MODE_MYSQL ? "wait" : "kept");
	if (s->oldest_us != 0)
		(void)printf(", the oldest for %s", since(s->oldest_us, age));
	(void)printf("; %s of %s\n", used, most);
}

static void
print_replica(const struct ipc_status *s)
{
	(void)printf("%-10sservers: %" PRIu64 ", links: %" PRIu64, "knows",
	    s->servers, s->links);
	if (s->mode == IPC_MODE_MYSQL)
		(void)printf(", tracking domains: %" PRIu64, s->domains);
	(void)printf("\n");
}

static bool
is_shown(const struct ipc_status *s, const struct status_number *n, bool all)
{
	return all || (n->weight < STATUS_DETAIL && status_number_of(s, n) > 0);
}

static void
print_numbers(const struct ipc_status *s, bool all)
{
	const char *before = "\n";

	for (enum status_weight w = STATUS_TROUBLE; w <= STATUS_DETAIL; w++)
		for (size_t i = 0; i < status_n_numbers; i++) {
			const struct status_number *n = &status_numbers[i];

			if (n->weight != w || !is_shown(s, n, all))
				continue;
			(void)printf("%s%12" PRIu64 "  %-16s %s\n", before,
			    status_number_of(s, n), n->name, n->help);
			before = "";
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

/* --- the forwarder ----------------------------------------------------- */

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
print_forwarder(const struct ipc_status *s, bool all)
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
	(void)printf("\nforwarder: pid %" PRIu32 ", up %s, %s\n",
	    s->forwarder_pid, since(s->forwarder_since_us, up),
	    f->connected ? "connected to MySQL" : "NOT CONNECTED to MySQL");
	if (f->error.len > 0) {
		(void)printf("  last error: ");
		json_string(stdout, f->error);
		(void)printf("\n");
	}
	(void)printf("  events a second: %" PRIu32 "\n", f->rate);
	print_lag(f);
	(void)printf("  message databases: %" PRIu32 ", broken: %" PRIu32 "\n",
	    f->databases, f->broken);
	if (all || f->webhooks_skipped > 0)
		(void)printf("  since its start: %" PRIu64
			     " events written, %" PRIu64 " webhooks, %" PRIu64
			     " webhooks skipped, %" PRIu64 " searches\n",
		    f->written, f->webhooks, f->webhooks_skipped, f->searches);
}

/* --- processes and counters -------------------------------------------- */

static void
print_roles(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_role_row row;
	char up[NUMBER_TEXT_SIZE], name[32];

	(void)printf("\n%-12s %8s %10s %9s\n", "role", "pid", "up", "restarts");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_role_row_record, &row);
		(void)snprintf(name, sizeof(name), "%s[%u]",
		    ipc_role_name(row.role), row.index);
		(void)printf("%-12s %8" PRIu32 " %10s %9" PRIu32 "\n", name,
		    row.pid, row.pid == 0 ? "-" : since(row.since_us, up),
		    row.starts > 0 ? row.starts - 1 : 0);
	}
}

static void
print_counters(const struct ipc_list *list, bool all)
{
	struct cursor c = cursor_of(list->records);
	const char *before = "\nsince the daemon started:\n";
	struct ipc_counter_row row;

	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		if (row.value == 0 && !all)
			continue;
		(void)printf("%s%12" PRIu64 "  %-28s %s\n", before, row.value,
		    counter_name(row.counter), counter_help(row.counter));
		before = "";
	}
}

void
status_print_text(const struct ipc_status *s, struct ask *a, bool all)
{
	print_head(s);
	print_listeners(&s->listeners);
	print_rates(s);
	print_spool(s);
	print_replica(s);
	print_numbers(s, all);
	print_asides(&s->asides);
	print_forwarder(s, all);
	print_roles(&s->roles);
	print_counters(&s->counters, all);
	/* Last: what is asked for takes the place of s. */
	status_certificates_text(a);
}
