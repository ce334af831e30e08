/*
 * check_rows.c - `postal-tracker check`: pairs of Postal's table, as the
 * running daemon says
 */
#include <string.h>

#include "cli/check_pairs.h"
#include "monitor/pairs.h"

size_t
check_pairs_of_rows(struct pairs_look *l)
{
	const size_t prefix = strlen(PAIRS_OF_ROWS);
	size_t served = 0;

	for (size_t i = 0; i < l->states.n; i++) {
		const struct certificate_state *s = &l->states.list[i];

		if (strncmp(s->name, PAIRS_OF_ROWS, prefix) != 0)
			continue;
		if (s->state == IPC_CERTIFICATE_REFUSED ||
		    s->state == IPC_CERTIFICATE_KEPT)
			check_say(l->k, "FAIL",
			    "certificate of %s in track_certificates: %s, so "
			    "that %s; have Postal issue it again, or put a "
			    "pair for it into [https] certificates",
			    s->name + prefix, s->reason,
			    s->state == IPC_CERTIFICATE_KEPT
				? "the one before it is served"
				: "it is not served");
		if (s->state == IPC_CERTIFICATE_SERVED ||
		    s->state == IPC_CERTIFICATE_KEPT)
			served++;
	}
	if (served > 0)
		check_say(l->k, "ok",
		    "certificates: %zu of Postal's track_certificates are "
		    "served",
		    served);
	return served;
}
