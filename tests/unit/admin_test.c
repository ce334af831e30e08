/*
 * admin_test.c - what the admin listener is asked, and the text of its metrics
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/exposition.h"
#include "admin/internal.h"
#include "admin/metrics.h"
#include "admin/target.h"
#include "base/array.h"
#include "ipc/counter.h"

/* --- targets ----------------------------------------------------------- */

#define ASK "/tls-permission?"
#define LABEL "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz."

static const struct {
	const char *target;
	enum admin_route route;
	const char *name; /* NULL: none */
} targets[] = {
    {"/health", ADMIN_HEALTH, NULL},
    {"/ready", ADMIN_READY, NULL},
    {"/metrics", ADMIN_METRICS, NULL},
    {"/metrics?name[]=x", ADMIN_METRICS, NULL},
    {"http://127.0.0.1:9092/ready", ADMIN_READY, NULL},
    {"/", ADMIN_OTHER, NULL},
    {"", ADMIN_OTHER, NULL},
    {"*", ADMIN_OTHER, NULL},
    {"/Health", ADMIN_OTHER, NULL},
    {"/health/", ADMIN_OTHER, NULL},
    {"/metrics/x", ADMIN_OTHER, NULL},
    {"/%6detrics", ADMIN_OTHER, NULL},
    {"/tls-permission", ADMIN_PERMISSION, NULL},
    {ASK, ADMIN_PERMISSION, NULL},
    {ASK "domain=", ADMIN_PERMISSION, NULL},
    {ASK "domain=click.example.com", ADMIN_PERMISSION, "click.example.com"},
    {ASK "domain=CLICK.Example.com.", ADMIN_PERMISSION, "click.example.com"},
    {ASK "domain=click%2Eexample%2ecom", ADMIN_PERMISSION, "click.example.com"},
    {ASK "a=b&domain=x.example&c", ADMIN_PERMISSION, "x.example"},
    {ASK "domain=a_b.example", ADMIN_PERMISSION, "a_b.example"},
    {ASK "domain=a&domain=b", ADMIN_PERMISSION, NULL},
    {ASK "domain=b%", ADMIN_PERMISSION, NULL},
    {ASK "domain=b%4", ADMIN_PERMISSION, NULL},
    {ASK "domain=b%zz", ADMIN_PERMISSION, NULL},
    {ASK "domain=a%00b", ADMIN_PERMISSION, NULL},
    {ASK "domain=a/b", ADMIN_PERMISSION, NULL},
    {ASK "domain=*.example.com", ADMIN_PERMISSION, NULL},
    {ASK "domain=a+b", ADMIN_PERMISSION, NULL},
    {ASK "domains=x.example", ADMIN_PERMISSION, NULL},
    {ASK "domain=" LABEL LABEL LABEL LABEL "b", ADMIN_PERMISSION,
	LABEL LABEL LABEL LABEL "b"},
    {ASK "domain=" LABEL LABEL LABEL LABEL "bc", ADMIN_PERMISSION, NULL},
};

static void
test_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
		struct admin_target t =
		    admin_target_decode(span_of(targets[i].target));
		struct span wanted =
		    span_of(targets[i].name == NULL ? "" : targets[i].name);

		if (t.route != targets[i].route ||
		    !span_equal((struct span){t.name, t.name_len}, wanted))
			fail_msg("%s", targets[i].target);
	}
}

/* --- the format -------------------------------------------------------- */

static char page[64 * 1024];

static const char *
text_of(struct writer *w)
{
	assert_false(w->full);
	assert_true(w->len < sizeof(page));
	page[w->len] = '\0';
	return page;
}

static void
test_escapes(void **state)
{
	struct exposition_labels labels = {
	    2, {{"a", span_of("x\\y\"z\nq")}, {"b", span_of("\xff\xc3\xa9")}}};
	struct writer w = writer_of(page, sizeof(page));

	(void)state;
	exposition_head(&w, "x", "gauge", "a \\ b \"c\"\nd");
	exposition_number(&w, "x", "_y", &labels, UINT64_MAX);
	exposition_number(&w, "x", "", NULL, 0);
	assert_string_equal(text_of(&w),
	    "# HELP postal_tracker_x a \\\\ b \"c\"\\nd\n"
	    "# TYPE postal_tracker_x gauge\n"
	    "postal_tracker_x_y{a=\"x\\\\y\\\"z\\nq\","
	    "b=\"\xef\xbf\xbd\xc3\xa9\"} 18446744073709551615\n"
	    "postal_tracker_x 0\n");
}

static void
test_seconds(void **state)
{
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = {{0, "0"}, {1, "0.000001"}, {100, "0.0001"},
	    {250000, "0.25"}, {1000000, "1"}, {2500000, "2.5"},
	    {10000000, "10"}, {1795629945242488, "1795629945.242488"}};
	char text[EXPOSITION_SECONDS_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		exposition_format_seconds(cases[i].us, text);
		assert_string_equal(text, cases[i].text);
	}
}

/* --- the page ---------------------------------------------------------- */

static uint8_t counter_bytes[COUNTER_N * 16], role_bytes[512], commit_bytes[64];

/* Counter i has the value 1000 + i. */
static struct ipc_list
some_counters(void)
{
	struct writer w = writer_of(counter_bytes, sizeof(counter_bytes));

	for (int i = 0; i < COUNTER_N; i++) {
		struct ipc_counter_row row = {(uint8_t)i, 1000u + (uint64_t)i};

		assert_int_equal(ipc_put(&w, &ipc_counter_row_record, &row), 0);
	}
	return (struct ipc_list){COUNTER_N, writer_span(&w)};
}

static struct ipc_list
list_roles(const struct ipc_role_row *rows, uint16_t n)
{
	struct writer w = writer_of(role_bytes, sizeof(role_bytes));

	for (size_t i = 0; i < n; i++)
		assert_int_equal(
		    ipc_put(&w, &ipc_role_row_record, &rows[i]), 0);
	return (struct ipc_list){n, writer_span(&w)};
}

static struct ipc_commits
some_commits(void)
{
	static const struct ipc_commit_row rows[] = {
	    {100, 3}, {2500, 4}, {UINT64_MAX, 5}};
	struct writer w = writer_of(commit_bytes, sizeof(commit_bytes));

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		assert_int_equal(
		    ipc_put(&w, &ipc_commit_row_record, &rows[i]), 0);
	return (struct ipc_commits){1234567, {3, writer_span(&w)}};
}

static const char *
render(const struct ipc_status *s)
{
	struct ipc_commits commits = some_commits();
	struct metrics_facts facts = {
	    .status = s, .commits = s == NULL ? NULL : &commits};
	struct writer w = writer_of(page, sizeof(page) - 1);

	metrics_render(&w, &facts);
	return text_of(&w);
}

/* The line stands there, once. */
static void
expect_line(const char *text, const char *line)
{
	char whole[256];
	const char *at;

	(void)snprintf(whole, sizeof(whole), "\n%s\n", line);
	at = strstr(text, whole);
	if (at == NULL || strstr(at + 1, whole) != NULL)
		fail_msg("%s in\n%s", line, text);
}

/* One a line, without what all names begin with. */
static void
expect_samples(const char *text, const char *samples)
{
	while (*samples != '\0') {
		int len = (int)strcspn(samples, "\n");
		char line[200];

		(void)snprintf(
		    line, sizeof(line), "postal_tracker_%.*s", len, samples);
		expect_line(text, line);
		samples += len;
		samples += *samples == '\n';
	}
}

static void
expect_none(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("%s in\n%s", part, text);
}

static struct ipc_status
some_status(void)
{
	return (struct ipc_status){.mode = IPC_MODE_STANDALONE,
	    .ready = 1,
	    .started_us = 1500000,
	    .accepted = 28,
	    .written = 1,
	    .unmatched = 2,
	    .duplicates = 3,
	    .set_aside = 4,
	    .expired = 5,
	    .pending = 6,
	    .lost = 7,
	    .late = 8,
	    .spool_bytes = 4096,
	    .max_size = 8192,
	    .counters = some_counters()};
}

static void
test_without_the_store(void **state)
{
	const char *text = render(NULL);

	(void)state;
	expect_samples(text, "build_info{version=\"" TRACKER_VERSION "\"} 1\n"
			     "store_up 0\n"
			     "ready 0");
	expect_none(text, "spool");
}

static void
test_numbers(void **state)
{
	struct ipc_status s = some_status();
	const char *text = render(&s);

	(void)state;
	expect_samples(text, "store_up 1\n"
			     "ready 1\n"
			     "store_start_time_seconds 1.5\n"
			     "spool_accepted_total 28\n"
			     "spool_written_total 1\n"
			     "spool_unmatched_total 2\n"
			     "spool_duplicates_total 3\n"
			     "spool_set_aside 4\n"
			     "spool_expired_total 5\n"
			     "spool_pending 6\n"
			     "spool_lost_total 7\n"
			     "spool_late_total 8\n"
			     "spool_size_bytes 4096\n"
			     "spool_limit_bytes 8192");
	/* Stand-alone there is neither Postal nor a forwarder. */
	expect_none(text, "forwarder");
	expect_none(text, "replica");
	expect_none(text, "domains");
}

static void
test_forwarder(void **state)
{
	struct ipc_status s = some_status();
	const char *text;

	(void)state;
	s.mode = IPC_MODE_MYSQL;
	s.domains = 9;
	text = render(&s);
	expect_samples(text, "tracking_domains 9\n"
			     "forwarder_up 0");
	/* What it said before it went away is nobody's state. */
	expect_none(text, "postal_tracker_replica_lag_seconds");
	s.forwarder = 1;
	s.forwarder_state = (struct ipc_forwarder_state){.connected = 1,
	    .rate = 70000,
	    .lag_ms = 1500,
	    .databases = 3,
	    .broken = 2,
	    .error = span_of("no")};
	text = render(&s);
	expect_samples(text, "forwarder_up 1\n"
			     "forwarder_database_up 1\n"
			     "forwarder_events_per_second 70000\n"
			     "replica_lag_seconds 1.5\n"
			     "forwarder_databases 3\n"
			     "forwarder_databases_failing 2\n"
			     "forwarder_error 1");
	s.forwarder_state.error.len = 0;
	expect_samples(render(&s), "forwarder_error 0");
}

/* Each counter is one sample, with its own value; each metric one head. */
static void
test_counters(void **state)
{
	struct ipc_status s = some_status();
	const char *text = render(&s);

	(void)state;
	for (int i = 0; i < COUNTER_N; i++) {
		struct counter_series c = counter_series((enum counter)i);
		char line[200];

		if (c.label == NULL)
			(void)snprintf(line, sizeof(line),
			    "postal_tracker_%s %d", c.metric, 1000 + i);
		else
			(void)snprintf(line, sizeof(line),
			    "postal_tracker_%s{%s=\"%s\"} %d", c.metric,
			    c.label, c.value, 1000 + i);
		expect_line(text, line);
		(void)snprintf(line, sizeof(line),
		    "# TYPE postal_tracker_%s counter", c.metric);
		expect_line(text, line);
	}
}

static void
test_roles(void **state)
{
	static const struct ipc_role_row rows[] = {
	    {IPC_STORE, 0, 11, 2, 1000000}, {IPC_WEB, 0, 12, 5, 2000000},
	    {IPC_WEB, 1, 0, 3, 3000000}, {IPC_WEB, 0, 13, 1, 4000000}};
	struct ipc_status s = some_status();
	const char *text;

	(void)state;
	expect_none(render(&s), "role_up");
	s.roles = list_roles(rows, ARRAY_LENGTH(rows));
	text = render(&s);
	/* Of two with one name the younger one. */
	expect_samples(text,
	    "role_up{role=\"store\",index=\"0\"} 1\n"
	    "role_up{role=\"web\",index=\"1\"} 0\n"
	    "role_up{role=\"web\",index=\"0\"} 1\n"
	    "role_starts_total{role=\"web\",index=\"0\"} 1\n"
	    "role_start_time_seconds{role=\"web\",index=\"0\"} 4");
}

static void
test_commits(void **state)
{
	struct ipc_status s = some_status();
	const char *text = render(&s);

	(void)state;
	expect_samples(text, "commit_duration_seconds_bucket{le=\"0.0001\"} 3\n"
			     "commit_duration_seconds_bucket{le=\"0.0025\"} 7\n"
			     "commit_duration_seconds_bucket{le=\"+Inf\"} 12\n"
			     "commit_duration_seconds_count 12\n"
			     "commit_duration_seconds_sum 1.234567");
}

static void
test_certificates(void **state)
{
	static const struct ipc_pair_state_row rows[] = {
	    {.name = {(const uint8_t *)"a", 1},
		.state = IPC_CERTIFICATE_SERVED,
		.not_before = 1790000000,
		.not_after = 1800000000},
	    {.name = {(const uint8_t *)"b", 1},
		.state = IPC_CERTIFICATE_KEPT,
		.not_after = 1700000000},
	    {.name = {(const uint8_t *)"c", 1},
		.state = IPC_CERTIFICATE_REFUSED,
		.not_before = 1890000000,
		.not_after = 1900000000},
	};
	struct ipc_status s = some_status();
	struct ipc_commits commits = some_commits();
	struct metrics_facts facts = {.status = &s, .commits = &commits};
	uint8_t bytes[200];
	struct writer out = writer_of(page, sizeof(page) - 1);
	struct writer w = writer_of(bytes, sizeof(bytes));
	const char *text;

	(void)state;
	assert_null(strstr(render(&s), "certificate_start_time"));
	assert_null(strstr(render(&s), "certificate_end_time"));
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		assert_int_equal(
		    ipc_put(&w, &ipc_pair_state_row_record, &rows[i]), 0);
	facts.pairs = (struct ipc_list){ARRAY_LENGTH(rows), writer_span(&w)};
	metrics_render(&out, &facts);
	text = text_of(&out);
	expect_samples(text,
	    "certificates{state=\"served\"} 1\n"
	    "certificates{state=\"kept\"} 1\n"
	    "certificates{state=\"refused\"} 1\n"
	    "certificates{state=\"waiting\"} 0\n"
	    "certificate_start_time_seconds{name=\"a\"} 1790000000\n"
	    "certificate_end_time_seconds{name=\"a\"} 1800000000\n"
	    "certificate_end_time_seconds{name=\"b\"} 1700000000");
	assert_null(strstr(text, "name=\"c\""));
}

static void
test_what_does_not_fit_is_seen(void **state)
{
	struct ipc_status s = some_status();
	struct ipc_commits commits = some_commits();
	struct metrics_facts facts = {.status = &s, .commits = &commits};
	char small[500];
	struct writer w = writer_of(small, sizeof(small));

	(void)state;
	metrics_render(&w, &facts);
	assert_true(w.full);
}

/* A directory's name is at most 255 bytes, and quotes become two. */
static void
test_the_longest_names_fit(void **state)
{
	struct ipc_status s = some_status();
	struct ipc_commits commits = some_commits();
	struct metrics_facts facts = {.status = &s, .commits = &commits};
	struct writer rows = writer_of(malloc(PAIRS_SIZE), PAIRS_SIZE);
	struct writer w = writer_of(malloc(PAGE_SIZE), PAGE_SIZE);
	uint8_t name[255];
	struct ipc_pair_state_row row = {
	    .name = {name, sizeof(name)}, .not_after = INT64_C(253402300799)};

	(void)state;
	assert_true(rows.p != NULL && w.p != NULL);
	memset(name, '"', sizeof(name));
	for (size_t i = 0; i < 2 * (size_t)IPC_PAIRS_MAX; i++) {
		row.state = i < IPC_PAIRS_MAX ? IPC_CERTIFICATE_SERVED
					      : IPC_CERTIFICATE_REFUSED;
		assert_int_equal(
		    ipc_put(&rows, &ipc_pair_state_row_record, &row), 0);
	}
	facts.pairs = (struct ipc_list){2 * IPC_PAIRS_MAX, writer_span(&rows)};
	metrics_render(&w, &facts);
	assert_false(w.full);
	free(rows.p);
	free(w.p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_seconds),
	    cmocka_unit_test(test_without_the_store),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_forwarder),
	    cmocka_unit_test(test_counters),
	    cmocka_unit_test(test_roles),
	    cmocka_unit_test(test_commits),
	    cmocka_unit_test(test_certificates),
	    cmocka_unit_test(test_what_does_not_fit_is_seen),
	    cmocka_unit_test(test_the_longest_names_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
