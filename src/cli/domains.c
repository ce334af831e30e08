/*
 * domains.c - `postal-tracker domains`: Postal's tracking domains and what
 * each of them needs for HTTPS
 */
#include "cli/domains.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "cli/internal.h"

#define DAY INT64_C(86400)
/* postal-tracker-acme asks every hour. */
#define DNS_WITHIN_MS 600000

static const char *const need_names[] = {
    [DOMAINS_NEED_NOTHING] = "nothing",
    [DOMAINS_NEED_CERTIFICATE] = "certificate",
    [DOMAINS_NEED_DNS] = "dns",
    [DOMAINS_NEED_PATIENCE] = "wait",
    [DOMAINS_NEED_NAME] = "name",
};

static const char not_looked_up[] =
    "not looked up, the names before it took too long";

struct list {
	size_t n, not_looked_up;
};

static bool
is_left_out(const struct domains_look *k, const struct domains_one *d)
{
	return !d->dns.asked && d->need != DOMAINS_NEED_NAME &&
	       !(k->o->needing && d->need == DOMAINS_NEED_NOTHING);
}

/* --- JSON -------------------------------------------------------------- */

static void
json_text(const char *name, const char *value)
{
	(void)printf(",\"%s\":", name);
	if (value == NULL || value[0] == '\0')
		(void)fputs("null", stdout);
	else
		json_string(stdout, span_of(value));
}

static void
json_dns(const struct domains_look *k, const struct domains_one *d)
{
	const struct domains_dns *dns = &d->dns;
	char text[ADDR_TEXT_SIZE];

	(void)printf(
	    ",\"here\":%s,\"addresses\":[", dns->here ? "true" : "false");
	for (size_t i = 0; i < dns->n; i++) {
		addr_format(&dns->list[i], text);
		(void)printf("%s\"%s\"", i > 0 ? "," : "", text);
	}
	(void)fputc(']', stdout);
	json_text("dns_error", is_left_out(k, d) ? not_looked_up : dns->error);
}

static void
json_certificate(
    const struct domains_look *k, const struct domains_certificate *one)
{
	const struct tls_certificate *c;
	struct span rest, name;
	const char *comma = "";

	if (one == NULL) {
		(void)printf(",\"certificate\":null");
		return;
	}
	c = &one->identity->certificate;
	(void)printf(",\"certificate\":{\"directory\":");
	json_string(stdout, span_of(one->name));
	(void)printf(",\"not_after\":%" PRId64 ",\"days_left\":%" PRId64
		     ",\"names\":[",
	    c->not_after, (c->not_after - k->now) / DAY);
	rest = c->names;
	while (tls_certificate_next_name(&rest, &name)) {
		(void)fputs(comma, stdout);
		json_string(stdout, name);
		comma = ",";
	}
	(void)printf("]}");
}

static void
json_row(const struct domains_look *k, const struct certificate_state *row)
{
	if (row == NULL)
		(void)printf(",\"track_certificates\":null");
	else
		(void)printf(",\"track_certificates\":{\"not_after\":%" PRId64
			     ",\"days_left\":%" PRId64 "}",
		    row->not_after, (row->not_after - k->now) / DAY);
}

static void
json_acme(const struct domains_acme *a)
{
	if (!a->known) {
		(void)printf(",\"acme\":null");
		return;
	}
	(void)printf(",\"acme\":{\"failures\":%" PRIu64 ",\"tried\":%" PRId64
		     ",\"next\":%" PRId64,
	    a->failures, a->tried, a->next);
	json_text("error", a->error);
	(void)fputc('}', stdout);
}

static void
print_json(const struct domains_look *k, const struct domains_one *d)
{
	(void)printf("{\"name\":");
	json_string(stdout, span_of(d->name));
	(void)printf(",\"server_id\":%" PRIu32
		     ",\"postal_dns_ok\":%s,\"postal_ssl\":%s,\"needs\":\"%s\"",
	    d->server_id, d->dns_ok ? "true" : "false",
	    d->ssl ? "true" : "false", need_names[d->need]);
	json_dns(k, d);
	json_certificate(k, d->certificate);
	json_text("certificate_error", d->own == NULL ? NULL : d->own->error);
	json_row(k, d->row);
	json_acme(&d->acme);
	(void)printf("}\n");
}

/* --- text -------------------------------------------------------------- */

static void
print_elsewhere(FILE *out, const struct domains_dns *dns)
{
	char text[ADDR_TEXT_SIZE];
	const char *before = "; resolves elsewhere: ";

	if (dns->error[0] != '\0')
		(void)fprintf(out, "; does not resolve: %s", dns->error);
	for (size_t i = 0; i < dns->n; i++) {
		if (dns->own[i])
			continue;
		addr_format(&dns->list[i], text);
		(void)fprintf(out, "%s%s", before, text);
		before = " ";
	}
}

static void
print_certificate(
    FILE *out, const struct domains_look *k, const struct domains_one *d)
{
	const struct domains_certificate *one = d->certificate;

	/* Of the directories, the ACME user chose the names. */
	if (one != NULL) {
		(void)fprintf(
		    out, "certificate %s/", k->certificates.directory);
		plain_text(out, span_of(one->name));
		(void)fprintf(out, ", %" PRId64 " days left",
		    (one->identity->certificate.not_after - k->now) / DAY);
	} else if (d->row != NULL)
		(void)fprintf(out,
		    "certificate of Postal's track_certificates, %" PRId64
		    " days left",
		    (d->row->not_after - k->now) / DAY);
	else if (d->own != NULL && d->own->error[0] != '\0')
		(void)fprintf(out, "no certificate: %s/%s/%s",
		    k->certificates.directory, d->own->name, d->own->error);
	else if (d->own != NULL)
		(void)fprintf(out,
		    "no certificate: %s/%s has expired, is not valid "
		    "yet or is of other names",
		    k->certificates.directory, d->own->name);
	else
		(void)fprintf(out, "no certificate");
}

static void
print_acme(FILE *out, const struct domains_acme *a)
{
	time_t next = (time_t)a->next;
	char when[32] = "?";
	struct tm utc;

	if (!a->known || a->failures == 0)
		return;
	if (gmtime_r(&next, &utc) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
	(void)fprintf(out,
	    "; %" PRIu64 " failed, next try after %s: ", a->failures, when);
	json_string(out, span_of(a->error));
}

/* Without the end of the line. */
static void
print_state(
    FILE *out, const struct domains_look *k, const struct domains_one *d)
{
	if (d->need == DOMAINS_NEED_NAME) {
		json_string(out, span_of(d->name));
		(void)fprintf(out, " is not the name of a host");
		return;
	}
	(void)fprintf(out, "%s: ", d->name);
	print_certificate(out, k, d);
	if (is_left_out(k, d))
		(void)fprintf(out, "; %s", not_looked_up);
	print_elsewhere(out, &d->dns);
	if (!d->dns_ok)
		(void)fprintf(out, "; Postal's check of its CNAME fails");
	print_acme(out, &d->acme);
}

static void
print_text(const struct domains_look *k, const struct domains_one *d)
{
	(void)printf("%-11s ",
	    d->need == DOMAINS_NEED_NOTHING ? "ok" : need_names[d->need]);
	print_state(stdout, k, d);
	(void)printf("\n");
}

/* --- the command ------------------------------------------------------- */

static void
print_one(
    void *owner, const struct domains_look *k, const struct domains_one *d)
{
	struct list *l = owner;

	l->n++;
	l->not_looked_up += is_left_out(k, d);
	if (k->o->needing && d->need != DOMAINS_NEED_CERTIFICATE)
		return;
	if (k->o->json)
		print_json(k, d);
	else if (k->o->needing)
		(void)printf("%s\n", d->name);
	else
		print_text(k, d);
}

static int
list_domains(const struct config *c, const struct options *o)
{
	struct list l = {0, 0};
	const struct domains_visitor v = {print_one, &l, DNS_WITHIN_MS};
	struct err e;
	int exit_code = domains_each(c, o, &v, &e);

	if (exit_code != EX_OK)
		(void)fprintf(stderr, "postal-tracker domains: %s\n", e.text);
	/* Those before are as good as ever. */
	if (l.not_looked_up > 0)
		(void)fprintf(stderr,
		    "postal-tracker domains: %zu of %zu names were not looked "
		    "up, since it took more than %d minutes; see "
		    "/etc/resolv.conf, and take out of Postal what is not "
		    "used\n",
		    l.not_looked_up, l.n, DNS_WITHIN_MS / 60000);
	if (fflush(stdout) != 0)
		exit_code = EX_IOERR;
	return exit_code;
}

int
command_domains(int argc, char **argv)
{
	struct options o;
	struct config *c;
	int exit_code;

	if (options_parse(&o, argc, argv,
		OPTION_CONFIG | OPTION_JSON | OPTION_NEEDING | OPTION_STATE |
		    OPTION_TARGET) != 0)
		return EX_USAGE;
	if (o.state == NULL)
		o.state = DOMAINS_STATE_DIRECTORY;
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	exit_code = list_domains(c, &o);
	free(c);
	return exit_code;
}
