/*
 * check_domains.c - `postal-tracker check`: Postal's tracking domains, whether
 * each of them leads here and has a certificate
 *
 * What their certificates are like is said by check_certificates.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#include "cli/check.h"
#include "cli/domains.h"

/* More of them are for `postal-tracker domains`. */
#define LINES_MOST 20
/* A name server that is away costs some seconds a name. */
#define DNS_WITHIN_MS 30000

struct sum {
	struct check *k;
	size_t n, faulty, lines, not_asked;
};

static void
begin_fault(struct sum *s)
{
	s->faulty++;
	s->lines++;
}

/* --- one fault each ---------------------------------------------------- */

static bool
check_name(struct sum *s, const struct domains_one *d)
{
	if (d->need != DOMAINS_NEED_NAME)
		return false;
	begin_fault(s);
	if (s->lines <= LINES_MOST)
		check_say(s->k, "warn",
		    "domain %s: this is not the name of a host; correct it in "
		    "Postal",
		    d->name);
	return true;
}

static void
list_elsewhere(const struct domains_dns *dns, char *text, size_t size)
{
	char one[ADDR_TEXT_SIZE];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < dns->n && len < size; i++) {
		if (dns->own[i])
			continue;
		addr_format(&dns->list[i], one);
		len += (size_t)snprintf(
		    text + len, size - len, "%s%s", len > 0 ? " " : "", one);
	}
}

static bool
check_dns(struct sum *s, const struct domains_one *d)
{
	const char *also = d->certificate == NULL && d->row == NULL &&
				   s->k->config->https.certificates[0] != '\0'
			       ? ", and it has no certificate"
			       : "";
	char text[DOMAINS_ADDRESSES_MAX * ADDR_TEXT_SIZE];

	s->not_asked += !d->dns.asked;
	if (!d->dns.asked || d->dns.here)
		return false;
	begin_fault(s);
	if (s->lines > LINES_MOST)
		return true;
	if (d->dns.n == 0) {
		check_say(s->k, "warn",
		    "domain %s: it does not resolve (%s), so that no visitor "
		    "finds it%s; make a CNAME or address record for it that "
		    "leads to this machine",
		    d->name, d->dns.error, also);
		return true;
	}
	list_elsewhere(&d->dns, text, sizeof(text));
	check_say(s->k, "warn",
	    "domain %s: it leads to %s, which is no address of this machine%s; "
	    "make its records lead here, or, if that address does, name it in "
	    "[http] public_address",
	    d->name, text, also);
	return true;
}

/* What Postal saw when it looked last, which it does every hour. */
static bool
check_postal(struct sum *s, const struct domains_one *d)
{
	if (d->dns_ok)
		return false;
	begin_fault(s);
	if (s->lines <= LINES_MOST)
		check_say(s->k, "warn",
		    "domain %s: Postal's own check of its DNS fails, so that "
		    "new mail is sent without tracking; it has to be a CNAME "
		    "of exactly what Postal has as dns.track_domain, then "
		    "check it again in Postal's web interface",
		    d->name);
	return true;
}

static void
say_no_certificate(
    struct check *k, const struct domains_look *l, const struct domains_one *d)
{
	bool has_default =
	    domains_certificate_of(&l->certificates, "default") != NULL;
	const char *shown = has_default ? "visitors are shown that of `default`"
					: "its visitors get unrecognized_name";
	char when[32] = "?";
	time_t next = (time_t)d->acme.next;
	struct tm utc;

	if (gmtime_r(&next, &utc) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
	if (d->own != NULL && d->own->error[0] != '\0')
		check_say(k, "warn",
		    "domain %s: its certificate cannot be used (%s), %s; see "
		    "the lines on certificates",
		    d->name, d->own->error, shown);
	else if (d->acme.known && d->acme.failures > 0)
		check_say(k, "warn",
		    "domain %s: it has no certificate, %s, and the last of "
		    "%" PRIu64 " tries to get one said \"%s\"; mend that, the "
		    "next try is after %s",
		    d->name, shown, d->acme.failures, d->acme.error, when);
	else
		check_say(k, "warn",
		    "domain %s: it has no certificate, %s; get one: "
		    "`systemctl start postal-tracker-acme`, or with the ACME "
		    "client of your choice",
		    d->name, shown);
}

static bool
check_certificate(
    struct sum *s, const struct domains_look *l, const struct domains_one *d)
{
	if (d->certificate != NULL || d->row != NULL ||
	    s->k->config->https.certificates[0] == '\0')
		return false;
	begin_fault(s);
	if (s->lines <= LINES_MOST)
		say_no_certificate(s->k, l, d);
	return true;
}

/* --- all of them ------------------------------------------------------- */

/* The first of what is wrong: what comes later may follow from it. */
static void
check_one(
    void *owner, const struct domains_look *l, const struct domains_one *d)
{
	struct sum *s = owner;

	s->n++;
	if (check_name(s, d) || check_dns(s, d) || check_postal(s, d))
		return;
	(void)check_certificate(s, l, d);
}

static void
say_sum(struct sum *s)
{
	const char *what = s->k->config->https.certificates[0] != '\0'
			       ? "lead here and have a certificate"
			       : "lead here";

	if (s->not_asked > 0)
		check_say(s->k, "warn",
		    "tracking domains: %zu were not looked up, name servers "
		    "are too slow; see /etc/resolv.conf",
		    s->not_asked);
	if (s->faulty > 0)
		check_say(s->k, "warn",
		    "tracking domains: %zu of %zu are not in order; all of "
		    "them: `postal-tracker domains`",
		    s->faulty, s->n);
	else if (s->n == 0 && s->not_asked == 0)
		check_say(s->k, "ok", "tracking domains: none known");
	else if (s->not_asked == 0)
		check_say(
		    s->k, "ok", "tracking domains: all %zu %s", s->n, what);
}

void
check_domains(struct check *k)
{
	const struct options o = {.state = DOMAINS_STATE_DIRECTORY};
	struct sum sum = {.k = k};
	const struct domains_visitor v = {check_one, &sum, DNS_WITHIN_MS};
	int exit_code;
	struct err e;

	if (k->config->postal.mode != CONFIG_MODE_MYSQL)
		return;
	exit_code = domains_each(k->config, &o, &v, &e);
	if (exit_code == EX_OK)
		say_sum(&sum);
	else
		/* Without a daemon there is nobody to ask for them. */
		check_say(k, exit_code == EX_UNAVAILABLE ? "ok" : "warn",
		    "tracking domains: not looked at: %s", e.text);
}
