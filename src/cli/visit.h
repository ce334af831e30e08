/*
 * visit.h - one request, as a reader of mail would make it
 */
#ifndef CLI_VISIT_H
#define CLI_VISIT_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/err.h"

#define VISIT_HOST_SIZE 256
#define VISIT_VALUE_SIZE 512

/* Where to ask. */
struct visit_place {
	bool https;
	char host[VISIT_HOST_SIZE]; /* as in Host; IPv6 in brackets */
	uint16_t port;
	/* Connect here, whatever the host's name leads to; port 0: no. Then
	 * the certificate is not looked at either. */
	struct endpoint direct;
	/* Begin with `PROXY UNKNOWN`: from an address that has to. */
	bool proxy_header;
};

struct visit_answer {
	int status;
	char type[VISIT_VALUE_SIZE]; /* Content-Type */
	char location[VISIT_VALUE_SIZE];
	int64_t took_us;
};

/* "http://host[:port]" or https, with nothing behind but a slash. */
int visit_parse(const char *url, struct visit_place *place, struct err *e);

/* "https://click.example.com:8443" */
#define VISIT_URL_SIZE 320
void visit_format(const struct visit_place *place, char text[VISIT_URL_SIZE]);

/* A visitor would have gone long ago. */
#define VISIT_WITHIN_MS 20000

/*
 * GET path. HTTPS is asked by curl(1), which has to be installed: it knows
 * TLS as clients do, and the machine's authorities. -1 also when the whole
 * answer is not there within_ms, however it goes on. (How long the look-up of
 * a name may take is the resolver's.)
 */
int visit(const struct visit_place *place, const char *path, uint64_t within_ms,
    struct visit_answer *answer, struct err *e);

/* The head of an answer, "HTTP/1.1 200 ...": its status and what else is
 * wanted; of several the last. -1: it is none. Pure. */
int visit_read_head(struct span text, struct visit_answer *answer);

#endif
