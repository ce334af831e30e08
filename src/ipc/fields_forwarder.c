/*
 * fields_forwarder.c - the fields of the messages of the forwarder
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include <stddef.h>

#include "base/array.h"

static const struct ipc_field due_row_fields[] = {
    {"seq", IPC_U64, offsetof(struct ipc_due_row, seq), 1, UINT64_MAX, NULL},
    {"at_us", IPC_U64, offsetof(struct ipc_due_row, event.at_us), 0, UINT64_MAX,
	NULL},
    {"kind", IPC_U8, offsetof(struct ipc_due_row, event.kind), IPC_EVENT_OPEN,
	IPC_EVENT_CLICK, NULL},
    {"method", IPC_U8, offsetof(struct ipc_due_row, event.method),
	IPC_METHOD_GET, IPC_METHOD_HEAD, NULL},
    {"flags", IPC_U8, offsetof(struct ipc_due_row, event.flags), 0,
	IPC_EVENT_FLAGS, NULL},
    {"server_id", IPC_U32, offsetof(struct ipc_due_row, event.server_id), 1,
	UINT32_MAX, NULL},
    {"link_id", IPC_U64, offsetof(struct ipc_due_row, event.link_id), 0,
	UINT64_MAX, NULL},
    {"message_id", IPC_U64, offsetof(struct ipc_due_row, event.message_id), 0,
	UINT64_MAX, NULL},
    {"ip", IPC_BYTES, offsetof(struct ipc_due_row, event.ip), 16, 16, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_due_row, event.token), 1,
	IPC_TOKEN_MAX, NULL},
    {"user_agent", IPC_SPAN16, offsetof(struct ipc_due_row, event.user_agent),
	0, IPC_USER_AGENT_MAX, NULL},
};
const struct ipc_record ipc_due_row_record = {
    due_row_fields, ARRAY_LENGTH(due_row_fields), sizeof(struct ipc_due_row)};

static const struct ipc_field settle_row_fields[] = {
    {"seq", IPC_U64, offsetof(struct ipc_settle_row, seq), 1, UINT64_MAX, NULL},
    {"n", IPC_U32, offsetof(struct ipc_settle_row, n), 1, UINT32_MAX, NULL},
};
const struct ipc_record ipc_settle_row_record = {settle_row_fields,
    ARRAY_LENGTH(settle_row_fields), sizeof(struct ipc_settle_row)};

static const struct ipc_field aside_row_fields[] = {
    {"server_id", IPC_U32, offsetof(struct ipc_aside_row, server_id), 0,
	UINT32_MAX, NULL},
    {"n", IPC_U64, offsetof(struct ipc_aside_row, n), 0, UINT64_MAX, NULL},
    {"retry", IPC_U8, offsetof(struct ipc_aside_row, retry), 0, 1, NULL},
    {"reason", IPC_SPAN8, offsetof(struct ipc_aside_row, reason), 0,
	IPC_REASON_MAX, NULL},
};
const struct ipc_record ipc_aside_row_record = {aside_row_fields,
    ARRAY_LENGTH(aside_row_fields), sizeof(struct ipc_aside_row)};

static const struct ipc_field aside_server_row_fields[] = {
    {"server_id", IPC_U32, offsetof(struct ipc_aside_server_row, server_id), 1,
	UINT32_MAX, NULL},
};
const struct ipc_record ipc_aside_server_row_record = {aside_server_row_fields,
    ARRAY_LENGTH(aside_server_row_fields), sizeof(struct ipc_aside_server_row)};

static const struct ipc_field domain_row_fields[] = {
    {"server_id", IPC_U32, offsetof(struct ipc_domain_row, server_id), 1,
	UINT32_MAX, NULL},
    {"dns_ok", IPC_U8, offsetof(struct ipc_domain_row, dns_ok), 0, 1, NULL},
    {"ssl", IPC_U8, offsetof(struct ipc_domain_row, ssl), 0, 1, NULL},
    {"name", IPC_SPAN8, offsetof(struct ipc_domain_row, name), 1, 255, NULL},
};
const struct ipc_record ipc_domain_row_record = {domain_row_fields,
    ARRAY_LENGTH(domain_row_fields), sizeof(struct ipc_domain_row)};

static const struct ipc_field replica_row_fields[] = {
    {"server_id", IPC_U32, offsetof(struct ipc_replica_row, server_id), 1,
	UINT32_MAX, NULL},
    {"low", IPC_U64, offsetof(struct ipc_replica_row, low), 0, INT64_MAX, NULL},
    {"high", IPC_U64, offsetof(struct ipc_replica_row, high), 0, INT64_MAX,
	NULL},
    {"complete", IPC_U8, offsetof(struct ipc_replica_row, complete), 0, 1,
	NULL},
};
const struct ipc_record ipc_replica_row_record = {replica_row_fields,
    ARRAY_LENGTH(replica_row_fields), sizeof(struct ipc_replica_row)};

static const struct ipc_field known_link_row_fields[] = {
    {"link_id", IPC_U64, offsetof(struct ipc_known_link_row, link_id), 1,
	INT64_MAX, NULL},
    {"has_message", IPC_U8, offsetof(struct ipc_known_link_row, has_message), 0,
	1, NULL},
    {"message_id", IPC_U64, offsetof(struct ipc_known_link_row, message_id), 0,
	INT64_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_known_link_row, token), 1,
	IPC_TOKEN_MAX, NULL},
    {"url", IPC_SPAN16, offsetof(struct ipc_known_link_row, url), 0,
	IPC_URL_MAX, NULL},
};
const struct ipc_record ipc_known_link_row_record = {known_link_row_fields,
    ARRAY_LENGTH(known_link_row_fields), sizeof(struct ipc_known_link_row)};

static const struct ipc_field welcome_fields[] = {
    {"node", IPC_BYTES, offsetof(struct ipc_welcome, node), 16, 16, NULL},
    {"start_seq", IPC_U64, offsetof(struct ipc_welcome, start_seq), 0,
	UINT64_MAX, NULL},
    {"last_seq", IPC_U64, offsetof(struct ipc_welcome, last_seq), 0, UINT64_MAX,
	NULL},
};
const struct ipc_record ipc_welcome_body = {
    welcome_fields, ARRAY_LENGTH(welcome_fields), sizeof(struct ipc_welcome)};

static const struct ipc_field due_get_fields[] = {
    {"after_seq", IPC_U64, offsetof(struct ipc_due_get, after_seq), 0,
	UINT64_MAX, NULL},
    {"most", IPC_U16, offsetof(struct ipc_due_get, most), 1, UINT16_MAX, NULL},
    {"wait", IPC_U8, offsetof(struct ipc_due_get, wait), 0, 1, NULL},
};
const struct ipc_record ipc_due_get_body = {
    due_get_fields, ARRAY_LENGTH(due_get_fields), sizeof(struct ipc_due_get)};

static const struct ipc_field due_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_due, rows), 0, UINT16_MAX,
	&ipc_due_row_record},
};
const struct ipc_record ipc_due_body = {
    due_fields, ARRAY_LENGTH(due_fields), sizeof(struct ipc_due)};

static const struct ipc_field settle_fields[] = {
    {"outcome", IPC_U8, offsetof(struct ipc_settle, outcome),
	IPC_OUTCOME_WRITTEN, IPC_OUTCOME_DUPLICATE, NULL},
    {"retry", IPC_U8, offsetof(struct ipc_settle, retry), IPC_RETRY_NEVER,
	IPC_RETRY_HOOKS, NULL},
    {"reason", IPC_SPAN8, offsetof(struct ipc_settle, reason), 0,
	IPC_REASON_MAX, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_settle, rows), 1, 8192,
	&ipc_settle_row_record},
};
const struct ipc_record ipc_settle_body = {
    settle_fields, ARRAY_LENGTH(settle_fields), sizeof(struct ipc_settle)};

static const struct ipc_field done_fields[] = {
    {"n", IPC_U64, offsetof(struct ipc_done, n), 0, UINT64_MAX, NULL},
};
const struct ipc_record ipc_done_body = {
    done_fields, ARRAY_LENGTH(done_fields), sizeof(struct ipc_done)};

static const struct ipc_field aside_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_aside, rows), 0, UINT16_MAX,
	&ipc_aside_server_row_record},
};
const struct ipc_record ipc_aside_body = {
    aside_fields, ARRAY_LENGTH(aside_fields), sizeof(struct ipc_aside)};

static const struct ipc_field retry_fields[] = {
    {"server_id", IPC_U32, offsetof(struct ipc_retry, server_id), 1, UINT32_MAX,
	NULL},
    {"most", IPC_U16, offsetof(struct ipc_retry, most), 1, UINT16_MAX, NULL},
};
const struct ipc_record ipc_retry_body = {
    retry_fields, ARRAY_LENGTH(retry_fields), sizeof(struct ipc_retry)};

static const struct ipc_field known_servers_fields[] = {
    {"flags", IPC_U8, offsetof(struct ipc_known_servers, flags), 0, 3, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_known_servers, rows), 0, UINT16_MAX,
	&ipc_server_row_record},
};
const struct ipc_record ipc_known_servers_body = {known_servers_fields,
    ARRAY_LENGTH(known_servers_fields), sizeof(struct ipc_known_servers)};

static const struct ipc_field known_domains_fields[] = {
    {"flags", IPC_U8, offsetof(struct ipc_known_domains, flags), 0, 3, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_known_domains, rows), 0, UINT16_MAX,
	&ipc_domain_row_record},
};
const struct ipc_record ipc_known_domains_body = {known_domains_fields,
    ARRAY_LENGTH(known_domains_fields), sizeof(struct ipc_known_domains)};

static const struct ipc_field replica_get_fields[] = {
    {"after_server", IPC_U32, offsetof(struct ipc_replica_get, after_server), 0,
	UINT32_MAX, NULL},
};
const struct ipc_record ipc_replica_get_body = {replica_get_fields,
    ARRAY_LENGTH(replica_get_fields), sizeof(struct ipc_replica_get)};

static const struct ipc_field replica_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_replica, rows), 0, UINT16_MAX,
	&ipc_replica_row_record},
};
const struct ipc_record ipc_replica_body = {
    replica_fields, ARRAY_LENGTH(replica_fields), sizeof(struct ipc_replica)};

static const struct ipc_field known_links_fields[] = {
    {"server_id", IPC_U32, offsetof(struct ipc_known_links, progress.server_id),
	1, UINT32_MAX, NULL},
    {"low", IPC_U64, offsetof(struct ipc_known_links, progress.low), 0,
	INT64_MAX, NULL},
    {"high", IPC_U64, offsetof(struct ipc_known_links, progress.high), 0,
	INT64_MAX, NULL},
    {"complete", IPC_U8, offsetof(struct ipc_known_links, progress.complete), 0,
	1, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_known_links, rows), 0, 8192,
	&ipc_known_link_row_record},
};
const struct ipc_record ipc_known_links_body = {known_links_fields,
    ARRAY_LENGTH(known_links_fields), sizeof(struct ipc_known_links)};

static const struct ipc_field search_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_search, ask), 0, UINT64_MAX, NULL},
    {"server_id", IPC_U32, offsetof(struct ipc_search, server_id), 1,
	UINT32_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_search, token), 1, IPC_TOKEN_MAX,
	NULL},
};
const struct ipc_record ipc_search_body = {
    search_fields, ARRAY_LENGTH(search_fields), sizeof(struct ipc_search)};

static const struct ipc_field searched_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_searched, ask), 0, UINT64_MAX, NULL},
    {"status", IPC_U8, offsetof(struct ipc_searched, status), IPC_LINKED_FOUND,
	IPC_LINKED_NO_SERVER, NULL},
    {"has_message", IPC_U8, offsetof(struct ipc_searched, has_message), 0, 1,
	NULL},
    {"link_id", IPC_U64, offsetof(struct ipc_searched, link_id), 0, INT64_MAX,
	NULL},
    {"message_id", IPC_U64, offsetof(struct ipc_searched, message_id), 0,
	INT64_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_searched, token), 0, IPC_TOKEN_MAX,
	NULL},
    {"url", IPC_SPAN16, offsetof(struct ipc_searched, url), 0, IPC_URL_MAX,
	NULL},
};
const struct ipc_record ipc_searched_body = {searched_fields,
    ARRAY_LENGTH(searched_fields), sizeof(struct ipc_searched)};

static const struct ipc_field forwarder_state_fields[] = {
    {"connected", IPC_U8, offsetof(struct ipc_forwarder_state, connected), 0, 1,
	NULL},
    {"written", IPC_U64, offsetof(struct ipc_forwarder_state, written), 0,
	UINT64_MAX, NULL},
    {"rate", IPC_U32, offsetof(struct ipc_forwarder_state, rate), 0, UINT32_MAX,
	NULL},
    {"webhooks", IPC_U64, offsetof(struct ipc_forwarder_state, webhooks), 0,
	UINT64_MAX, NULL},
    {"webhooks_skipped", IPC_U64,
	offsetof(struct ipc_forwarder_state, webhooks_skipped), 0, UINT64_MAX,
	NULL},
    {"searches", IPC_U64, offsetof(struct ipc_forwarder_state, searches), 0,
	UINT64_MAX, NULL},
    {"lag_ms", IPC_U64, offsetof(struct ipc_forwarder_state, lag_ms), 0,
	UINT64_MAX, NULL},
    {"databases", IPC_U32, offsetof(struct ipc_forwarder_state, databases), 0,
	UINT32_MAX, NULL},
    {"broken", IPC_U32, offsetof(struct ipc_forwarder_state, broken), 0,
	UINT32_MAX, NULL},
    {"error", IPC_SPAN16, offsetof(struct ipc_forwarder_state, error), 0, 512,
	NULL},
};
const struct ipc_record ipc_forwarder_state_body = {forwarder_state_fields,
    ARRAY_LENGTH(forwarder_state_fields), sizeof(struct ipc_forwarder_state)};

static const struct ipc_field aside_get_fields[] = {
    {"after_server", IPC_U32, offsetof(struct ipc_aside_get, after_server), 0,
	UINT32_MAX, NULL},
};
const struct ipc_record ipc_aside_get_body = {aside_get_fields,
    ARRAY_LENGTH(aside_get_fields), sizeof(struct ipc_aside_get)};

const struct ipc_record ipc_new_node_body = {
    NULL, 0, sizeof(struct ipc_new_node)};
