/*
 * domains.h - what `postal-tracker domains` finds out about a name
 */
#ifndef CLI_DOMAINS_H
#define CLI_DOMAINS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/err.h"
#include "config/config.h"
#include "tls/certificate.h"

/* --- addresses (domains_dns.c) ----------------------------------------- */

#define DOMAINS_HERE_MAX 256
#define DOMAINS_ADDRESSES_MAX 16

struct domains_addresses {
	struct addr list[DOMAINS_HERE_MAX];
	size_t n;
};

/* The addresses of this machine's interfaces. */
int domains_own_addresses(struct domains_addresses *a, struct err *e);
/* Adds those of a target: an address, or a name that is looked up. */
int domains_add_target(
    struct domains_addresses *a, const char *target, struct err *e);

struct domains_dns {
	bool asked;
	/* It has addresses, and every one of them is of this machine: a
	 * validation may come to any of them. */
	bool here;
	struct addr list[DOMAINS_ADDRESSES_MAX];
	bool own[DOMAINS_ADDRESSES_MAX]; /* list[i] is of this machine */
	size_t n;
	char error[128]; /* why it has none */
};

void domains_resolve(struct domains_dns *dns, const char *name,
    const struct domains_addresses *here);

/* --- certificates (domains_certificate.c) ------------------------------ */

struct domains_certificate {
	char name[256]; /* of its directory */
	struct tls_certificate c;
	uint8_t *memory;
	char error[256]; /* why it cannot be used; empty: it can */
};

struct domains_certificates {
	const char *directory;
	struct domains_certificate *list;
	size_t n;
};

/* Reads <directory>/<name>/fullchain.pem of every name. Owner: the caller
 * clears. */
int domains_read_certificates(
    struct domains_certificates *all, const char *directory, struct err *e);
void domains_clear_certificates(struct domains_certificates *all);

/* The usable one that covers host and is valid for longest; NULL: none. */
const struct domains_certificate *domains_find_certificate(
    const struct domains_certificates *all, const char *host, int64_t now);
/* The one in the directory of this name; NULL: there is none. */
const struct domains_certificate *domains_certificate_of(
    const struct domains_certificates *all, const char *host);
/* Whether less than a third of its life is left, and less than 30 days. */
bool domains_is_due(const struct tls_certificate *c, int64_t now);

/* --- the ACME client (domains_acme.c) ---------------------------------- */

#define DOMAINS_STATE_DIRECTORY "/var/lib/postal-tracker-acme/state"

/* What packaging/acme/postal-tracker-acme notes of a name that failed. */
struct domains_acme {
	bool known;
	uint64_t failures;
	int64_t tried, next; /* Unix seconds; not before next */
	char error[512];
};

/* Reads <directory>/<name>. Security: the file is an unprivileged user's. */
void domains_read_acme(
    struct domains_acme *a, const char *directory, const char *name);

/* --- for `check` (domains.c) ------------------------------------------- */

struct domains_sum {
	size_t all, needing;
};

/* Says a sentence on each name that has no certificate that lasts. -1 with
 * the reason when they cannot be listed. */
int domains_check(const struct config *c, struct domains_sum *sum,
    void (*say)(void *owner, const char *text), void *owner, struct err *e);

#endif
