/*
 * domains.c - `postal-tracker domains`: Postal's tracking domains and what
 * each of them needs for HTTPS
 *
 * The names come from the store's replica. Everything else is looked up here,
 * by whoever typed the command; it changes nothing.
 */
#include "cli/domains.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "cli/internal.h"

#define NAME_SIZE 256
#define DAY INT64_C(86400)

enum need {
	NEED_NOTHING,	  /* a certificate that lasts */
	NEED_CERTIFICATE, /* now */
	NEED_DNS,	  /* it does not lead here */
	NEED_PATIENCE,	  /* the last try failed; not before acme.next */
	NEED_NAME,	  /* no certificate can be had for it */
};

static const char *const need_names[] = {
    "nothing", "certificate", "dns", "wait", "name"};

struct domain {
	char name[NAME_SIZE]; /* lower case */
	uint32_t server_id;
	bool dns_ok, ssl;
	struct domains_dns dns;
	const struct domains_certificate *certificate; /* that serves it */
	const struct domains_certificate *own;	       /* of its directory */
	struct domains_acme acme;
	enum need need;
};

struct list {
	struct domain *list;
	size_t n;
};

struct look {
	const struct options *o;
	struct domains_addresses here;
	struct domains_certificates certificates;
	int64_t now;
};

/* --- the names --------------------------------------------------------- */

static int
add_domain(struct list *l, const struct ipc_domain_row *row, struct err *e)
{
	struct domain *grown, *d;

	grown = realloc(l->list, (l->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return err_errno(e, "no memory for domains");
	l->list = grown;
	d = &grown[l->n];
	*d = (struct domain){.server_id = row->server_id,
	    .dns_ok = row->dns_ok != 0,
	    .ssl = row->ssl != 0};
	for (size_t i = 0; i < row->name.len && i < NAME_SIZE - 1; i++)
		d->name[i] = (char)ascii_lower(row->name.p[i]);
	l->n++;
	return 0;
}

/* One page; how many rows it had, or -1. */
static int
get_page(
    struct ask *a, struct ipc_domains_get *get, struct list *l, struct err *e)
{
	static char last[NAME_SIZE];
	struct ipc_received answer;
	const struct ipc_list *rows;
	struct ipc_domain_row row = {.server_id = 0};
	struct cursor c;

	if (ask(a, IPC_DOMAINS_GET, get, IPC_DOMAINS, &answer, e) != 0)
		return -1;
	rows = &answer.body.domains.rows;
	c = cursor_of(rows->records);
	for (size_t i = 0; i < rows->count; i++) {
		ipc_next(&c, &ipc_domain_row_record, &row);
		if (add_domain(l, &row, e) != 0)
			return -1;
	}
	if (rows->count == 0)
		return 0;
	memcpy(last, row.name.p, row.name.len);
	get->after_name = (struct span){(const uint8_t *)last, row.name.len};
	get->after_server = row.server_id;
	return rows->count;
}

static int
by_name(const void *a, const void *b)
{
	const struct domain *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Two servers may have the same name: it is one certificate. */
static void
merge(struct list *l)
{
	size_t n = 0;

	if (l->n > 0)
		qsort(l->list, l->n, sizeof(l->list[0]), by_name);
	for (size_t i = 0; i < l->n; i++) {
		struct domain *last = n > 0 ? &l->list[n - 1] : NULL;

		if (last != NULL && strcmp(last->name, l->list[i].name) == 0) {
			last->dns_ok = last->dns_ok || l->list[i].dns_ok;
			last->ssl = last->ssl || l->list[i].ssl;
			continue;
		}
		l->list[n++] = l->list[i];
	}
	l->n = n;
}

static int
get_domains(const struct config *c, struct list *l, struct err *e)
{
	struct ipc_domains_get get = {.after_name = span_of("")};
	struct ask a;
	int n;

	n = ask_open(&a, c, false, e) == 0 ? 1 : -1;
	while (n > 0)
		n = get_page(&a, &get, l, e);
	ask_close(&a);
	merge(l);
	return n;
}

/* --- looking ----------------------------------------------------------- */

/*
 * Security: what passes here becomes an argument, a file's name and a line for
 * scripts. Labels of letters, digits and inner hyphens, at least two.
 */
static bool
is_host_name(const char *name)
{
	size_t len = strlen(name), label = 0, labels = 0;

	if (len == 0 || len > TLS_NAME_MAX)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = name[i];

		if (c == '.' || c == '\0') {
			if (label == 0 || label > 63 || name[i - 1] == '-')
				return false;
			labels++;
			label = 0;
			continue;
		}
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    !(c == '-' && label > 0))
			return false;
		label++;
	}
	return labels >= 2;
}

static void
look_at(struct look *k, struct domain *d)
{
	if (!is_host_name(d->name)) {
		d->need = NEED_NAME;
		return;
	}
	d->certificate =
	    domains_find_certificate(&k->certificates, d->name, k->now);
	d->own = domains_certificate_of(&k->certificates, d->name);
	domains_read_acme(&d->acme, k->o->state, d->name);
	d->need = NEED_CERTIFICATE;
	if (d->certificate != NULL &&
	    !domains_is_due(&d->certificate->c, k->now))
		d->need = NEED_NOTHING;
	/* A look-up may take long: not one that scripts have no use for. */
	if (k->o->needing && d->need == NEED_NOTHING)
		return;
	domains_resolve(&d->dns, d->name, &k->here);
	if (d->need == NEED_NOTHING)
		return;
	if (!d->dns.here)
		d->need = NEED_DNS;
	else if (d->acme.known && d->acme.next > k->now)
		d->need = NEED_PATIENCE;
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
json_dns(const struct domains_dns *dns)
{
	char text[ADDR_TEXT_SIZE];

	(void)printf(
	    ",\"here\":%s,\"addresses\":[", dns->here ? "true" : "false");
	for (size_t i = 0; i < dns->n; i++) {
		addr_format(&dns->list[i], text);
		(void)printf("%s\"%s\"", i > 0 ? "," : "", text);
	}
	(void)fputc(']', stdout);
	json_text("dns_error", dns->error);
}

static void
json_certificate(const struct look *k, const struct domains_certificate *one)
{
	struct span rest, name;
	const char *comma = "";

	if (one == NULL) {
		(void)printf(",\"certificate\":null");
		return;
	}
	(void)printf(",\"certificate\":{\"directory\":");
	json_string(stdout, span_of(one->name));
	(void)printf(",\"not_after\":%" PRId64 ",\"days_left\":%" PRId64
		     ",\"names\":[",
	    one->c.not_after, (one->c.not_after - k->now) / DAY);
	rest = one->c.names;
	while (tls_certificate_next_name(&rest, &name)) {
		(void)fputs(comma, stdout);
		json_string(stdout, name);
		comma = ",";
	}
	(void)printf("]}");
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
print_json(const struct look *k, const struct domain *d)
{
	(void)printf("{\"name\":");
	json_string(stdout, span_of(d->name));
	(void)printf(",\"server_id\":%" PRIu32
		     ",\"postal_dns_ok\":%s,\"postal_ssl\":%s,\"needs\":\"%s\"",
	    d->server_id, d->dns_ok ? "true" : "false",
	    d->ssl ? "true" : "false", need_names[d->need]);
	json_dns(&d->dns);
	json_certificate(k, d->certificate);
	json_text("certificate_error", d->own == NULL ? NULL : d->own->error);
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
print_certificate(FILE *out, const struct look *k, const struct domain *d)
{
	const struct domains_certificate *one = d->certificate;

	if (one != NULL)
		(void)fprintf(out, "certificate %s/%s, %" PRId64 " days left",
		    k->certificates.directory, one->name,
		    (one->c.not_after - k->now) / DAY);
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
print_state(FILE *out, const struct look *k, const struct domain *d)
{
	if (d->need == NEED_NAME) {
		json_string(out, span_of(d->name));
		(void)fprintf(out, " is not the name of a host");
		return;
	}
	(void)fprintf(out, "%s: ", d->name);
	print_certificate(out, k, d);
	print_elsewhere(out, &d->dns);
	if (!d->dns_ok)
		(void)fprintf(out, "; Postal's check of its CNAME fails");
	print_acme(out, &d->acme);
}

static void
print_text(const struct look *k, const struct domain *d)
{
	(void)printf(
	    "%-11s ", d->need == NEED_NOTHING ? "ok" : need_names[d->need]);
	print_state(stdout, k, d);
	(void)printf("\n");
}

/* --- the command ------------------------------------------------------- */

static void
print_one(void *owner, const struct look *k, const struct domain *d)
{
	(void)owner;
	if (k->o->needing && d->need != NEED_CERTIFICATE)
		return;
	if (k->o->json)
		print_json(k, d);
	else if (k->o->needing)
		(void)printf("%s\n", d->name);
	else
		print_text(k, d);
}

static int
prepare(struct look *k, const struct config *c, struct err *e)
{
	if (domains_own_addresses(&k->here, e) != 0)
		return -1;
	for (size_t i = 0; i < k->o->n_targets; i++)
		if (domains_add_target(&k->here, k->o->targets[i], e) != 0)
			return -1;
	if (c->https.certificates[0] == '\0')
		return k->o->needing
			   ? err_set(e, "[https] certificates is not set: "
					"there is no place for them")
			   : 0;
	return domains_read_certificates(
	    &k->certificates, c->https.certificates, e);
}

/* Visits every name; EX_OK, or why not in e. */
static int
each_domain(const struct config *c, const struct options *o,
    void (*visit)(void *owner, const struct look *k, const struct domain *d),
    void *owner, struct err *e)
{
	struct look *k = calloc(1, sizeof(*k));
	struct list l = {NULL, 0};
	int exit_code = EX_OK;

	if (k == NULL) {
		(void)err_errno(e, "no memory");
		return EX_OSERR;
	}
	k->o = o;
	k->now = (int64_t)time(NULL);
	if (prepare(k, c, e) != 0)
		exit_code = EX_CONFIG;
	else if (get_domains(c, &l, e) != 0)
		exit_code = EX_UNAVAILABLE;
	for (size_t i = 0; exit_code == EX_OK && i < l.n; i++) {
		look_at(k, &l.list[i]);
		visit(owner, k, &l.list[i]);
	}
	domains_clear_certificates(&k->certificates);
	free(l.list);
	free(k);
	return exit_code;
}

static int
list_domains(const struct config *c, const struct options *o)
{
	struct err e;
	int exit_code = each_domain(c, o, print_one, NULL, &e);

	if (exit_code != EX_OK)
		(void)fprintf(stderr, "postal-tracker domains: %s\n", e.text);
	if (fflush(stdout) != 0)
		exit_code = EX_IOERR;
	return exit_code;
}

/* --- for `check` ------------------------------------------------------- */

struct check_visit {
	void (*say)(void *owner, const char *text);
	void *owner;
	struct domains_sum *sum;
};

static void
check_one(void *owner, const struct look *k, const struct domain *d)
{
	struct check_visit *v = owner;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	v->sum->all++;
	if (d->need == NEED_NOTHING)
		return;
	v->sum->needing++;
	out = open_memstream(&text, &len);
	if (out == NULL)
		return;
	print_state(out, k, d);
	if (fclose(out) == 0)
		v->say(v->owner, text);
	free(text);
}

int
domains_check(const struct config *c, struct domains_sum *sum,
    void (*say)(void *owner, const char *text), void *owner, struct err *e)
{
	/* Needing: names that need nothing are not looked up. */
	struct options o = {.needing = true, .state = DOMAINS_STATE_DIRECTORY};
	struct check_visit v = {say, owner, sum};

	*sum = (struct domains_sum){0, 0};
	return each_domain(c, &o, check_one, &v, e) == EX_OK ? 0 : -1;
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
	if (o.n_rest > 0)
		return cli_usage_error(argv[0], "takes no arguments");
	if (o.state == NULL)
		o.state = DOMAINS_STATE_DIRECTORY;
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	exit_code = list_domains(c, &o);
	free(c);
	return exit_code;
}
