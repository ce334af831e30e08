/*
 * fields_port.c - the fields of the messages of opening a port
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include <stddef.h>

#include "base/array.h"

/* The kernel's largest errno, MAX_ERRNO. */
#define ERROR_MOST 4095

static const struct ipc_field port_open_fields[] = {
    {"ip", IPC_BYTES, offsetof(struct ipc_port_open, ip), 16, 16, NULL},
    {"port", IPC_U16, offsetof(struct ipc_port_open, port), 1, UINT16_MAX,
	NULL},
    {"scope", IPC_U32, offsetof(struct ipc_port_open, scope), 0, UINT32_MAX,
	NULL},
    {"share", IPC_U8, offsetof(struct ipc_port_open, share), 0, 1, NULL},
};
const struct ipc_record ipc_port_open_body = {port_open_fields,
    ARRAY_LENGTH(port_open_fields), sizeof(struct ipc_port_open)};

const struct ipc_record ipc_port_opened_body = {
    NULL, 0, sizeof(struct ipc_port_opened)};

static const struct ipc_field port_refused_fields[] = {
    {"error", IPC_U32, offsetof(struct ipc_port_refused, error), 1, ERROR_MOST,
	NULL},
};
const struct ipc_record ipc_port_refused_body = {port_refused_fields,
    ARRAY_LENGTH(port_refused_fields), sizeof(struct ipc_port_refused)};
