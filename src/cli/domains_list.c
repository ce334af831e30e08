/*
 * domains_list.c - what there is for each of Postal's tracking domains
 *
 * The names come from the store's replica, and from the store, too, which rows
 * of track_certificates are served. Everything else is looked up here, by
 * whoever typed the command; it changes nothing.
 */
#include "cli/domains.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "cli/internal.h"

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

/*
 * Whether what is served lasts, or will be followed by what does: the pair of
 * its own directory, which is all that an ACME client would make anew.
 */
static bool
needs_nothing(const struct domains_look *k, const struct domains_one *d)
{
	if (d->row != NULL)
		return !domains_row_is_due(d->row, k->now);
	return domains_lasts(d->certificate, d->name, k->now) ||
	       domains_lasts(d->own, d->name, k->now);
}

static void
look_at(struct domains_look *k, struct domains_one *d)
{
	if (!is_host_name(d->name)) {
		d->need = DOMAINS_NEED_NAME;
		return;
	}
	d->own = domains_certificate_of(&k->certificates, d->name);
	domains_read_acme(&d->acme, k->o->state, k->authority, d->name);
	/* As a worker chooses: a row only where no pair is for the name. */
	if (!domains_has_pair(&k->certificates, d->name))
		d->row = domains_find_row(&k->served, d->name, k->now);
	if (d->row == NULL)
		d->certificate =
		    domains_find_certificate(&k->certificates, d->name, k->now);
	d->need = needs_nothing(k, d) ? DOMAINS_NEED_NOTHING
				      : DOMAINS_NEED_CERTIFICATE;
	/* A look-up may take long: not one that scripts have no use for. */
	if (k->o->needing && d->need == DOMAINS_NEED_NOTHING)
		return;
	if (clock_mono_ms() < k->dns_until_ms)
		domains_resolve(&d->dns, d->name, &k->here);
	if (d->need == DOMAINS_NEED_NOTHING)
		return;
	/* An authority is not bothered with what may lead elsewhere. */
	if (!d->dns.here)
		d->need = DOMAINS_NEED_DNS;
	else if (d->acme.known && d->acme.next > k->now)
		d->need = DOMAINS_NEED_PATIENCE;
}

/* --- all of it --------------------------------------------------------- */

static int
ask_store(struct domains_look *k, const struct config *c,
    struct domains_names *names, struct err *e)
{
	struct ask a;
	int failed = -1;

	if (ask_open(&a, c, false, e) == 0 &&
	    domains_read_names(&a, names, e) == 0)
		failed = certificate_states_read(&a, &k->served, e);
	ask_close(&a);
	return failed;
}

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
	struct domains_names l = {NULL, 0};
	int exit_code = EX_OK;

	if (k == NULL) {
		(void)err_errno(e, "no memory");
		return EX_OSERR;
	}
	k->o = o;
	k->now = (int64_t)time(NULL);
	domains_read_authority(config_acme_path(), k->authority);
	k->dns_until_ms = clock_mono_ms() + v->dns_within_ms;
	if (prepare(k, c, e) != 0)
		exit_code = EX_CONFIG;
	else if (ask_store(k, c, &l, e) != 0)
		exit_code = EX_UNAVAILABLE;
	for (size_t i = 0; exit_code == EX_OK && i < l.n; i++) {
		look_at(k, &l.list[i]);
		v->visit(v->owner, k, &l.list[i]);
	}
	domains_clear_certificates(&k->certificates);
	certificate_states_clear(&k->served);
	domains_clear_names(&l);
	free(k);
	return exit_code;
}
