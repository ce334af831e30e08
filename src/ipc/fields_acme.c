/*
 * fields_acme.c - the fields of the messages of ACME challenges and tracking
 * domains
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include <stddef.h>

#include "base/array.h"

static const struct ipc_field challenge_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_challenge, ask), 0, UINT64_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_challenge, token), 0,
	IPC_CHALLENGE_TOKEN_MAX, NULL},
};
const struct ipc_record ipc_challenge_body = {challenge_fields,
    ARRAY_LENGTH(challenge_fields), sizeof(struct ipc_challenge)};

static const struct ipc_field challenged_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_challenged, ask), 0, UINT64_MAX, NULL},
    {"status", IPC_U8, offsetof(struct ipc_challenged, status),
	IPC_CHALLENGE_FOUND, IPC_CHALLENGE_OFF, NULL},
    {"text", IPC_SPAN16, offsetof(struct ipc_challenged, text), 0,
	IPC_CHALLENGE_TEXT_MAX, NULL},
};
const struct ipc_record ipc_challenged_body = {challenged_fields,
    ARRAY_LENGTH(challenged_fields), sizeof(struct ipc_challenged)};

static const struct ipc_field domains_get_fields[] = {
    {"after_server", IPC_U32, offsetof(struct ipc_domains_get, after_server), 0,
	UINT32_MAX, NULL},
    {"after_name", IPC_SPAN8, offsetof(struct ipc_domains_get, after_name), 0,
	255, NULL},
};
const struct ipc_record ipc_domains_get_body = {domains_get_fields,
    ARRAY_LENGTH(domains_get_fields), sizeof(struct ipc_domains_get)};

static const struct ipc_field domains_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_domains, rows), 0, UINT16_MAX,
	&ipc_domain_row_record},
};
const struct ipc_record ipc_domains_body = {
    domains_fields, ARRAY_LENGTH(domains_fields), sizeof(struct ipc_domains)};
