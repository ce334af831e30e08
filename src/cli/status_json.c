/*
 * status_json.c - `postal-tracker status --json`: one object on one line
 *
 * Scripts rely on its members: they may become more, and never other ones.
 */
#include <inttypes.h>

#include "base/uuid.h"
#include "cli/certificates.h"
#include "cli/status.h"
#include "ipc/counter.h"

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

/* Of those that grew, each a second; null when it is not known yet. */
static void
json_rates(const struct ipc_status *s)
{
	struct cursor c = cursor_of(s->rates.records);
	struct ipc_counter_row row;

	if (s->rates_ms == 0) {
		(void)printf(",\"rates\":null");
		return;
	}
	(void)printf(",\"rates\":{\"seconds\":%.3f", s->rates_ms / 1000.0);
	for (size_t i = 0; i < s->rates.count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		(void)printf(",\"%s\":%.3f", counter_name(row.counter),
		    (double)row.value * 1000.0 / s->rates_ms);
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
json_listeners(const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_listener_row row;
	char text[ENDPOINT_TEXT_SIZE];

	(void)printf(",\"listeners\":[");
	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_listener_row_record, &row);
		status_listener_text(&row, text);
		(void)printf("%s{\"address\":\"%s\",\"tls\":%s,\"admin\":%s,"
			     "\"systemd\":%s}",
		    i == 0 ? "" : ",", text, row.tls ? "true" : "false",
		    row.admin ? "true" : "false",
		    row.inherited ? "true" : "false");
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

void
status_print_json(const struct ipc_status *s, struct ask *a)
{
	char node[UUID_TEXT_SIZE];

	uuid_format(s->node, node);
	(void)printf("{\"mode\":\"%s\",\"node\":\"%s\",\"ready\":%s,"
		     "\"reason\":",
	    status_mode(s), node, s->ready ? "true" : "false");
	json_string(stdout, s->reason);
	(void)printf(",\"started\":");
	json_time(stdout, s->started_us);
	for (size_t i = 0; i < status_n_numbers; i++)
		(void)printf(",\"%s\":%" PRIu64, status_numbers[i].name,
		    status_number_of(s, &status_numbers[i]));
	(void)printf(",\"spool_bytes\":%" PRIu64 ",\"spool_max_bytes\":%" PRIu64
		     ",\"oldest\":",
	    s->spool_bytes, s->max_size);
	if (s->oldest_us != 0)
		json_time(stdout, s->oldest_us);
	else
		(void)printf("null");
	json_rates(s);
	json_listeners(&s->listeners);
	json_forwarder(s);
	json_asides(&s->asides);
	json_counters(&s->counters);
	json_roles(&s->roles);
	/* Last: what is asked for takes the place of s. */
	status_certificates_json(a);
	(void)printf("}\n");
}

void
status_print_json_away(const struct err *e)
{
	(void)printf("{\"ready\":false,\"reason\":");
	json_string(stdout, span_of(e->text));
	(void)printf("}\n");
}
