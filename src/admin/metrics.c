/*
 * metrics.c - what /metrics shows
 *
 * Pure; run by admin. Names and units follow Prometheus' guide: base units,
 * counters end in _total.
 */
#include "admin/metrics.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "admin/exposition.h"
#include "base/array.h"
#include "ipc/counter.h"

/* --- the daemon -------------------------------------------------------- */

static void
put_gauge(struct writer *w, const char *name, const char *help, uint64_t value)
{
	exposition_head(w, name, "gauge", help);
	exposition_number(w, name, "", NULL, value);
}

static const char *
mode_of(const struct ipc_status *s)
{
	if (s == NULL)
		return "";
	return s->mode == IPC_MODE_MYSQL ? "mysql" : "standalone";
}

static void
put_daemon(struct writer *w, const struct metrics_facts *f)
{
	const struct ipc_status *s = f->status;
	struct exposition_labels labels = {
	    s == NULL ? 1 : 2, {{"version", span_of(TRACKER_VERSION)},
				   {"mode", span_of(mode_of(s))}}};

	exposition_head(w, "build_info", "gauge",
	    "Version and [postal] mode, as labels; the value is always 1.");
	exposition_number(w, "build_info", "", &labels, 1);
	put_gauge(w, "store_up", "Whether the store answers admin.", s != NULL);
	put_gauge(w, "ready", "Whether events can be stored, as /ready says.",
	    s != NULL && s->ready);
}

/* --- numbers of STATUS ------------------------------------------------- */

enum when {
	ALWAYS,
	MYSQL,	   /* [postal] mode = mysql */
	FORWARDER, /* it is connected to the store, and said so */
};

enum unit {
	U8,
	U32,
	U64,
	MS, /* of U64, as seconds */
	US,
};

static const char counter[] = "counter", gauge[] = "gauge";

#define AT(member) offsetof(struct ipc_status, member)

static const struct number {
	const char *name;
	const char *type;
	enum when when;
	enum unit unit;
	size_t offset;
	const char *help;
} numbers[] = {
    {"store_start_time_seconds", gauge, ALWAYS, US, AT(started_us),
	"When the store started, in seconds since 1970."},
    /* The law: accepted = written + unmatched + duplicates + set_aside +
     * expired + pending + lost. */
    {"spool_accepted_total", counter, ALWAYS, U64, AT(accepted),
	"Events since the spool was made: the sum of written, unmatched, "
	"duplicates, expired, lost, set aside and pending."},
    {"spool_written_total", counter, ALWAYS, U64, AT(written),
	"Events written into Postal's tables."},
    {"spool_unmatched_total", counter, ALWAYS, U64, AT(unmatched),
	"Events of messages that Postal does not have, or no more."},
    {"spool_duplicates_total", counter, ALWAYS, U64, AT(duplicates),
	"Events that the ledger in Postal's database knew as written."},
    {"spool_expired_total", counter, ALWAYS, U64, AT(expired),
	"Events deleted because they were older than [spool] retention."},
    {"spool_lost_total", counter, ALWAYS, U64, AT(lost),
	"Events that could not be stored: disk or spool full, store away."},
    {"spool_pending", gauge, ALWAYS, U64, AT(pending),
	"Events that wait in the spool."},
    {"spool_set_aside", gauge, ALWAYS, U64, AT(set_aside),
	"Events that cannot be written into Postal's tables for now."},
    {"spool_late_total", counter, ALWAYS, U64, AT(late),
	"Events answered before they were on stable storage."},
    {"spool_size_bytes", gauge, ALWAYS, U64, AT(spool_bytes),
	"Bytes of the spool."},
    {"spool_limit_bytes", gauge, ALWAYS, U64, AT(max_size),
	"Bytes that the spool may have, [spool] max_size."},
    {"servers", gauge, ALWAYS, U64, AT(servers), "Known server tokens."},
    {"links", gauge, ALWAYS, U64, AT(links), "Known links."},
    {"tracking_domains", gauge, MYSQL, U64, AT(domains),
	"Tracking domains of Postal's."},
    {"link_searches_total", counter, MYSQL, U64, AT(searches),
	"Links looked for in MySQL while a visitor waited."},
    {"link_searches_limited_total", counter, MYSQL, U64, AT(searches_limited),
	"Links not looked for: too many of one server."},
    {"forwarder_up", gauge, MYSQL, U8, AT(forwarder),
	"Whether the forwarder is connected to the store."},
    {"forwarder_start_time_seconds", gauge, FORWARDER, US,
	AT(forwarder_since_us),
	"When the forwarder connected, in seconds since 1970."},
    {"forwarder_database_up", gauge, FORWARDER, U8,
	AT(forwarder_state.connected),
	"Whether the forwarder is connected to MySQL."},
    {"forwarder_written_total", counter, FORWARDER, U64,
	AT(forwarder_state.written),
	"Events written since the forwarder started."},
    {"forwarder_events_per_second", gauge, FORWARDER, U32,
	AT(forwarder_state.rate), "Events written, over ten seconds."},
    {"forwarder_webhooks_total", counter, FORWARDER, U64,
	AT(forwarder_state.webhooks), "Webhook requests written."},
    {"forwarder_webhooks_skipped_total", counter, FORWARDER, U64,
	AT(forwarder_state.webhooks_skipped),
	"Webhook requests that could not be written."},
    {"forwarder_searches_total", counter, FORWARDER, U64,
	AT(forwarder_state.searches), "Links that the forwarder looked for."},
    {"forwarder_databases", gauge, FORWARDER, U32,
	AT(forwarder_state.databases), "Message databases."},
    {"forwarder_databases_failing", gauge, FORWARDER, U32,
	AT(forwarder_state.broken), "Message databases that fail."},
    {"replica_lag_seconds", gauge, FORWARDER, MS, AT(forwarder_state.lag_ms),
	"Age of the oldest change of links that was not read yet."},
};

static uint64_t
value_of(const struct ipc_status *s, const struct number *n)
{
	const uint8_t *at = (const uint8_t *)s + n->offset;
	uint64_t u64 = 0;
	uint32_t u32 = 0;

	switch (n->unit) {
	case U8:
		return *at;
	case U32:
		memcpy(&u32, at, sizeof(u32));
		return u32;
	default:
		memcpy(&u64, at, sizeof(u64));
		return n->unit == MS ? u64 * 1000 : u64;
	}
}

static bool
holds(const struct ipc_status *s, enum when when)
{
	if (when == ALWAYS)
		return true;
	return s->mode == IPC_MODE_MYSQL && (when == MYSQL || s->forwarder);
}

static void
put_numbers(struct writer *w, const struct metrics_facts *f)
{
	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
		const struct number *n = &numbers[i];
		uint64_t value = value_of(f->status, n);

		if (!holds(f->status, n->when))
			continue;
		exposition_head(w, n->name, n->type, n->help);
		if (n->unit == MS || n->unit == US)
			exposition_seconds(w, n->name, "", NULL, value);
		else
			exposition_number(w, n->name, "", NULL, value);
	}
	if (holds(f->status, FORWARDER))
		put_gauge(w, "forwarder_error",
		    "Whether the forwarder's last error is not over yet; "
		    "`postal-tracker status` has its text.",
		    f->status->forwarder_state.error.len > 0);
}

/* --- counters of web workers ------------------------------------------- */

/* All samples of the metric that counter c belongs to. */
static void
put_series(struct writer *w, const uint64_t values[COUNTER_N], enum counter c)
{
	struct counter_series first = counter_series(c);

	exposition_head(w, first.metric, counter, first.help);
	for (int i = 0; i < COUNTER_N; i++) {
		struct counter_series s = counter_series((enum counter)i);
		struct exposition_labels labels = {.n = 0};

		if (strcmp(s.metric, first.metric) != 0)
			continue;
		if (s.label != NULL)
			labels = (struct exposition_labels){
			    1, {{s.label, span_of(s.value)}}};
		exposition_number(w, s.metric, "", &labels, values[i]);
	}
}

static bool
was_shown(enum counter c)
{
	const char *metric = counter_series(c).metric;

	for (int i = 0; i < (int)c; i++)
		if (strcmp(counter_series((enum counter)i).metric, metric) == 0)
			return true;
	return false;
}

static void
put_counters(struct writer *w, const struct metrics_facts *f)
{
	const struct ipc_list *list = &f->status->counters;
	struct cursor c = cursor_of(list->records);
	uint64_t values[COUNTER_N] = {0};
	struct ipc_counter_row row;

	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		values[row.counter] = row.value;
	}
	for (int i = 0; i < COUNTER_N; i++)
		if (!was_shown((enum counter)i))
			put_series(w, values, (enum counter)i);
}

/* --- roles ------------------------------------------------------------- */

/* During a reload there are two of a name for a moment: the younger one. */
static bool
is_hidden(
    const struct ipc_list *list, size_t at, const struct ipc_role_row *row)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_role_row other;

	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_role_row_record, &other);
		if (other.role != row->role || other.index != row->index)
			continue;
		if (other.since_us > row->since_us ||
		    (other.since_us == row->since_us && i > at))
			return true;
	}
	return false;
}

static void
put_role_up(struct writer *w, const char *name,
    const struct exposition_labels *labels, const struct ipc_role_row *row)
{
	exposition_number(w, name, "", labels, row->pid != 0);
}

static void
put_role_starts(struct writer *w, const char *name,
    const struct exposition_labels *labels, const struct ipc_role_row *row)
{
	exposition_number(w, name, "", labels, row->starts);
}

static void
put_role_since(struct writer *w, const char *name,
    const struct exposition_labels *labels, const struct ipc_role_row *row)
{
	exposition_seconds(w, name, "", labels, (uint64_t)row->since_us);
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	void (*put)(struct writer *w, const char *name,
	    const struct exposition_labels *labels,
	    const struct ipc_role_row *row);
} role_metrics[] = {
    {"role_up", gauge, "Whether this process runs.", put_role_up},
    {"role_starts_total", counter,
	"Starts of this process since the last reload.", put_role_starts},
    {"role_start_time_seconds", gauge,
	"When this process started, in seconds since 1970.", put_role_since},
};

static void
put_role(struct writer *w, size_t metric, const struct ipc_role_row *row)
{
	struct exposition_labels labels = {
	    2, {{"role", span_of(ipc_role_name(row->role))},
		   {"index", {NULL, 0}}}};
	char index[8];

	(void)snprintf(index, sizeof(index), "%u", row->index);
	labels.list[1].value = span_of(index);
	role_metrics[metric].put(w, role_metrics[metric].name, &labels, row);
}

static void
put_roles(struct writer *w, const struct metrics_facts *f)
{
	const struct ipc_list *list = &f->status->roles;
	struct ipc_role_row row;

	/* The monitor says who runs once a second; before that nobody does. */
	for (size_t m = 0; list->count > 0 && m < ARRAY_LENGTH(role_metrics);
	     m++) {
		struct cursor c = cursor_of(list->records);

		exposition_head(w, role_metrics[m].name, role_metrics[m].type,
		    role_metrics[m].help);
		for (size_t i = 0; i < list->count; i++) {
			ipc_next(&c, &ipc_role_row_record, &row);
			if (!is_hidden(list, i, &row))
				put_role(w, m, &row);
		}
	}
}

/* --- commits ----------------------------------------------------------- */

static void
put_commits(struct writer *w, const struct metrics_facts *f)
{
	static const char name[] = "commit_duration_seconds";
	struct cursor c = cursor_of(f->commits->rows.records);
	struct ipc_commit_row row;
	uint64_t n = 0;

	exposition_head(w, name, "histogram",
	    "How long the store's commits to stable storage took.");
	for (size_t i = 0; i < f->commits->rows.count; i++) {
		char most[EXPOSITION_SECONDS_SIZE] = "+Inf";
		struct exposition_labels le = {1, {{"le", {NULL, 0}}}};

		ipc_next(&c, &ipc_commit_row_record, &row);
		n += row.n;
		if (row.most_us != UINT64_MAX)
			exposition_format_seconds(row.most_us, most);
		le.list[0].value = span_of(most);
		exposition_number(w, name, "_bucket", &le, n);
	}
	exposition_seconds(w, name, "_sum", NULL, f->commits->sum_us);
	exposition_number(w, name, "_count", NULL, n);
}

/* --- certificates ------------------------------------------------------ */

static void
put_pairs(struct writer *w, const struct metrics_facts *f)
{
	struct cursor c = cursor_of(f->pairs.records);
	uint64_t n[IPC_CERTIFICATE_STATE_END] = {0};
	struct ipc_pair_state_row row;

	for (size_t i = 0; i < f->pairs.count; i++) {
		ipc_next(&c, &ipc_pair_state_row_record, &row);
		n[row.state]++;
	}
	exposition_head(w, "certificates", gauge,
	    "Certificates, by what became of them: served, kept (served, but a "
	    "newer one was refused), refused, waiting.");
	for (unsigned int i = IPC_CERTIFICATE_SERVED;
	     i < IPC_CERTIFICATE_STATE_END; i++) {
		struct exposition_labels state = {
		    1, {{"state", span_of(ipc_certificate_state_name(i))}}};

		exposition_number(w, "certificates", "", &state, n[i]);
	}
}

/* A time of each pair that is served. */
static void
put_pair_times(struct writer *w, const struct metrics_facts *f,
    const char *name, const char *help, size_t offset)
{
	struct cursor c = cursor_of(f->pairs.records);
	struct ipc_pair_state_row row;
	int64_t time;

	if (f->pairs.count == 0)
		return;
	exposition_head(w, name, gauge, help);
	for (size_t i = 0; i < f->pairs.count; i++) {
		struct exposition_labels labels = {1, {{"name", {NULL, 0}}}};

		ipc_next(&c, &ipc_pair_state_row_record, &row);
		memcpy(&time, (const uint8_t *)&row + offset, sizeof(time));
		labels.list[0].value = row.name;
		if (time > 0 && (row.state == IPC_CERTIFICATE_SERVED ||
				    row.state == IPC_CERTIFICATE_KEPT))
			exposition_number(w, name, "", &labels, (uint64_t)time);
	}
}

static void
put_pair_starts(struct writer *w, const struct metrics_facts *f)
{
	put_pair_times(w, f, "certificate_start_time_seconds",
	    "When a certificate that is served began to be valid, in seconds "
	    "since 1970.",
	    offsetof(struct ipc_pair_state_row, not_before));
}

static void
put_pair_ends(struct writer *w, const struct metrics_facts *f)
{
	put_pair_times(w, f, "certificate_end_time_seconds",
	    "When a certificate that is served ends, in seconds since 1970.",
	    offsetof(struct ipc_pair_state_row, not_after));
}

/* --- all --------------------------------------------------------------- */

/* In the order of the page; what is behind the first needs the store. A section
 * of something else than STATUS and COMMITS needs its question in ask.c and a
 * pointer in struct metrics_facts. */
static void (*const sections[])(
    struct writer *w, const struct metrics_facts *f) = {
    put_daemon,
    put_numbers,
    put_counters,
    put_roles,
    put_commits,
    put_pairs,
    put_pair_starts,
    put_pair_ends,
};

void
metrics_render(struct writer *w, const struct metrics_facts *facts)
{
	size_t n = facts->status == NULL ? 1 : ARRAY_LENGTH(sections);

	for (size_t i = 0; i < n; i++)
		sections[i](w, facts);
}
