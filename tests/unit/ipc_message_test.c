/*
 * ipc_message_test.c - the table of messages agrees with itself, and the
 * codec with the table
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "ipc/counter.h"
#include "ipc/message.h"

#define ROLES (IPC_WEB | IPC_STORE | IPC_KEEPER | IPC_ADMIN | IPC_LOGGER)
#define ASKERS (IPC_FORWARDER | IPC_TOOL)

/* Who may say what to whom: the boundary between processes, once more. */
static const struct {
	const char *name;
	unsigned int from, to;
	size_t n_fds;
} pairs[] = {
    {"PARAMS", IPC_MONITOR, ROLES, 0},
    {"WEB_SETTINGS", IPC_MONITOR, IPC_WEB, 0},
    {"STORE_SETTINGS", IPC_MONITOR, IPC_STORE, 0},
    {"CHANNEL", IPC_MONITOR, ROLES, 1},
    {"STOP", IPC_MONITOR, ROLES, 0},
    {"READY", ROLES, IPC_MONITOR, 0},
    {"REFUSED_CALL", ROLES, IPC_MONITOR, 0},
    {"REPLACE", IPC_STORE | IPC_KEEPER | IPC_LOGGER, IPC_MONITOR, 0},
    {"ROLES", IPC_MONITOR, IPC_STORE, 0},
    {"SERVERS", IPC_STORE, IPC_WEB, 0},
    {"EVENTS", IPC_WEB, IPC_STORE, 0},
    {"STORED", IPC_STORE, IPC_WEB, 0},
    {"LINK", IPC_WEB, IPC_STORE, 0},
    {"LINKED", IPC_STORE, IPC_WEB, 0},
    {"COUNTERS", IPC_WEB, IPC_STORE, 0},
    {"HELLO", ASKERS, IPC_STORE, 0},
    {"REFUSAL", IPC_STORE, ASKERS, 0},
    {"STATUS_GET", IPC_TOOL | IPC_ADMIN, IPC_STORE, 0},
    {"STATUS", IPC_STORE, IPC_TOOL | IPC_ADMIN, 0},
    {"LINK_ADD", IPC_TOOL, IPC_STORE, 0},
    {"LINK_ADDED", IPC_STORE, IPC_TOOL, 0},
    {"EVENTS_GET", IPC_TOOL, IPC_STORE, 0},
    {"EVENT_ROWS", IPC_STORE, IPC_TOOL, 0},
    {"WELCOME", IPC_STORE, IPC_FORWARDER, 0},
    {"DUE_GET", IPC_FORWARDER, IPC_STORE, 0},
    {"DUE", IPC_STORE, IPC_FORWARDER, 0},
    {"SETTLE", IPC_FORWARDER, IPC_STORE, 0},
    {"DONE", IPC_STORE, IPC_FORWARDER, 0},
    {"ASIDE_GET", IPC_FORWARDER, IPC_STORE, 0},
    {"ASIDE", IPC_STORE, IPC_FORWARDER, 0},
    {"RETRY", IPC_FORWARDER, IPC_STORE, 0},
    {"NEW_NODE", IPC_FORWARDER, IPC_STORE, 0},
    {"KNOWN_SERVERS", IPC_FORWARDER, IPC_STORE, 0},
    {"KNOWN_DOMAINS", IPC_FORWARDER, IPC_STORE, 0},
    {"REPLICA_GET", IPC_FORWARDER, IPC_STORE, 0},
    {"REPLICA", IPC_STORE, IPC_FORWARDER, 0},
    {"KNOWN_LINKS", IPC_FORWARDER, IPC_STORE, 0},
    {"SEARCH", IPC_STORE, IPC_FORWARDER, 0},
    {"SEARCHED", IPC_FORWARDER, IPC_STORE, 0},
    {"FORWARDER_STATE", IPC_FORWARDER, IPC_STORE, 0},
    {"KEEPER_SETTINGS", IPC_MONITOR, IPC_KEEPER, 0},
    {"PAIR_CHAIN", IPC_MONITOR, IPC_KEEPER, 1},
    {"PAIR_KEY", IPC_MONITOR, IPC_KEEPER, 1},
    {"PAIR_RESULT", IPC_KEEPER, IPC_MONITOR, 0},
    {"PAIR_DROP", IPC_MONITOR, IPC_KEEPER | IPC_WEB, 0},
    {"CERTIFICATE", IPC_MONITOR, IPC_WEB, 1},
    {"CERTIFICATES_DONE", IPC_MONITOR, IPC_WEB, 0},
    {"SIGN", IPC_WEB, IPC_KEEPER, 0},
    {"SIGNED", IPC_KEEPER, IPC_WEB, 0},
    {"CHALLENGE", IPC_WEB, IPC_STORE, 0},
    {"CHALLENGED", IPC_STORE, IPC_WEB, 0},
    {"DOMAINS_GET", IPC_TOOL, IPC_STORE, 0},
    {"DOMAINS", IPC_STORE, IPC_TOOL, 0},
    {"ADMIN_SETTINGS", IPC_MONITOR, IPC_ADMIN, 0},
    {"COMMITS_GET", IPC_ADMIN, IPC_STORE, 0},
    {"COMMITS", IPC_STORE, IPC_ADMIN, 0},
    {"PERMISSION_GET", IPC_ADMIN, IPC_STORE, 0},
    {"PERMISSION", IPC_STORE, IPC_ADMIN, 0},
    {"CLIENTS_GET", IPC_TOOL, IPC_STORE, 0},
    {"CLIENTS", IPC_STORE, IPC_TOOL, 0},
    {"SELFTEST", IPC_TOOL, IPC_STORE, 0},
    {"SELFTEST_STATE", IPC_STORE, IPC_TOOL, 0},
    {"LOGGER_SETTINGS", IPC_MONITOR, IPC_LOGGER, 0},
    {"LINES", IPC_WEB, IPC_LOGGER, 0},
    {"LINES_LOST", IPC_LOGGER, IPC_WEB, 0},
    {"CERTIFICATE_STATES", IPC_MONITOR, IPC_STORE, 0},
    {"CERTIFICATES_GET", IPC_TOOL | IPC_ADMIN, IPC_STORE, 0},
    {"CERTIFICATES", IPC_STORE, IPC_TOOL | IPC_ADMIN, 0},
    {"CERTIFICATE_ROWS", IPC_FORWARDER, IPC_MONITOR, 0},
    {"ROWS_WANTED", IPC_MONITOR, IPC_FORWARDER, 0},
    {"ROW_CHAIN", IPC_FORWARDER, IPC_MONITOR, 1},
    {"ROW_KEY", IPC_FORWARDER, IPC_MONITOR, 1},
    {"ROW_TAKEN", IPC_MONITOR, IPC_FORWARDER, 0},
    {"KNOWN_CHALLENGES", IPC_FORWARDER, IPC_STORE, 0},
    {"CHALLENGES_DUE", IPC_STORE, IPC_FORWARDER, 0},
    {"PING", IPC_MONITOR, ROLES, 0},
    {"PONG", ROLES, IPC_MONITOR, 0},
    {"PORT_OPEN", IPC_MONITOR, IPC_BINDER, 0},
    {"PORT_OPENED", IPC_BINDER, IPC_MONITOR, 1},
    {"PORT_REFUSED", IPC_BINDER, IPC_MONITOR, 0},
};

static void
test_pairs(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LENGTH(pairs), IPC_TYPE_END - 1);
	for (unsigned int i = 1; i < IPC_TYPE_END; i++) {
		const struct ipc_message *m = ipc_message_find(i);

		assert_non_null(m);
		assert_int_equal(m->type, i);
		assert_string_equal(m->name, pairs[i - 1].name);
		assert_int_equal(m->from, pairs[i - 1].from);
		assert_int_equal(m->to, pairs[i - 1].to);
		assert_int_equal(m->n_fds, pairs[i - 1].n_fds);
	}
	assert_null(ipc_message_find(0));
	assert_null(ipc_message_find(IPC_TYPE_END));
}

/* --- sizes ------------------------------------------------------------- */

static size_t record_size(const struct ipc_record *r, bool most);

static size_t
field_size(const struct ipc_field *f, bool most)
{
	size_t n = (size_t)(most ? f->most : f->least);

	switch (f->kind) {
	case IPC_U8:
		return 1;
	case IPC_U16:
		return 2;
	case IPC_U32:
		return 4;
	case IPC_U64:
		return 8;
	case IPC_BYTES:
		return f->most;
	case IPC_SPAN8:
		return 1 + n;
	case IPC_SPAN16:
		return 2 + n;
	default:
		return 2 + n * record_size(f->of, most);
	}
}

static size_t
record_size(const struct ipc_record *r, bool most)
{
	size_t size = 0;

	for (size_t i = 0; i < r->n_fields; i++)
		size += field_size(&r->fields[i], most);
	return size;
}

static void
test_sizes(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < IPC_TYPE_END; i++) {
		const struct ipc_message *m = ipc_message_find(i);
		size_t most = 2 + record_size(m->record, true);
		size_t cap =
		    i == IPC_EVENTS ? IPC_BATCH_BYTES_MAX : IPC_RECORD_MAX;

		assert_int_equal(m->least, 2 + record_size(m->record, false));
		assert_int_equal(m->most, most < cap ? most : cap);
	}
}

static void
test_lists_hold_no_lists(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < IPC_TYPE_END; i++) {
		const struct ipc_record *r = ipc_message_find(i)->record;

		for (size_t j = 0; j < r->n_fields; j++) {
			const struct ipc_record *of = r->fields[j].of;

			assert_true(
			    (r->fields[j].kind == IPC_LIST) == (of != NULL));
			for (size_t k = 0; of != NULL && k < of->n_fields; k++)
				assert_int_not_equal(
				    of->fields[k].kind, IPC_LIST);
		}
	}
}

/* --- round trips ------------------------------------------------------- */

static const uint8_t filler[IPC_RECORD_MAX];

static void
set_number(uint8_t *at, enum ipc_field_kind kind, uint64_t v)
{
	static const size_t sizes[] = {1, 2, 4, 8};

	/* Little-endian machines only; the codec itself is not. */
	memcpy(at, &v, sizes[kind]);
}

/* A row with every value at its least or its most. */
static void
fill(const struct ipc_record *r, uint8_t *row, bool most)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct ipc_field *f = &r->fields[i];
		uint64_t n = most ? f->most : f->least;
		struct span s = {filler, (size_t)n};

		if (f->kind <= IPC_U64)
			set_number(row + f->offset, f->kind, n);
		else if (f->kind == IPC_SPAN8 || f->kind == IPC_SPAN16)
			memcpy(row + f->offset, &s, sizeof(s));
	}
}

/* Lists with as many rows as the field demands, or two. */
static void
fill_lists(
    const struct ipc_record *r, uint8_t *row, bool most, struct writer *w)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct ipc_field *f = &r->fields[i];
		struct ipc_list list = {.count = 0};
		size_t start = w->len;
		uint8_t each[512] = {0};

		if (f->kind != IPC_LIST)
			continue;
		assert_true(f->of->size <= sizeof(each));
		fill(f->of, each, most);
		while (list.count < (most ? 2 : f->least)) {
			assert_int_equal(ipc_put(w, f->of, each), 0);
			list.count++;
		}
		list.records = (struct span){w->p + start, w->len - start};
		memcpy(row + f->offset, &list, sizeof(list));
	}
}

static size_t
encode(const struct ipc_message *m, bool most, uint8_t *bytes, size_t size)
{
	static uint8_t rows[IPC_RECORD_MAX * 2];
	struct writer list_rows = writer_of(rows, sizeof(rows));
	struct writer w = writer_of(bytes, size);
	union ipc_body body;

	memset(&body, 0, sizeof(body));
	fill(m->record, (uint8_t *)&body, most);
	fill_lists(m->record, (uint8_t *)&body, most, &list_rows);
	if (ipc_encode(&w, m->type, &body) != 0)
		return 0;
	return w.len;
}

static unsigned int
lowest(unsigned int roles)
{
	return roles & (~roles + 1);
}

static int
decode(const struct ipc_message *m, const uint8_t *bytes, size_t len)
{
	const struct ipc_message *found;
	union ipc_body body;

	return ipc_decode((struct span){bytes, len}, lowest(m->from),
	    lowest(m->to), &found, &body);
}

static void
test_round_trips(void **state)
{
	static uint8_t bytes[IPC_RECORD_MAX], again[IPC_RECORD_MAX];

	(void)state;
	for (unsigned int i = 1; i < IPC_TYPE_END; i++) {
		const struct ipc_message *m = ipc_message_find(i), *found;

		for (int most = 0; most < 2; most++) {
			size_t len = encode(m, most, bytes, sizeof(bytes));
			struct writer w = writer_of(again, sizeof(again));
			union ipc_body body;

			/* Two rows with the largest URLs fit nowhere. */
			if (len == 0 &&
			    (i == IPC_EVENT_ROWS || i == IPC_KNOWN_LINKS))
				continue;
			assert_int_not_equal(len, 0);
			assert_int_equal(
			    ipc_decode((struct span){bytes, len},
				lowest(m->from), lowest(m->to), &found, &body),
			    0);
			assert_ptr_equal(found, m);
			assert_int_equal(ipc_encode(&w, m->type, &body), 0);
			assert_int_equal(w.len, len);
			assert_memory_equal(bytes, again, len);
		}
	}
}

static void
test_truncated_or_longer_is_refused(void **state)
{
	static uint8_t bytes[IPC_RECORD_MAX + 1];

	(void)state;
	for (unsigned int i = 1; i < IPC_TYPE_END; i++) {
		const struct ipc_message *m = ipc_message_find(i);
		size_t len = encode(m, false, bytes, IPC_RECORD_MAX);

		for (size_t n = 0; n < len; n++)
			assert_int_not_equal(decode(m, bytes, n), 0);
		bytes[len] = 0;
		assert_int_not_equal(decode(m, bytes, len + 1), 0);
	}
}

static void
test_wrong_direction_is_refused(void **state)
{
	static uint8_t bytes[IPC_RECORD_MAX];
	const struct ipc_message *found;
	union ipc_body body;

	(void)state;
	for (unsigned int i = 1; i < IPC_TYPE_END; i++) {
		const struct ipc_message *m = ipc_message_find(i);
		size_t len = encode(m, false, bytes, sizeof(bytes));

		for (unsigned int from = 1; from <= IPC_BINDER; from <<= 1)
			for (unsigned int to = 1; to <= IPC_BINDER; to <<= 1) {
				bool allowed =
				    (m->from & from) != 0 && (m->to & to) != 0;

				assert_int_equal(
				    ipc_decode((struct span){bytes, len}, from,
					to, &found, &body),
				    allowed ? 0 : IPC_BREACH_TYPE);
			}
	}
}

/* One number outside its range, by its place on the wire. */
static void
test_values_out_of_range_are_refused(void **state)
{
	struct ipc_stored stored = {1, 9};
	struct ipc_link link = {1, 0, span_of("x")};
	struct ipc_link no_token = {1, 1, {NULL, 0}};
	struct ipc_events none = {1, {0, {NULL, 0}}};
	struct ipc_refusal long_reason = {{filler, 2000}};
	uint8_t bytes[64];
	struct writer w = writer_of(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(ipc_encode(&w, IPC_STORED, &stored), -1);
	assert_int_equal(ipc_encode(&w, IPC_LINK, &link), -1);
	assert_int_equal(ipc_encode(&w, IPC_LINK, &no_token), -1);
	assert_int_equal(ipc_encode(&w, IPC_EVENTS, &none), -1);
	assert_int_equal(ipc_encode(&w, IPC_REFUSAL, &long_reason), -1);
	assert_int_equal(w.len, 0);
	stored.status = IPC_STORED_YES;
	assert_int_equal(ipc_encode(&w, IPC_STORED, &stored), 0);
	bytes[10] = 9;
	assert_int_equal(decode(ipc_message_find(IPC_STORED), bytes, w.len),
	    IPC_BREACH_FORM);
	/* No room: nothing is written. */
	w = writer_of(bytes, 5);
	assert_int_equal(ipc_encode(&w, IPC_STORED, &stored), -1);
	assert_int_equal(w.len, 0);
	w = writer_of(bytes, 1);
	assert_int_equal(ipc_encode(&w, IPC_STORED, &stored), -1);
}

static void
test_texts(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < IPC_BREACH_END; i++)
		assert_string_not_equal(ipc_breach_text(i), ipc_breach_text(0));
	assert_string_equal(
	    ipc_breach_text(IPC_BREACH_END), ipc_breach_text(0));
	assert_string_equal(ipc_role_name(IPC_WEB), "web");
	assert_string_equal(ipc_role_name(3), "unknown");
	for (int i = 0; i < COUNTER_N; i++) {
		const char *name = counter_name((enum counter)i);

		assert_string_equal(name + strlen(name) - 6, "_total");
		assert_non_null(strchr(counter_help((enum counter)i), '.'));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_lists_hold_no_lists),
	    cmocka_unit_test(test_round_trips),
	    cmocka_unit_test(test_truncated_or_longer_is_refused),
	    cmocka_unit_test(test_wrong_direction_is_refused),
	    cmocka_unit_test(test_values_out_of_range_are_refused),
	    cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
