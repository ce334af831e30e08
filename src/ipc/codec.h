/*
 * codec.h - how the table describes a message, and the code that walks it
 *
 * A part of message.h.
 */
#ifndef IPC_CODEC_H
#define IPC_CODEC_H

#include "ipc/message.h"

enum ipc_field_kind {
	IPC_U8,
	IPC_U16,
	IPC_U32,
	IPC_U64,    /* also of int64_t, as two's complement */
	IPC_BYTES,  /* exactly `most` bytes in place */
	IPC_SPAN8,  /* length in one byte */
	IPC_SPAN16, /* length in two */
	IPC_LIST,   /* count in two bytes, then records of `of` */
};

struct ipc_record;

struct ipc_field {
	const char *name;
	enum ipc_field_kind kind;
	size_t offset;
	uint64_t least, most; /* of the value, the length or the count */
	const struct ipc_record *of;
};

/* The fields of a message or of one record of a list. */
struct ipc_record {
	const struct ipc_field *fields;
	size_t n_fields;
	size_t size; /* of the struct */
};

struct ipc_message {
	enum ipc_type type;
	const char *name;
	unsigned int from, to; /* enum ipc_role, one or more */
	size_t least, most;    /* bytes, the type included */
	size_t n_fds;
	const struct ipc_record *record;
};

/* The row of a type; NULL when there is none. */
const struct ipc_message *ipc_message_find(unsigned int type);

/* Records of lists. */
extern const struct ipc_record ipc_network_record;
extern const struct ipc_record ipc_role_row_record;
extern const struct ipc_record ipc_listener_row_record;
extern const struct ipc_record ipc_server_row_record;
extern const struct ipc_record ipc_event_record;
extern const struct ipc_record ipc_counter_row_record;
extern const struct ipc_record ipc_event_row_record;
extern const struct ipc_record ipc_due_row_record;
extern const struct ipc_record ipc_settle_row_record;
extern const struct ipc_record ipc_aside_row_record;
extern const struct ipc_record ipc_aside_server_row_record;
extern const struct ipc_record ipc_domain_row_record;
extern const struct ipc_record ipc_selftest_row_record;
extern const struct ipc_record ipc_replica_row_record;
extern const struct ipc_record ipc_known_link_row_record;
extern const struct ipc_record ipc_commit_row_record;
extern const struct ipc_record ipc_pair_state_row_record;

/*
 * Writes type and fields. -1 when a value is outside its range or w is full;
 * w is then as before. The rows of a list are written beforehand, with
 * ipc_put, into memory that the list borrows.
 */
int ipc_encode(struct writer *w, enum ipc_type type, const void *body);

/*
 * Reads one record. Spans and lists of body borrow its bytes; lists are
 * checked through. Returns 0 or an enum ipc_breach. Who may send what to whom
 * is asked first: a message that is not in the table for this pair is
 * IPC_BREACH_TYPE whatever it holds.
 */
int ipc_decode(struct span bytes, unsigned int from, unsigned int to,
    const struct ipc_message **message, union ipc_body *body);

/* One record of a list; as ipc_encode. */
int ipc_put(struct writer *w, const struct ipc_record *record, const void *row);

/*
 * The next record of a decoded list, into row; call it list->count times with
 * a cursor over list->records.
 */
void ipc_next(struct cursor *c, const struct ipc_record *record, void *row);

/* "a message of the wrong size" */
const char *ipc_breach_text(unsigned int breach);

#endif
