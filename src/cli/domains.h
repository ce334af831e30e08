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
#include "cli/certificates.h"
#include "cli/internal.h"
#include "config/config.h"
#include "tls/set.h"

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
	char name[256];			     /* of its directory */
	const struct tls_identity *identity; /* NULL: it cannot be used */
	char error[256];		     /* why; else empty */
};

struct domains_certificates {
	const char *directory;
	struct domains_certificate *list;
	size_t n;
	struct tls_set *set; /* a worker's; NULL: nothing was read */
};

/* Reads <directory>/<name>/fullchain.pem of every name. Owner: the caller
 * clears. Security: whoever writes there chooses how many and how long they
 * are; beyond CERTIFICATES_ENTRIES_MAX entries, as for the daemon, or
 * DOMAINS_CHAINS_MOST bytes it is an error. */
#define DOMAINS_CHAINS_MOST ((size_t)32 * 1024 * 1024)
int domains_read_certificates(
    struct domains_certificates *all, const char *directory, struct err *e);
void domains_clear_certificates(struct domains_certificates *all);

/* The one that a worker serves for host; of two kinds of keys the one that
 * ends last, since the other one gives way when it ends. NULL: it serves none
 * that covers host and is valid now. */
const struct domains_certificate *domains_find_certificate(
    const struct domains_certificates *all, const char *host, int64_t now);
/* The one in the directory of this name; NULL: there is none. */
const struct domains_certificate *domains_certificate_of(
    const struct domains_certificates *all, const char *host);
/* Whether there is one for it, be it valid or not: then a worker looks for no
 * row of Postal's. */
bool domains_has_pair(const struct domains_certificates *all, const char *host);
/* Whether it is valid for host, and at least a third of its life is left, or 30
 * days. NULL: it is not. */
bool domains_lasts(
    const struct domains_certificate *one, const char *host, int64_t now);
/* Whether less than a third of its life is left of a row of track_certificates,
 * and less than 14 days: Postal renews it by itself when 31 to 21 are left, and
 * tries again every day. */
bool domains_row_is_due(const struct certificate_state *row, int64_t now);
/* What is served of the row of this name, valid now; NULL: nothing. */
const struct certificate_state *domains_find_row(
    const struct certificate_states *all, const char *host, int64_t now);

/* --- the ACME client (domains_acme.c) ---------------------------------- */

#define DOMAINS_STATE_DIRECTORY "/var/lib/postal-tracker-acme/state"
/* That of packaging/acme/postal-tracker-acme. */
#define DOMAINS_AUTHORITY "https://acme-v02.api.letsencrypt.org/directory"
#define DOMAINS_AUTHORITY_SIZE 512

/* What packaging/acme/postal-tracker-acme notes of a name that failed. */
struct domains_acme {
	bool known;
	uint64_t failures;
	int64_t tried, next; /* Unix seconds; not before next */
	char error[512];
};

/* The authority that is asked: ACME_URL of the environment, as the service has
 * it, or else of the file at path, as systemd reads it. */
void domains_read_authority(
    const char *path, char authority[DOMAINS_AUTHORITY_SIZE]);

/* Reads <directory>/<name>; a note of another authority is none. Security: the
 * file is an unprivileged user's. */
void domains_read_acme(struct domains_acme *a, const char *directory,
    const char *authority, const char *name);

/* --- the names (domains_names.c) --------------------------------------- */

#define DOMAINS_NAME_SIZE 256
/* A hundred times what a large Postal has. */
#define DOMAINS_MOST 100000

enum domains_need {
	DOMAINS_NEED_NOTHING,	  /* a certificate that lasts */
	DOMAINS_NEED_CERTIFICATE, /* now */
	DOMAINS_NEED_DNS,      /* it does not lead here, or is not known to */
	DOMAINS_NEED_PATIENCE, /* the last try failed; wait for acme.next */
	DOMAINS_NEED_NAME,     /* no certificate can be had for it */
};

/* A tracking domain of Postal. */
struct domains_one {
	char name[DOMAINS_NAME_SIZE]; /* lower case */
	uint32_t server_id;
	bool dns_ok, ssl; /* what Postal says */
	struct domains_dns dns;
	const struct domains_certificate *certificate; /* that serves it */
	const struct domains_certificate *own;	       /* of its directory */
	/* Of Postal 1.x's table, when that is what serves it. */
	const struct certificate_state *row;
	struct domains_acme acme;
	enum domains_need need;
};

struct domains_names {
	struct domains_one *list;
	size_t n;
};

/* All that the store has, by name, those of several servers once. -1: it does
 * not answer, or names more than DOMAINS_MOST. Owner: the caller clears, also
 * then. */
int domains_read_names(struct ask *a, struct domains_names *all, struct err *e);
void domains_clear_names(struct domains_names *all);

/* --- what there is for each (domains_list.c) --------------------------- */

/* What they are compared with. */
struct domains_look {
	const struct options *o;
	struct domains_addresses here;
	struct domains_certificates certificates;
	struct certificate_states served; /* by the daemon */
	char authority[DOMAINS_AUTHORITY_SIZE];
	int64_t now;
	uint64_t dns_until_ms;
};

struct domains_visitor {
	void (*visit)(void *owner, const struct domains_look *k,
	    const struct domains_one *d);
	void *owner;
	/* No look-up begins later; names behind have dns.asked false, and need
	 * it. Security: the store chooses how many there are, and strangers
	 * run their name servers. */
	uint64_t dns_within_ms;
};

/* Visits every name, those of several servers once; of o: needing (then names
 * that need nothing are not looked up), state, targets. EX_OK, or why not in
 * e. */
int domains_each(const struct config *c, const struct options *o,
    const struct domains_visitor *v, struct err *e);

#endif
