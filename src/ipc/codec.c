/*
 * codec.c - fields to bytes and back, as the table of messages says
 *
 * Pure; used by every process. Nothing here knows a particular message.
 */
#include "ipc/message.h"

#include <assert.h>
#include <string.h>

#include "base/array.h"

/* Numbers are read and written at their place in a struct by their width. */
static uint64_t
load_number(const uint8_t *at, enum ipc_field_kind kind)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (kind) {
	case IPC_U8:
		return *at;
	case IPC_U16:
		memcpy(&v16, at, sizeof(v16));
		return v16;
	case IPC_U32:
		memcpy(&v32, at, sizeof(v32));
		return v32;
	default:
		memcpy(&v64, at, sizeof(v64));
		return v64;
	}
}

static void
store_number(uint8_t *at, enum ipc_field_kind kind, uint64_t v)
{
	uint32_t v32 = (uint32_t)v;
	uint16_t v16 = (uint16_t)v;

	switch (kind) {
	case IPC_U8:
		*at = (uint8_t)v;
		break;
	case IPC_U16:
		memcpy(at, &v16, sizeof(v16));
		break;
	case IPC_U32:
		memcpy(at, &v32, sizeof(v32));
		break;
	default:
		memcpy(at, &v, sizeof(v));
	}
}

static void
write_number(struct writer *w, enum ipc_field_kind kind, uint64_t v)
{
	switch (kind) {
	case IPC_U8:
		writer_u8(w, (uint8_t)v);
		break;
	case IPC_U16:
		writer_u16(w, (uint16_t)v);
		break;
	case IPC_U32:
		writer_u32(w, (uint32_t)v);
		break;
	default:
		writer_u64(w, v);
	}
}

static uint64_t
read_number(struct cursor *c, enum ipc_field_kind kind)
{
	switch (kind) {
	case IPC_U8:
		return cursor_u8(c);
	case IPC_U16:
		return cursor_u16(c);
	case IPC_U32:
		return cursor_u32(c);
	default:
		return cursor_u64(c);
	}
}

static bool
in_range(const struct ipc_field *f, uint64_t v)
{
	return v >= f->least && v <= f->most;
}

static int
put_field(struct writer *w, const struct ipc_field *f, const uint8_t *at)
{
	struct ipc_list list;
	struct span span;

	switch (f->kind) {
	case IPC_BYTES:
		writer_bytes(w, (struct span){at, f->most});
		return 0;
	case IPC_SPAN8:
	case IPC_SPAN16:
		memcpy(&span, at, sizeof(span));
		if (!in_range(f, span.len))
			return -1;
		write_number(
		    w, f->kind == IPC_SPAN8 ? IPC_U8 : IPC_U16, span.len);
		writer_bytes(w, span);
		return 0;
	case IPC_LIST:
		memcpy(&list, at, sizeof(list));
		if (!in_range(f, list.count))
			return -1;
		writer_u16(w, list.count);
		writer_bytes(w, list.records);
		return 0;
	default:
		if (!in_range(f, load_number(at, f->kind)))
			return -1;
		write_number(w, f->kind, load_number(at, f->kind));
		return 0;
	}
}

int
ipc_put(struct writer *w, const struct ipc_record *record, const void *row)
{
	size_t before = w->len;

	for (size_t i = 0; i < record->n_fields; i++) {
		const struct ipc_field *f = &record->fields[i];

		if (put_field(w, f, (const uint8_t *)row + f->offset) != 0 ||
		    w->full) {
			w->len = before;
			w->full = false;
			return -1;
		}
	}
	return 0;
}

int
ipc_encode(struct writer *w, enum ipc_type type, const void *body)
{
	const struct ipc_message *m = ipc_message_find(type);
	size_t before = w->len;

	assert(m != NULL);
	writer_u16(w, (uint16_t)type);
	if (w->full || ipc_put(w, m->record, body) != 0 ||
	    w->len - before > m->most) {
		w->len = before;
		w->full = false;
		return -1;
	}
	return 0;
}

/*
 * Lists do not hold lists (a unit test says so), therefore records are read
 * in two flat functions: this one for a field that is no list.
 */
static void
get_plain_field(struct cursor *c, const struct ipc_field *f, uint8_t *at)
{
	struct span span;
	uint64_t v;

	if (f->kind == IPC_BYTES) {
		span = cursor_bytes(c, f->most);
		if (!c->bad)
			memcpy(at, span.p, span.len);
	} else if (f->kind == IPC_SPAN8 || f->kind == IPC_SPAN16) {
		v = read_number(c, f->kind == IPC_SPAN8 ? IPC_U8 : IPC_U16);
		c->bad = c->bad || !in_range(f, v);
		span = cursor_bytes(c, v);
		memcpy(at, &span, sizeof(span));
	} else {
		v = read_number(c, f->kind);
		c->bad = c->bad || !in_range(f, v);
		store_number(at, f->kind, v);
	}
}

void
ipc_next(struct cursor *c, const struct ipc_record *record, void *row)
{
	for (size_t i = 0; i < record->n_fields; i++) {
		const struct ipc_field *f = &record->fields[i];

		get_plain_field(c, f, (uint8_t *)row + f->offset);
	}
}

/* A row of any list fits; see the unit test. */
union any_row {
	struct ipc_network network;
	struct ipc_role_row role_row;
	struct ipc_server_row server_row;
	struct ipc_event event;
	struct ipc_counter_row counter_row;
	struct ipc_event_row event_row;
	struct ipc_due_row due_row;
	struct ipc_settle_row settle_row;
	struct ipc_aside_row aside_row;
	struct ipc_aside_server_row aside_server_row;
	struct ipc_domain_row domain_row;
	struct ipc_replica_row replica_row;
	struct ipc_known_link_row known_link_row;
	struct ipc_commit_row commit_row;
	struct ipc_pair_state_row pair_state_row;
	struct ipc_certificate_row certificate_row;
	struct ipc_wanted_row wanted_row;
	struct ipc_challenge_row challenge_row;
};

static void
get_list(struct cursor *c, const struct ipc_field *f, uint8_t *at)
{
	struct ipc_list list = {.count = cursor_u16(c)};
	const uint8_t *start = c->p;
	union any_row row;

	assert(f->of->size <= sizeof(row));
	c->bad = c->bad || !in_range(f, list.count);
	for (size_t i = 0; i < list.count && !c->bad; i++)
		ipc_next(c, f->of, &row);
	if (!c->bad)
		list.records = (struct span){start, (size_t)(c->p - start)};
	memcpy(at, &list, sizeof(list));
}

int
ipc_decode(struct span bytes, unsigned int from, unsigned int to,
    const struct ipc_message **message, union ipc_body *body)
{
	struct cursor c = cursor_of(bytes);
	const struct ipc_message *m = ipc_message_find(cursor_u16(&c));

	memset(body, 0, sizeof(*body));
	if (c.bad || m == NULL || (m->from & from) == 0 || (m->to & to) == 0)
		return IPC_BREACH_TYPE;
	*message = m;
	if (bytes.len < m->least || bytes.len > m->most)
		return IPC_BREACH_SIZE;
	for (size_t i = 0; i < m->record->n_fields; i++) {
		const struct ipc_field *f = &m->record->fields[i];

		if (f->kind == IPC_LIST)
			get_list(&c, f, (uint8_t *)body + f->offset);
		else
			get_plain_field(&c, f, (uint8_t *)body + f->offset);
	}
	return cursor_end(&c) == 0 ? 0 : IPC_BREACH_FORM;
}

const char *
ipc_breach_text(unsigned int breach)
{
	static const char *const texts[IPC_BREACH_END] = {
	    [IPC_BREACH_TYPE] = "a message that it may not send",
	    [IPC_BREACH_SIZE] = "a message of the wrong size",
	    [IPC_BREACH_FORM] = "a message with a field out of range",
	    [IPC_BREACH_DESCRIPTORS] = "the wrong number of descriptors",
	    [IPC_BREACH_ORDER] = "a message out of order",
	    [IPC_BREACH_FLOOD] = "more than it may have under way",
	    [IPC_BREACH_UNSEALED] = "a descriptor of no sealed memory file",
	};

	if (breach >= ARRAY_LENGTH(texts) || texts[breach] == NULL)
		return "an unknown breach";
	return texts[breach];
}
