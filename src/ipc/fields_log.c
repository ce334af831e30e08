/*
 * fields_log.c - the fields of the messages of the access log
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include <stddef.h>

#include "base/array.h"

static const struct ipc_field logger_settings_fields[] = {
    {"to_file", IPC_U8, offsetof(struct ipc_logger_settings, to_file), 0, 1,
	NULL},
};
const struct ipc_record ipc_logger_settings_body = {logger_settings_fields,
    ARRAY_LENGTH(logger_settings_fields), sizeof(struct ipc_logger_settings)};

static const struct ipc_field lines_fields[] = {
    {"text", IPC_SPAN16, offsetof(struct ipc_lines, text), 1, IPC_LINES_MAX,
	NULL},
};
const struct ipc_record ipc_lines_body = {
    lines_fields, ARRAY_LENGTH(lines_fields), sizeof(struct ipc_lines)};

static const struct ipc_field lines_lost_fields[] = {
    {"n", IPC_U32, offsetof(struct ipc_lines_lost, n), 1, UINT32_MAX, NULL},
};
const struct ipc_record ipc_lines_lost_body = {lines_lost_fields,
    ARRAY_LENGTH(lines_lost_fields), sizeof(struct ipc_lines_lost)};
