/*
 * fields_rows.c - the fields of the messages about track_certificates
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include <stddef.h>

#include "base/array.h"

static const struct ipc_field certificate_row_fields[] = {
    {"name", IPC_SPAN8, offsetof(struct ipc_certificate_row, name), 1,
	IPC_ROW_NAME_MAX, NULL},
    {"mark", IPC_BYTES, offsetof(struct ipc_certificate_row, mark),
	IPC_ROW_MARK_SIZE, IPC_ROW_MARK_SIZE, NULL},
};
const struct ipc_record ipc_certificate_row_record = {certificate_row_fields,
    ARRAY_LENGTH(certificate_row_fields), sizeof(struct ipc_certificate_row)};

static const struct ipc_field certificate_rows_fields[] = {
    {"flags", IPC_U8, offsetof(struct ipc_certificate_rows, flags), 0,
	IPC_PART_FIRST | IPC_PART_LAST, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_certificate_rows, rows), 0,
	IPC_ROWS_MAX, &ipc_certificate_row_record},
};
const struct ipc_record ipc_certificate_rows_body = {certificate_rows_fields,
    ARRAY_LENGTH(certificate_rows_fields), sizeof(struct ipc_certificate_rows)};

static const struct ipc_field wanted_row_fields[] = {
    {"place", IPC_U16, offsetof(struct ipc_wanted_row, place), 0,
	IPC_ROWS_MAX - 1, NULL},
};
const struct ipc_record ipc_wanted_row_record = {wanted_row_fields,
    ARRAY_LENGTH(wanted_row_fields), sizeof(struct ipc_wanted_row)};

static const struct ipc_field rows_wanted_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_rows_wanted, rows), 0, IPC_ROWS_MAX,
	&ipc_wanted_row_record},
};
const struct ipc_record ipc_rows_wanted_body = {rows_wanted_fields,
    ARRAY_LENGTH(rows_wanted_fields), sizeof(struct ipc_rows_wanted)};

static const struct ipc_field row_chain_fields[] = {
    {"name", IPC_SPAN8, offsetof(struct ipc_row_chain, name), 1,
	IPC_ROW_NAME_MAX, NULL},
    {"mark", IPC_BYTES, offsetof(struct ipc_row_chain, mark), IPC_ROW_MARK_SIZE,
	IPC_ROW_MARK_SIZE, NULL},
};
const struct ipc_record ipc_row_chain_body = {row_chain_fields,
    ARRAY_LENGTH(row_chain_fields), sizeof(struct ipc_row_chain)};

const struct ipc_record ipc_row_key_body = {
    NULL, 0, sizeof(struct ipc_row_key)};

static const struct ipc_field row_taken_fields[] = {
    {"status", IPC_U8, offsetof(struct ipc_row_taken, status), IPC_ROW_OFFERED,
	IPC_ROW_LATER, NULL},
};
const struct ipc_record ipc_row_taken_body = {row_taken_fields,
    ARRAY_LENGTH(row_taken_fields), sizeof(struct ipc_row_taken)};

static const struct ipc_field challenge_row_fields[] = {
    {"token", IPC_SPAN8, offsetof(struct ipc_challenge_row, token), 1,
	IPC_CHALLENGE_TOKEN_MAX, NULL},
    {"text", IPC_SPAN16, offsetof(struct ipc_challenge_row, text), 1,
	IPC_CHALLENGE_TEXT_MAX, NULL},
};
const struct ipc_record ipc_challenge_row_record = {challenge_row_fields,
    ARRAY_LENGTH(challenge_row_fields), sizeof(struct ipc_challenge_row)};

static const struct ipc_field known_challenges_fields[] = {
    {"flags", IPC_U8, offsetof(struct ipc_known_challenges, flags), 0,
	IPC_PART_FIRST | IPC_PART_LAST | IPC_CHALLENGES_TABLE, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_known_challenges, rows), 0,
	UINT16_MAX, &ipc_challenge_row_record},
};
const struct ipc_record ipc_known_challenges_body = {known_challenges_fields,
    ARRAY_LENGTH(known_challenges_fields), sizeof(struct ipc_known_challenges)};

const struct ipc_record ipc_challenges_due_body = {
    NULL, 0, sizeof(struct ipc_challenges_due)};
