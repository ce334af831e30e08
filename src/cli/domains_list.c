/*
 * domains_list.c - Postal's tracking domains, and what there is for each
 *
 * The names come from the store's replica. Everything else is looked up here,
 * by whoever typed the command; it changes nothing.
 */
#include "cli/domains.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "cli/internal.h"

struct list {
	struct domains_one *list;
	size_t n;
};

/* --- the names --------------------------------------------------------- */

static int
add_domain(struct list *l, const struct ipc_domain_row *row, struct err *e)
{
	struct domains_one *grown, *d;

	grown = realloc(l->list, (l->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return err_errno(e, "no memory for domains");
	l->list = grown;
	d = &grown[l->n];
	*d = (struct domains_one){.server_id = row->server_id,
	    .dns_ok = row->dns_ok != 0,
	    .ssl = row->ssl != 0};
	for (size_t i = 0; i < row->name.len && i < DOMAINS_NAME_SIZE - 1; i++)
		d->name[i] = (char)ascii_lower(row->name.p[i]);
	l->n++;
	return 0;
}

/* One page; how many rows it had, or -1. */
static int
get_page(
    struct ask *a, struct ipc_domains_get *get, struct list *l, struct err *e)
{
	static char last[DOMAINS_NAME_SIZE];
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
	const struct domains_one *x = a, *y = b;

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
		struct domains_one *last = n > 0 ? &l->list[n - 1] : NULL;

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
look_at(struct domains_look *k, struct domains_one *d)
{
	if (!is_host_name(d->name)) {
		d->need = DOMAINS_NEED_NAME;
		return;
	}
	d->certificate =
	    domains_find_certificate(&k->certificates, d->name, k->now);
	d->own = domains_certificate_of(&k->certificates, d->name);
	domains_read_acme(&d->acme, k->o->state, d->name);
	d->need = DOMAINS_NEED_CERTIFICATE;
	if (d->certificate != NULL &&
	    !domains_is_due(&d->certificate->c, k->now))
		d->need = DOMAINS_NEED_NOTHING;
	/* A look-up may take long: not one that scripts have no use for. */
	if (k->o->needing && d->need == DOMAINS_NEED_NOTHING)
		return;
	if (k->dns_until_ms == 0 || clock_mono_ms() < k->dns_until_ms)
		domains_resolve(&d->dns, d->name, &k->here);
	if (d->need == DOMAINS_NEED_NOTHING)
		return;
	if (d->dns.asked && !d->dns.here)
		d->need = DOMAINS_NEED_DNS;
	else if (d->acme.known && d->acme.next > k->now)
		d->need = DOMAINS_NEED_PATIENCE;
}

/* --- all of it --------------------------------------------------------- */

static int
prepare(struct domains_look *k, const struct config *c, struct err *e)
{
	if (domains_own_addresses(&k->here, e) != 0)
		return -1;
	for (size_t i = 0; i < k->o->n_targets; i++)
		if (domains_add_target(&k->here, k->o->targets[i], e) != 0)
			return err_prefix(e, "--target");
	if (c->http.public_address[0] != '\0' &&
	    domains_add_target(&k->here, c->http.public_address, e) != 0)
		return err_prefix(e, "[http] public_address");
	if (c->https.certificates[0] == '\0')
		return k->o->needing
			   ? err_set(e, "[https] certificates is not set: "
					"there is no place for them")
			   : 0;
	return domains_read_certificates(
	    &k->certificates, c->https.certificates, e);
}

int
domains_each(const struct config *c, const struct options *o,
    const struct domains_visitor *v, struct err *e)
{
	struct domains_look *k = calloc(1, sizeof(*k));
	struct list l = {NULL, 0};
	int exit_code = EX_OK;

	if (k == NULL) {
		(void)err_errno(e, "no memory");
		return EX_OSERR;
	}
	k->o = o;
	k->now = (int64_t)time(NULL);
	if (v->dns_within_ms != 0)
		k->dns_until_ms = clock_mono_ms() + v->dns_within_ms;
	if (prepare(k, c, e) != 0)
		exit_code = EX_CONFIG;
	else if (get_domains(c, &l, e) != 0)
		exit_code = EX_UNAVAILABLE;
	for (size_t i = 0; exit_code == EX_OK && i < l.n; i++) {
		look_at(k, &l.list[i]);
		v->visit(v->owner, k, &l.list[i]);
	}
	domains_clear_certificates(&k->certificates);
	free(l.list);
	free(k);
	return exit_code;
}
