/*
 * counter.c - the numbers that web workers count
 *
 * Pure; the table is the documentation.
 */
#include "ipc/counter.h"

#include <assert.h>

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
