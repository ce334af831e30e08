/*
 * pair_states.c - what became of each pair of HTTPS, as the monitor says
 *
 * Runs in the store, which has no part in it: it keeps the monitor's last
 * complete list and hands it, page by page, to who asks on store.sock.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

/* As many pairs as there may be, and more bytes than they need. */
#define BYTES_MOST ((size_t)4 * 1024 * 1024)

static void
forget(struct certificate_rows *r)
{
	free(r->bytes);
	*r = (struct certificate_rows){.len = 0};
}

void
pair_states_take(struct store *s, const struct ipc_certificate_states *part)
{
	struct certificate_rows *gathered = &s->certificates_gathered;
	const struct span *records = &part->rows.records;
	uint8_t *grown;

	if ((part->flags & IPC_PART_FIRST) != 0)
		forget(gathered);
	if (gathered->incomplete)
		return;
	if (records->len > 0) {
		grown = gathered->len + records->len > BYTES_MOST
			    ? NULL
			    : realloc(gathered->bytes,
				  gathered->len + records->len);
		if (grown == NULL) {
			log_warn("certificates: no memory for their states; "
				 "the old ones stay");
			gathered->incomplete = true;
			return;
		}
		memcpy(grown + gathered->len, records->p, records->len);
		gathered->bytes = grown;
		gathered->len += records->len;
	}
	if ((part->flags & IPC_PART_LAST) == 0)
		return;
	forget(&s->certificates);
	s->certificates = *gathered;
	*gathered = (struct certificate_rows){.len = 0};
}

static bool
is_behind(struct span name, struct span other)
{
	size_t len = name.len < other.len ? name.len : other.len;
	int order = len == 0 ? 0 : memcmp(name.p, other.p, len);

	return order != 0 ? order > 0 : name.len > other.len;
}

struct ipc_certificates
pair_states_page(struct store *s, struct span after, bool with_reasons)
{
	struct cursor c = cursor_of(
	    (struct span){s->certificates.bytes, s->certificates.len});
	struct writer w = writer_of(s->page, IPC_RECORD_MAX - 16);
	struct ipc_certificates page = {.rows = {0, {NULL, 0}}};
	struct ipc_pair_state_row row;

	while (c.left > 0) {
		ipc_next(&c, &ipc_pair_state_row_record, &row);
		if (!is_behind(row.name, after))
			continue;
		if (!with_reasons)
			row.reason.len = 0;
		if (ipc_put(&w, &ipc_pair_state_row_record, &row) != 0)
			break;
		page.rows.count++;
	}
	page.rows.records = writer_span(&w);
	return page;
}
