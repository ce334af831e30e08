/*
 * fields_tool.c - the fields of the messages of `check` and `selftest`
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include <stddef.h>

#include "base/array.h"

const struct ipc_record ipc_clients_get_body = {
    NULL, 0, sizeof(struct ipc_clients_get)};

static const struct ipc_field clients_fields[] = {
    {"n", IPC_U64, offsetof(struct ipc_clients, n), 0, UINT64_MAX, NULL},
    {"ip", IPC_BYTES, offsetof(struct ipc_clients, ip), 16, 16, NULL},
};
const struct ipc_record ipc_clients_body = {
    clients_fields, ARRAY_LENGTH(clients_fields), sizeof(struct ipc_clients)};

static const struct ipc_field selftest_fields[] = {
    {"step", IPC_U8, offsetof(struct ipc_selftest, step), IPC_SELFTEST_BEGIN,
	IPC_SELFTEST_END, NULL},
    {"server", IPC_SPAN8, offsetof(struct ipc_selftest, server), 0,
	IPC_TOKEN_MAX, NULL},
};
const struct ipc_record ipc_selftest_body = {selftest_fields,
    ARRAY_LENGTH(selftest_fields), sizeof(struct ipc_selftest)};

static const struct ipc_field selftest_row_fields[] = {
    {"seq", IPC_U64, offsetof(struct ipc_selftest_row, seq), 0, UINT64_MAX,
	NULL},
    {"ip", IPC_BYTES, offsetof(struct ipc_selftest_row, ip), 16, 16, NULL},
    {"stored_us", IPC_U64, offsetof(struct ipc_selftest_row, stored_us), 0,
	UINT64_MAX, NULL},
    {"settled_us", IPC_U64, offsetof(struct ipc_selftest_row, settled_us), 0,
	UINT64_MAX, NULL},
    {"outcome", IPC_U8, offsetof(struct ipc_selftest_row, outcome),
	IPC_SELFTEST_NOTHING, IPC_SELFTEST_REMOVED, NULL},
};
const struct ipc_record ipc_selftest_row_record = {selftest_row_fields,
    ARRAY_LENGTH(selftest_row_fields), sizeof(struct ipc_selftest_row)};

static const struct ipc_field selftest_state_fields[] = {
    {"mode", IPC_U8, offsetof(struct ipc_selftest_state, mode),
	IPC_MODE_STANDALONE, IPC_MODE_MYSQL, NULL},
    {"server_id", IPC_U32, offsetof(struct ipc_selftest_state, server_id), 1,
	UINT32_MAX, NULL},
    {"server", IPC_SPAN8, offsetof(struct ipc_selftest_state, server), 1,
	IPC_TOKEN_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_selftest_state, token), 1,
	IPC_TOKEN_MAX, NULL},
    {"reason", IPC_SPAN16, offsetof(struct ipc_selftest_state, reason), 0,
	IPC_REASON_MAX, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_selftest_state, rows), 2, 2,
	&ipc_selftest_row_record},
};
const struct ipc_record ipc_selftest_state_body = {selftest_state_fields,
    ARRAY_LENGTH(selftest_state_fields), sizeof(struct ipc_selftest_state)};
