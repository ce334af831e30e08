/*
 * counter.c - the numbers that web workers count
 *
 * Pure; the table is the documentation.
 */
#include "ipc/counter.h"

#include <assert.h>
#include <stddef.h>

struct row {
	const char *name;
	const char *help;
};

static const struct row rows[COUNTER_N] = {
    [COUNTER_CONNECTIONS] = {"connections_total", "Connections accepted."},
    [COUNTER_CONNECTIONS_REFUSED] = {"connections_refused_total",
	"Connections closed because their address had too many."},
    [COUNTER_CONNECTIONS_RECYCLED] = {"connections_recycled_total",
	"Idle connections closed to make room for new ones."},
    [COUNTER_REQUESTS] = {"requests_total", "Requests answered."},
    [COUNTER_REQUESTS_REFUSED] = {"requests_refused_total",
	"Requests that were not proper HTTP or had another method."},
    [COUNTER_REQUESTS_TIMED_OUT] = {"requests_timed_out_total",
	"Requests whose header did not arrive in time."},
    [COUNTER_OPENS] = {"opens_total", "Pictures served and recorded."},
    [COUNTER_CLICKS] = {"clicks_total", "Redirects served and recorded."},
    [COUNTER_UNKNOWN_SERVERS] = {"unknown_servers_total",
	"Answers with Invalid Server Token."},
    [COUNTER_UNKNOWN_LINKS] = {"unknown_links_total",
	"Answers with Link not found."},
    [COUNTER_UNAVAILABLE] = {"unavailable_total",
	"Clicks answered with 503 because the link could not be looked up."},
    [COUNTER_LINK_CACHE_HITS] = {"link_cache_hits_total",
	"Links found in a worker's own cache."},
    [COUNTER_LINK_LOOKUPS] = {"link_lookups_total",
	"Links that the store was asked for."},
    [COUNTER_EVENTS_LATE] = {"events_late_total",
	"Events answered before they were on stable storage."},
    [COUNTER_EVENTS_LOST] = {"events_lost_total",
	"Events that a worker could not hand to the store."},
    [COUNTER_PROXY_HEADERS_BAD] = {"proxy_headers_bad_total",
	"Connections of a trusted proxy with a bad or missing PROXY header."},
    [COUNTER_PROXY_HEADERS_UNEXPECTED] = {"proxy_headers_unexpected_total",
	"Connections refused because of a PROXY header that is not expected."},
    [COUNTER_TLS_HANDSHAKES] = {"tls_handshakes_total",
	"TLS handshakes done, resumed ones among them."},
    [COUNTER_TLS_RESUMPTIONS] = {"tls_resumptions_total",
	"TLS handshakes that resumed a session."},
    [COUNTER_TLS_FAILED_CLIENT_ALERT] = {"tls_failed_client_alert_total",
	"Handshakes that the client ended with an alert."},
    [COUNTER_TLS_FAILED_CLOSED] = {"tls_failed_closed_total",
	"Handshakes in which the client went away."},
    [COUNTER_TLS_FAILED_NOT_TLS] = {"tls_failed_not_tls_total",
	"Plain HTTP, or anything else, where TLS was expected."},
    [COUNTER_TLS_FAILED_VERSION] = {"tls_failed_version_total",
	"Handshakes with clients that have no TLS 1.2."},
    [COUNTER_TLS_FAILED_SUITE] = {"tls_failed_suite_total",
	"Handshakes without a common suite, group or signature."},
    [COUNTER_TLS_FAILED_NAME] = {"tls_failed_name_total",
	"Handshakes for names that have no certificate."},
    [COUNTER_TLS_FAILED_PROTOCOL] = {"tls_failed_protocol_total",
	"Handshakes with clients that do not want HTTP/1.1."},
    [COUNTER_TLS_FAILED_BROKEN] = {"tls_failed_broken_total",
	"Handshakes that broke the rules of TLS."},
    [COUNTER_TLS_FAILED_SIGNATURE] = {"tls_failed_signature_total",
	"Handshakes for which no keeper signed."},
    [COUNTER_TLS_FAILED_INTERNAL] = {"tls_failed_internal_total",
	"Handshakes that failed by a fault of ours."},
    [COUNTER_TLS_FAILED_TIMEOUT] = {"tls_failed_timeout_total",
	"Handshakes that took too long."},
    [COUNTER_ACCESS_LINES_DROPPED] = {"access_lines_dropped_total",
	"Lines of the access log that could not be written in time."},
};

/* Counters that are kinds of one thing, and what tells them apart; a counter
 * that is not here is a metric of its own. */
enum group { ALONE, ANSWERS, TLS_FAILED };

static const struct {
	const char *metric;
	const char *help;
	const char *label;
} groups[] = {
    [ANSWERS] = {"answers_total", "Answers to requests, by kind.", "kind"},
    [TLS_FAILED] = {"tls_handshakes_failed_total",
	"TLS handshakes that came to nothing, by reason.", "reason"},
};

static const struct {
	enum group group;
	const char *value;
} kinds[COUNTER_N] = {
    [COUNTER_REQUESTS_REFUSED] = {ANSWERS, "refused"},
    [COUNTER_REQUESTS_TIMED_OUT] = {ANSWERS, "timed_out"},
    [COUNTER_OPENS] = {ANSWERS, "open"},
    [COUNTER_CLICKS] = {ANSWERS, "click"},
    [COUNTER_UNKNOWN_SERVERS] = {ANSWERS, "unknown_server"},
    [COUNTER_UNKNOWN_LINKS] = {ANSWERS, "unknown_link"},
    [COUNTER_UNAVAILABLE] = {ANSWERS, "unavailable"},
    [COUNTER_TLS_FAILED_CLIENT_ALERT] = {TLS_FAILED, "client_alert"},
    [COUNTER_TLS_FAILED_CLOSED] = {TLS_FAILED, "closed"},
    [COUNTER_TLS_FAILED_NOT_TLS] = {TLS_FAILED, "not_tls"},
    [COUNTER_TLS_FAILED_VERSION] = {TLS_FAILED, "version"},
    [COUNTER_TLS_FAILED_SUITE] = {TLS_FAILED, "suite"},
    [COUNTER_TLS_FAILED_NAME] = {TLS_FAILED, "name"},
    [COUNTER_TLS_FAILED_PROTOCOL] = {TLS_FAILED, "protocol"},
    [COUNTER_TLS_FAILED_BROKEN] = {TLS_FAILED, "broken"},
    [COUNTER_TLS_FAILED_SIGNATURE] = {TLS_FAILED, "signature"},
    [COUNTER_TLS_FAILED_INTERNAL] = {TLS_FAILED, "internal"},
    [COUNTER_TLS_FAILED_TIMEOUT] = {TLS_FAILED, "timeout"},
};

const char *
counter_name(enum counter c)
{
	assert(c < COUNTER_N);
	return rows[c].name;
}

const char *
counter_help(enum counter c)
{
	assert(c < COUNTER_N);
	return rows[c].help;
}

struct counter_series
counter_series(enum counter c)
{
	enum group group;

	assert(c < COUNTER_N);
	group = kinds[c].group;
	if (group == ALONE)
		return (struct counter_series){
		    rows[c].name, rows[c].help, NULL, NULL};
	return (struct counter_series){groups[group].metric, groups[group].help,
	    groups[group].label, kinds[c].value};
}
