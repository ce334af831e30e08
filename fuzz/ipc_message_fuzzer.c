/*
 * ipc_message_fuzzer.c - messages between processes, from a hijacked peer
 *
 * The first byte says who sends to whom, in four bits each. Properties: what is decoded encodes
 * to the same bytes; spans and lists lie inside the input; a message is taken
 * only from those the table allows.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fuzz/demand.h"
#include "ipc/message.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_fields(
    const struct ipc_record *r, const union ipc_body *body, struct span whole)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct ipc_field *f = &r->fields[i];
		const uint8_t *at = (const uint8_t *)body + f->offset;
		struct ipc_list list;
		struct span span;

		if (f->kind == IPC_SPAN8 || f->kind == IPC_SPAN16) {
			memcpy(&span, at, sizeof(span));
			demand_inside(span, whole);
			demand(span.len >= f->least && span.len <= f->most);
		} else if (f->kind == IPC_LIST) {
			memcpy(&list, at, sizeof(list));
			demand_inside(list.records, whole);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[IPC_RECORD_MAX];
	struct writer w = writer_of(again, sizeof(again));
	const struct ipc_message *m = NULL;
	union ipc_body body;
	struct span whole;
	unsigned int from, to;

	if (size < 1)
		return 0;
	from = 1u << (data[0] & 15);
	to = 1u << (data[0] >> 4);
	whole = (struct span){data + 1, size - 1};
	if (ipc_decode(whole, from, to, &m, &body) != 0)
		return 0;
	demand((m->from & from) != 0 && (m->to & to) != 0);
	demand(whole.len >= m->least && whole.len <= m->most);
	check_fields(m->record, &body, whole);
	demand(ipc_encode(&w, m->type, &body) == 0);
	demand(w.len == whole.len);
	demand(memcmp(again, whole.p, w.len) == 0);
	return 0;
}
