/*
 * counter.h - the numbers that web workers count
 *
 * To add one: a line here, a line in the table of counter.c, and count it
 * where it happens. It then shows in `status` and /metrics by itself.
 */
#ifndef IPC_COUNTER_H
#define IPC_COUNTER_H

enum counter {
	COUNTER_CONNECTIONS,	      /* accepted */
	COUNTER_CONNECTIONS_REFUSED,  /* over max_connections_per_address */
	COUNTER_CONNECTIONS_RECYCLED, /* idle, closed to make room */
	COUNTER_REQUESTS,
	COUNTER_REQUESTS_REFUSED,   /* 400, 405, 414, 431, 501, 505 */
	COUNTER_REQUESTS_TIMED_OUT, /* 408 */
	COUNTER_OPENS,
	COUNTER_CLICKS,
	COUNTER_UNKNOWN_SERVERS, /* 404 Invalid Server Token */
	COUNTER_UNKNOWN_LINKS,	 /* 404 Link not found */
	COUNTER_UNAVAILABLE,	 /* 503 */
	COUNTER_LINK_CACHE_HITS,
	COUNTER_LINK_LOOKUPS,
	COUNTER_EVENTS_LATE, /* answered before they were stored */
	COUNTER_EVENTS_LOST, /* never reached the store */
	COUNTER_PROXY_HEADERS_BAD,
	COUNTER_PROXY_HEADERS_UNEXPECTED, /* with proxy_protocol = no, or
					   * from a stranger */
	COUNTER_TLS_HANDSHAKES,		  /* done; also the resumed ones */
	COUNTER_TLS_RESUMPTIONS,	  /* of a session that was known */
	/* Handshakes that came to nothing, by enum tls_reason. */
	COUNTER_TLS_FAILED_CLIENT_ALERT,
	COUNTER_TLS_FAILED_CLOSED,
	COUNTER_TLS_FAILED_NOT_TLS,
	COUNTER_TLS_FAILED_VERSION,
	COUNTER_TLS_FAILED_SUITE,
	COUNTER_TLS_FAILED_NAME,
	COUNTER_TLS_FAILED_PROTOCOL,
	COUNTER_TLS_FAILED_BROKEN,
	COUNTER_TLS_FAILED_SIGNATURE,
	COUNTER_TLS_FAILED_INTERNAL,
	COUNTER_TLS_FAILED_TIMEOUT,
	COUNTER_ACCESS_LINES_DROPPED,
	COUNTER_N,
};

/* "requests_total": the name in `status --json`, one line of help. */
const char *counter_name(enum counter c);
const char *counter_help(enum counter c);

/* As /metrics shows it: counters that are kinds of one thing are one metric
 * whose label tells them apart. */
struct counter_series {
	const char *metric; /* the name of a lone counter, or of its group */
	const char *help;   /* of the metric */
	const char *label;  /* "reason"; NULL: a lone counter */
	const char *value;  /* "timeout" */
};
struct counter_series counter_series(enum counter c);

#endif
