/*
 * fields_admin.c - the fields of the messages between admin and the store
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include "base/array.h"

static const struct ipc_field admin_settings_fields[] = {
    {"n_listeners", IPC_U16, offsetof(struct ipc_admin_settings, n_listeners),
	1, UINT16_MAX, NULL},
};
const struct ipc_record ipc_admin_settings_body = {admin_settings_fields,
    ARRAY_LENGTH(admin_settings_fields), sizeof(struct ipc_admin_settings)};

const struct ipc_record ipc_commits_get_body = {
    NULL, 0, sizeof(struct ipc_commits_get)};

static const struct ipc_field commit_row_fields[] = {
    {"most_us", IPC_U64, offsetof(struct ipc_commit_row, most_us), 0,
	UINT64_MAX, NULL},
    {"n", IPC_U64, offsetof(struct ipc_commit_row, n), 0, UINT64_MAX, NULL},
};
const struct ipc_record ipc_commit_row_record = {commit_row_fields,
    ARRAY_LENGTH(commit_row_fields), sizeof(struct ipc_commit_row)};

static const struct ipc_field commits_fields[] = {
    {"sum_us", IPC_U64, offsetof(struct ipc_commits, sum_us), 0, UINT64_MAX,
	NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_commits, rows), 0,
	IPC_COMMIT_ROWS_MAX, &ipc_commit_row_record},
};
const struct ipc_record ipc_commits_body = {
    commits_fields, ARRAY_LENGTH(commits_fields), sizeof(struct ipc_commits)};

static const struct ipc_field permission_get_fields[] = {
    {"name", IPC_SPAN8, offsetof(struct ipc_permission_get, name), 1,
	IPC_DOMAIN_MAX, NULL},
};
const struct ipc_record ipc_permission_get_body = {permission_get_fields,
    ARRAY_LENGTH(permission_get_fields), sizeof(struct ipc_permission_get)};

static const struct ipc_field permission_fields[] = {
    {"status", IPC_U8, offsetof(struct ipc_permission, status),
	IPC_PERMISSION_YES, IPC_PERMISSION_UNKNOWN, NULL},
};
const struct ipc_record ipc_permission_body = {permission_fields,
    ARRAY_LENGTH(permission_fields), sizeof(struct ipc_permission)};
