/*
 * status_certificates.c - a part of `postal-tracker status`: the pairs of
 * HTTPS, as the running daemon has them
 */
#include <inttypes.h>
#include <time.h>

#include "cli/certificates.h"

#define DAY INT64_C(86400)
/* Text shows those that end so soon. */
#define SOON_DAYS 30

static size_t
count(const struct certificate_states *all, unsigned int state)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += all->list[i].state == state;
	return n;
}

/* --- text -------------------------------------------------------------- */

static void
print_counts(const struct certificate_states *all)
{
	(void)printf(
	    "\ncertificates: %zu served", count(all, IPC_CERTIFICATE_SERVED) +
					      count(all, IPC_CERTIFICATE_KEPT));
	for (unsigned int i = IPC_CERTIFICATE_KEPT;
	     i < IPC_CERTIFICATE_STATE_END; i++)
		if (count(all, i) > 0)
			(void)printf(", %zu %s", count(all, i),
			    i == IPC_CERTIFICATE_KEPT
				? "of them older than the last one, which "
				  "was refused"
				: ipc_certificate_state_name(i));
	(void)printf("\n");
}

static void
print_end(const struct certificate_state *one, int64_t now)
{
	int64_t left = one->not_after - now;

	if (one->state == IPC_CERTIFICATE_WAITING || one->not_after == 0 ||
	    left >= SOON_DAYS * DAY)
		return;
	(void)printf("  ");
	json_string(stdout, span_of(one->name));
	if (left < 0)
		(void)printf(": EXPIRED %" PRId64 " days ago\n", -left / DAY);
	else
		(void)printf(": ends in %" PRId64 " days\n", left / DAY);
}

static void
print_refusal(const struct certificate_state *one)
{
	if (one->reason[0] == '\0')
		return;
	(void)printf("  ");
	json_string(stdout, span_of(one->name));
	(void)printf(": %s: ",
	    one->state == IPC_CERTIFICATE_KEPT
		? "the one before it is served, the newest was refused"
		: "REFUSED, not served");
	json_string(stdout, span_of(one->reason));
	(void)printf("\n");
}

void
status_certificates_text(struct ask *a)
{
	struct certificate_states all;
	int64_t now = (int64_t)time(NULL);
	struct err e;

	if (certificate_states_read(a, &all, &e) != 0)
		(void)printf("\ncertificates: not known: %s\n", e.text);
	else if (all.n > 0)
		print_counts(&all);
	for (size_t i = 0; i < all.n; i++) {
		print_end(&all.list[i], now);
		print_refusal(&all.list[i]);
	}
	certificate_states_clear(&all);
}

/* --- JSON -------------------------------------------------------------- */

static void
json_time_or_null(const char *name, int64_t seconds)
{
	if (seconds == 0)
		(void)printf(",\"%s\":null", name);
	else
		(void)printf(",\"%s\":%" PRId64, name, seconds);
}

static void
json_one(const struct certificate_state *one)
{
	(void)printf("{\"name\":");
	json_string(stdout, span_of(one->name));
	(void)printf(",\"state\":\"%s\",\"reason\":",
	    ipc_certificate_state_name(one->state));
	if (one->reason[0] == '\0')
		(void)printf("null");
	else
		json_string(stdout, span_of(one->reason));
	json_time_or_null("not_before", one->not_before);
	json_time_or_null("not_after", one->not_after);
	(void)printf(",\"names\":%u,\"chain\":\"%s\",\"chain_length\":%u}",
	    one->n_names, ipc_chain_text(one->chain), one->n_chain);
}

void
status_certificates_json(struct ask *a)
{
	struct certificate_states all;
	struct err e;

	/* Without an answer: null. */
	if (certificate_states_read(a, &all, &e) != 0) {
		(void)printf(",\"certificates\":null");
		certificate_states_clear(&all);
		return;
	}
	(void)printf(",\"certificates\":[");
	for (size_t i = 0; i < all.n; i++) {
		(void)printf("%s", i > 0 ? "," : "");
		json_one(&all.list[i]);
	}
	(void)printf("]");
	certificate_states_clear(&all);
}
