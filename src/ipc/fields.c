/*
 * fields.c - the fields of the messages between monitor, web, store and tools
 *
 * Pure; used by every process. The table of messages is in message.c.
 */
#include "ipc/fields.h"

#include "base/array.h"
#include "ipc/counter.h"

static const struct ipc_field network_fields[] = {
    {"ip", IPC_BYTES, offsetof(struct ipc_network, ip), 16, 16, NULL},
    {"prefix", IPC_U8, offsetof(struct ipc_network, prefix), 0, 128, NULL},
};
const struct ipc_record ipc_network_record = {
    network_fields, ARRAY_LENGTH(network_fields), sizeof(struct ipc_network)};

static const struct ipc_field role_row_fields[] = {
    {"role", IPC_U8, offsetof(struct ipc_role_row, role), 1, IPC_LOGGER, NULL},
    {"index", IPC_U16, offsetof(struct ipc_role_row, index), 0, UINT16_MAX,
	NULL},
    {"pid", IPC_U32, offsetof(struct ipc_role_row, pid), 0, UINT32_MAX, NULL},
    {"starts", IPC_U32, offsetof(struct ipc_role_row, starts), 0, UINT32_MAX,
	NULL},
    {"since_us", IPC_U64, offsetof(struct ipc_role_row, since_us), 0,
	UINT64_MAX, NULL},
};
const struct ipc_record ipc_role_row_record = {role_row_fields,
    ARRAY_LENGTH(role_row_fields), sizeof(struct ipc_role_row)};

static const struct ipc_field listener_row_fields[] = {
    {"ip", IPC_BYTES, offsetof(struct ipc_listener_row, ip), 16, 16, NULL},
    {"port", IPC_U16, offsetof(struct ipc_listener_row, port), 0, UINT16_MAX,
	NULL},
    {"tls", IPC_U8, offsetof(struct ipc_listener_row, tls), 0, 1, NULL},
    {"admin", IPC_U8, offsetof(struct ipc_listener_row, admin), 0, 1, NULL},
    {"inherited", IPC_U8, offsetof(struct ipc_listener_row, inherited), 0, 1,
	NULL},
};
const struct ipc_record ipc_listener_row_record = {listener_row_fields,
    ARRAY_LENGTH(listener_row_fields), sizeof(struct ipc_listener_row)};

static const struct ipc_field server_row_fields[] = {
    {"id", IPC_U32, offsetof(struct ipc_server_row, id), 1, UINT32_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_server_row, token), 1,
	IPC_TOKEN_MAX, NULL},
};
const struct ipc_record ipc_server_row_record = {server_row_fields,
    ARRAY_LENGTH(server_row_fields), sizeof(struct ipc_server_row)};

static const struct ipc_field event_fields[] = {
    {"at_us", IPC_U64, offsetof(struct ipc_event, at_us), 0, UINT64_MAX, NULL},
    {"kind", IPC_U8, offsetof(struct ipc_event, kind), IPC_EVENT_OPEN,
	IPC_EVENT_CLICK, NULL},
    {"method", IPC_U8, offsetof(struct ipc_event, method), IPC_METHOD_GET,
	IPC_METHOD_HEAD, NULL},
    {"flags", IPC_U8, offsetof(struct ipc_event, flags), 0, IPC_EVENT_FLAGS,
	NULL},
    {"server_id", IPC_U32, offsetof(struct ipc_event, server_id), 1, UINT32_MAX,
	NULL},
    {"link_id", IPC_U64, offsetof(struct ipc_event, link_id), 0, UINT64_MAX,
	NULL},
    {"message_id", IPC_U64, offsetof(struct ipc_event, message_id), 0,
	UINT64_MAX, NULL},
    {"ip", IPC_BYTES, offsetof(struct ipc_event, ip), 16, 16, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_event, token), 1, IPC_TOKEN_MAX,
	NULL},
    {"user_agent", IPC_SPAN16, offsetof(struct ipc_event, user_agent), 0,
	IPC_USER_AGENT_MAX, NULL},
};
const struct ipc_record ipc_event_record = {
    event_fields, ARRAY_LENGTH(event_fields), sizeof(struct ipc_event)};

static const struct ipc_field counter_row_fields[] = {
    {"counter", IPC_U8, offsetof(struct ipc_counter_row, counter), 0,
	COUNTER_N - 1, NULL},
    {"value", IPC_U64, offsetof(struct ipc_counter_row, value), 0, UINT64_MAX,
	NULL},
};
const struct ipc_record ipc_counter_row_record = {counter_row_fields,
    ARRAY_LENGTH(counter_row_fields), sizeof(struct ipc_counter_row)};

static const struct ipc_field event_row_fields[] = {
    {"seq", IPC_U64, offsetof(struct ipc_event_row, seq), 1, UINT64_MAX, NULL},
    {"at_us", IPC_U64, offsetof(struct ipc_event_row, at_us), 0, UINT64_MAX,
	NULL},
    {"kind", IPC_U8, offsetof(struct ipc_event_row, kind), IPC_EVENT_OPEN,
	IPC_EVENT_CLICK, NULL},
    {"method", IPC_U8, offsetof(struct ipc_event_row, method), IPC_METHOD_GET,
	IPC_METHOD_HEAD, NULL},
    {"flags", IPC_U8, offsetof(struct ipc_event_row, flags), 0, IPC_EVENT_FLAGS,
	NULL},
    {"link_id", IPC_U64, offsetof(struct ipc_event_row, link_id), 0, UINT64_MAX,
	NULL},
    {"message_id", IPC_U64, offsetof(struct ipc_event_row, message_id), 0,
	UINT64_MAX, NULL},
    {"ip", IPC_BYTES, offsetof(struct ipc_event_row, ip), 16, 16, NULL},
    {"server", IPC_SPAN8, offsetof(struct ipc_event_row, server), 0,
	IPC_TOKEN_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_event_row, token), 1,
	IPC_TOKEN_MAX, NULL},
    {"url", IPC_SPAN16, offsetof(struct ipc_event_row, url), 0, IPC_URL_MAX,
	NULL},
    {"user_agent", IPC_SPAN16, offsetof(struct ipc_event_row, user_agent), 0,
	IPC_USER_AGENT_MAX, NULL},
};
const struct ipc_record ipc_event_row_record = {event_row_fields,
    ARRAY_LENGTH(event_row_fields), sizeof(struct ipc_event_row)};

static const struct ipc_field params_fields[] = {
    {"flags", IPC_U8, offsetof(struct ipc_params, flags), 0, 3, NULL},
    {"log_level", IPC_U8, offsetof(struct ipc_params, log_level), 3, 7, NULL},
    {"index", IPC_U16, offsetof(struct ipc_params, index), 0, UINT16_MAX, NULL},
    {"uid", IPC_U32, offsetof(struct ipc_params, uid), 0, UINT32_MAX, NULL},
    {"gid", IPC_U32, offsetof(struct ipc_params, gid), 0, UINT32_MAX, NULL},
    {"n_fds", IPC_U8, offsetof(struct ipc_params, n_fds), 1, UINT8_MAX, NULL},
    {"settings", IPC_SPAN16, offsetof(struct ipc_params, settings), 2, 16384,
	NULL},
};
const struct ipc_record ipc_params_body = {
    params_fields, ARRAY_LENGTH(params_fields), sizeof(struct ipc_params)};

static const struct ipc_field web_settings_fields[] = {
    {"index", IPC_U16, offsetof(struct ipc_web_settings, index), 0, UINT16_MAX,
	NULL},
    {"workers", IPC_U16, offsetof(struct ipc_web_settings, workers), 1,
	UINT16_MAX, NULL},
    {"k0", IPC_U64, offsetof(struct ipc_web_settings, k0), 0, UINT64_MAX, NULL},
    {"k1", IPC_U64, offsetof(struct ipc_web_settings, k1), 0, UINT64_MAX, NULL},
    {"n_listeners", IPC_U16, offsetof(struct ipc_web_settings, n_listeners), 0,
	UINT16_MAX, NULL},
    {"n_https", IPC_U16, offsetof(struct ipc_web_settings, n_https), 0,
	UINT16_MAX, NULL},
    {"s0", IPC_U64, offsetof(struct ipc_web_settings, s0), 0, UINT64_MAX, NULL},
    {"s1", IPC_U64, offsetof(struct ipc_web_settings, s1), 0, UINT64_MAX, NULL},
    {"session_life_s", IPC_U32,
	offsetof(struct ipc_web_settings, session_life_s), 0, UINT32_MAX, NULL},
    {"handshakes_max", IPC_U32,
	offsetof(struct ipc_web_settings, handshakes_max), 1, UINT32_MAX, NULL},
    {"handshake_timeout_ms", IPC_U32,
	offsetof(struct ipc_web_settings, handshake_timeout_ms), 1, UINT32_MAX,
	NULL},
    {"access", IPC_U8, offsetof(struct ipc_web_settings, access), 0, 2, NULL},
    {"count_head", IPC_U8, offsetof(struct ipc_web_settings, count_head), 0, 1,
	NULL},
    {"proxy_protocol", IPC_U8,
	offsetof(struct ipc_web_settings, proxy_protocol), IPC_PROXY_NONE,
	IPC_PROXY_HTTPS, NULL},
    {"durability", IPC_U8, offsetof(struct ipc_web_settings, durability),
	IPC_DURABILITY_SYNC, IPC_DURABILITY_RELAXED, NULL},
    {"max_wait_ms", IPC_U32, offsetof(struct ipc_web_settings, max_wait_ms), 0,
	UINT32_MAX, NULL},
    {"max_connections", IPC_U32,
	offsetof(struct ipc_web_settings, max_connections), 1, UINT32_MAX,
	NULL},
    {"max_connections_per_address", IPC_U32,
	offsetof(struct ipc_web_settings, max_connections_per_address), 1,
	UINT32_MAX, NULL},
    {"max_header_size", IPC_U32,
	offsetof(struct ipc_web_settings, max_header_size), 1024, 65536, NULL},
    {"header_timeout_ms", IPC_U32,
	offsetof(struct ipc_web_settings, header_timeout_ms), 1, UINT32_MAX,
	NULL},
    {"idle_timeout_ms", IPC_U32,
	offsetof(struct ipc_web_settings, idle_timeout_ms), 1, UINT32_MAX,
	NULL},
    {"lookup_timeout_ms", IPC_U32,
	offsetof(struct ipc_web_settings, lookup_timeout_ms), 0, UINT32_MAX,
	NULL},
    {"trusted", IPC_LIST, offsetof(struct ipc_web_settings, trusted), 0, 256,
	&ipc_network_record},
};
const struct ipc_record ipc_web_settings_body = {web_settings_fields,
    ARRAY_LENGTH(web_settings_fields), sizeof(struct ipc_web_settings)};

static const struct ipc_field store_settings_fields[] = {
    {"mode", IPC_U8, offsetof(struct ipc_store_settings, mode),
	IPC_MODE_STANDALONE, IPC_MODE_MYSQL, NULL},
    {"durability", IPC_U8, offsetof(struct ipc_store_settings, durability),
	IPC_DURABILITY_SYNC, IPC_DURABILITY_RELAXED, NULL},
    {"max_size", IPC_U64, offsetof(struct ipc_store_settings, max_size), 0,
	UINT64_MAX, NULL},
    {"retention_ms", IPC_U64, offsetof(struct ipc_store_settings, retention_ms),
	0, UINT64_MAX, NULL},
    {"lookup_timeout_ms", IPC_U32,
	offsetof(struct ipc_store_settings, lookup_timeout_ms), 0, UINT32_MAX,
	NULL},
    {"store_uid", IPC_U32, offsetof(struct ipc_store_settings, store_uid), 0,
	UINT32_MAX, NULL},
    {"forwarder_uid", IPC_U32,
	offsetof(struct ipc_store_settings, forwarder_uid), 0, UINT32_MAX,
	NULL},
    {"log_level", IPC_U8, offsetof(struct ipc_store_settings, log_level), 3, 7,
	NULL},
};
const struct ipc_record ipc_store_settings_body = {store_settings_fields,
    ARRAY_LENGTH(store_settings_fields), sizeof(struct ipc_store_settings)};

static const struct ipc_field channel_fields[] = {
    {"role", IPC_U8, offsetof(struct ipc_channel_offer, role), 1, IPC_LOGGER,
	NULL},
    {"index", IPC_U16, offsetof(struct ipc_channel_offer, index), 0, UINT16_MAX,
	NULL},
    {"instance", IPC_U64, offsetof(struct ipc_channel_offer, instance), 0,
	UINT64_MAX, NULL},
};
const struct ipc_record ipc_channel_offer_body = {channel_fields,
    ARRAY_LENGTH(channel_fields), sizeof(struct ipc_channel_offer)};

static const struct ipc_field stop_fields[] = {
    {"within_ms", IPC_U32, offsetof(struct ipc_stop, within_ms), 0, UINT32_MAX,
	NULL},
    {"leaves", IPC_U64, offsetof(struct ipc_stop, leaves), 0, UINT64_MAX, NULL},
};
const struct ipc_record ipc_stop_body = {
    stop_fields, ARRAY_LENGTH(stop_fields), sizeof(struct ipc_stop)};

const struct ipc_record ipc_ping_body = {NULL, 0, sizeof(struct ipc_ping)};

static const struct ipc_field ready_fields[] = {
    {"degraded", IPC_U8, offsetof(struct ipc_ready, degraded), 0, 1, NULL},
};
const struct ipc_record ipc_ready_body = {
    ready_fields, ARRAY_LENGTH(ready_fields), sizeof(struct ipc_ready)};

static const struct ipc_field refused_call_fields[] = {
    {"number", IPC_U32, offsetof(struct ipc_refused_call, number), 0,
	UINT32_MAX, NULL},
};
const struct ipc_record ipc_refused_call_body = {refused_call_fields,
    ARRAY_LENGTH(refused_call_fields), sizeof(struct ipc_refused_call)};

static const struct ipc_field replace_fields[] = {
    {"instance", IPC_U64, offsetof(struct ipc_replace, instance), 0, UINT64_MAX,
	NULL},
    {"reason", IPC_U8, offsetof(struct ipc_replace, reason), 1,
	IPC_BREACH_END - 1, NULL},
};
const struct ipc_record ipc_replace_body = {
    replace_fields, ARRAY_LENGTH(replace_fields), sizeof(struct ipc_replace)};

static const struct ipc_field roles_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_roles, rows), 0, 1024,
	&ipc_role_row_record},
    {"listeners", IPC_LIST, offsetof(struct ipc_roles, listeners), 0,
	IPC_LISTENERS_MAX, &ipc_listener_row_record},
};
const struct ipc_record ipc_roles_body = {
    roles_fields, ARRAY_LENGTH(roles_fields), sizeof(struct ipc_roles)};

static const struct ipc_field servers_fields[] = {
    {"flags", IPC_U8, offsetof(struct ipc_servers, flags), 0, 3, NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_servers, rows), 0, UINT16_MAX,
	&ipc_server_row_record},
};
const struct ipc_record ipc_servers_body = {
    servers_fields, ARRAY_LENGTH(servers_fields), sizeof(struct ipc_servers)};

static const struct ipc_field events_fields[] = {
    {"number", IPC_U64, offsetof(struct ipc_events, number), 1, UINT64_MAX,
	NULL},
    {"rows", IPC_LIST, offsetof(struct ipc_events, rows), 1,
	IPC_BATCH_EVENTS_MAX, &ipc_event_record},
};
const struct ipc_record ipc_events_body = {
    events_fields, ARRAY_LENGTH(events_fields), sizeof(struct ipc_events)};

static const struct ipc_field stored_fields[] = {
    {"number", IPC_U64, offsetof(struct ipc_stored, number), 1, UINT64_MAX,
	NULL},
    {"status", IPC_U8, offsetof(struct ipc_stored, status), IPC_STORED_YES,
	IPC_STORED_LOST, NULL},
};
const struct ipc_record ipc_stored_body = {
    stored_fields, ARRAY_LENGTH(stored_fields), sizeof(struct ipc_stored)};

static const struct ipc_field link_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_link, ask), 0, UINT64_MAX, NULL},
    {"server_id", IPC_U32, offsetof(struct ipc_link, server_id), 1, UINT32_MAX,
	NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_link, token), 1, IPC_TOKEN_MAX,
	NULL},
};
const struct ipc_record ipc_link_body = {
    link_fields, ARRAY_LENGTH(link_fields), sizeof(struct ipc_link)};

static const struct ipc_field linked_fields[] = {
    {"ask", IPC_U64, offsetof(struct ipc_linked, ask), 0, UINT64_MAX, NULL},
    {"status", IPC_U8, offsetof(struct ipc_linked, status), IPC_LINKED_FOUND,
	IPC_LINKED_NO_SERVER, NULL},
    {"has_message", IPC_U8, offsetof(struct ipc_linked, has_message), 0, 1,
	NULL},
    {"link_id", IPC_U64, offsetof(struct ipc_linked, link_id), 0, UINT64_MAX,
	NULL},
    {"message_id", IPC_U64, offsetof(struct ipc_linked, message_id), 0,
	UINT64_MAX, NULL},
    {"url", IPC_SPAN16, offsetof(struct ipc_linked, url), 0, IPC_URL_MAX, NULL},
};
const struct ipc_record ipc_linked_body = {
    linked_fields, ARRAY_LENGTH(linked_fields), sizeof(struct ipc_linked)};

static const struct ipc_field counters_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_counters, rows), 0, COUNTER_N,
	&ipc_counter_row_record},
};
const struct ipc_record ipc_counters_body = {counters_fields,
    ARRAY_LENGTH(counters_fields), sizeof(struct ipc_counters)};

static const struct ipc_field hello_fields[] = {
    {"version", IPC_U32, offsetof(struct ipc_hello, version), 0, UINT32_MAX,
	NULL},
    {"role", IPC_U8, offsetof(struct ipc_hello, role), IPC_FORWARDER, IPC_TOOL,
	NULL},
};
const struct ipc_record ipc_hello_body = {
    hello_fields, ARRAY_LENGTH(hello_fields), sizeof(struct ipc_hello)};

static const struct ipc_field refusal_fields[] = {
    {"reason", IPC_SPAN16, offsetof(struct ipc_refusal, reason), 1, 1024, NULL},
};
const struct ipc_record ipc_refusal_body = {
    refusal_fields, ARRAY_LENGTH(refusal_fields), sizeof(struct ipc_refusal)};

static const struct ipc_field status_fields[] = {
    {"mode", IPC_U8, offsetof(struct ipc_status, mode), IPC_MODE_STANDALONE,
	IPC_MODE_MYSQL, NULL},
    {"ready", IPC_U8, offsetof(struct ipc_status, ready), 0, 1, NULL},
    {"reason", IPC_SPAN16, offsetof(struct ipc_status, reason), 0, 1024, NULL},
    {"node", IPC_BYTES, offsetof(struct ipc_status, node), 16, 16, NULL},
    {"started_us", IPC_U64, offsetof(struct ipc_status, started_us), 0,
	UINT64_MAX, NULL},
    {"accepted", IPC_U64, offsetof(struct ipc_status, accepted), 0, UINT64_MAX,
	NULL},
    {"written", IPC_U64, offsetof(struct ipc_status, written), 0, UINT64_MAX,
	NULL},
    {"unmatched", IPC_U64, offsetof(struct ipc_status, unmatched), 0,
	UINT64_MAX, NULL},
    {"duplicates", IPC_U64, offsetof(struct ipc_status, duplicates), 0,
	UINT64_MAX, NULL},
    {"set_aside", IPC_U64, offsetof(struct ipc_status, set_aside), 0,
	UINT64_MAX, NULL},
    {"expired", IPC_U64, offsetof(struct ipc_status, expired), 0, UINT64_MAX,
	NULL},
    {"pending", IPC_U64, offsetof(struct ipc_status, pending), 0, UINT64_MAX,
	NULL},
    {"lost", IPC_U64, offsetof(struct ipc_status, lost), 0, UINT64_MAX, NULL},
    {"late", IPC_U64, offsetof(struct ipc_status, late), 0, UINT64_MAX, NULL},
    {"last_seq", IPC_U64, offsetof(struct ipc_status, last_seq), 0, UINT64_MAX,
	NULL},
    {"spool_bytes", IPC_U64, offsetof(struct ipc_status, spool_bytes), 0,
	UINT64_MAX, NULL},
    {"max_size", IPC_U64, offsetof(struct ipc_status, max_size), 0, UINT64_MAX,
	NULL},
    {"servers", IPC_U64, offsetof(struct ipc_status, servers), 0, UINT64_MAX,
	NULL},
    {"links", IPC_U64, offsetof(struct ipc_status, links), 0, UINT64_MAX, NULL},
    {"domains", IPC_U64, offsetof(struct ipc_status, domains), 0, UINT64_MAX,
	NULL},
    {"searches", IPC_U64, offsetof(struct ipc_status, searches), 0, UINT64_MAX,
	NULL},
    {"searches_limited", IPC_U64, offsetof(struct ipc_status, searches_limited),
	0, UINT64_MAX, NULL},
    {"forwarder", IPC_U8, offsetof(struct ipc_status, forwarder), 0, 1, NULL},
    {"forwarder_pid", IPC_U32, offsetof(struct ipc_status, forwarder_pid), 0,
	UINT32_MAX, NULL},
    {"forwarder_since_us", IPC_U64,
	offsetof(struct ipc_status, forwarder_since_us), 0, UINT64_MAX, NULL},
    {"connected", IPC_U8,
	offsetof(struct ipc_status, forwarder_state.connected), 0, 1, NULL},
    {"written", IPC_U64, offsetof(struct ipc_status, forwarder_state.written),
	0, UINT64_MAX, NULL},
    {"rate", IPC_U32, offsetof(struct ipc_status, forwarder_state.rate), 0,
	UINT32_MAX, NULL},
    {"webhooks", IPC_U64, offsetof(struct ipc_status, forwarder_state.webhooks),
	0, UINT64_MAX, NULL},
    {"webhooks_skipped", IPC_U64,
	offsetof(struct ipc_status, forwarder_state.webhooks_skipped), 0,
	UINT64_MAX, NULL},
    {"searches", IPC_U64, offsetof(struct ipc_status, forwarder_state.searches),
	0, UINT64_MAX, NULL},
    {"lag_ms", IPC_U64, offsetof(struct ipc_status, forwarder_state.lag_ms), 0,
	UINT64_MAX, NULL},
    {"databases", IPC_U32,
	offsetof(struct ipc_status, forwarder_state.databases), 0, UINT32_MAX,
	NULL},
    {"broken", IPC_U32, offsetof(struct ipc_status, forwarder_state.broken), 0,
	UINT32_MAX, NULL},
    {"error", IPC_SPAN16, offsetof(struct ipc_status, forwarder_state.error), 0,
	512, NULL},
    {"counters", IPC_LIST, offsetof(struct ipc_status, counters), 0, COUNTER_N,
	&ipc_counter_row_record},
    {"roles", IPC_LIST, offsetof(struct ipc_status, roles), 0, 1024,
	&ipc_role_row_record},
    {"asides", IPC_LIST, offsetof(struct ipc_status, asides), 0, 64,
	&ipc_aside_row_record},
    {"oldest_us", IPC_U64, offsetof(struct ipc_status, oldest_us), 0,
	UINT64_MAX, NULL},
    {"rates_ms", IPC_U32, offsetof(struct ipc_status, rates_ms), 0, UINT32_MAX,
	NULL},
    {"rates", IPC_LIST, offsetof(struct ipc_status, rates), 0, COUNTER_N,
	&ipc_counter_row_record},
    {"listeners", IPC_LIST, offsetof(struct ipc_status, listeners), 0,
	IPC_LISTENERS_MAX, &ipc_listener_row_record},
};
const struct ipc_record ipc_status_body = {
    status_fields, ARRAY_LENGTH(status_fields), sizeof(struct ipc_status)};

static const struct ipc_field link_add_fields[] = {
    {"server", IPC_SPAN8, offsetof(struct ipc_link_add, server), 1,
	IPC_TOKEN_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_link_add, token), 0, IPC_TOKEN_MAX,
	NULL},
    {"url", IPC_SPAN16, offsetof(struct ipc_link_add, url), 1, IPC_URL_MAX,
	NULL},
};
const struct ipc_record ipc_link_add_body = {link_add_fields,
    ARRAY_LENGTH(link_add_fields), sizeof(struct ipc_link_add)};

static const struct ipc_field link_added_fields[] = {
    {"link_id", IPC_U64, offsetof(struct ipc_link_added, link_id), 1,
	UINT64_MAX, NULL},
    {"server", IPC_SPAN8, offsetof(struct ipc_link_added, server), 1,
	IPC_TOKEN_MAX, NULL},
    {"token", IPC_SPAN8, offsetof(struct ipc_link_added, token), 1,
	IPC_TOKEN_MAX, NULL},
};
const struct ipc_record ipc_link_added_body = {link_added_fields,
    ARRAY_LENGTH(link_added_fields), sizeof(struct ipc_link_added)};

static const struct ipc_field events_get_fields[] = {
    {"after_seq", IPC_U64, offsetof(struct ipc_events_get, after_seq), 0,
	UINT64_MAX, NULL},
    {"most", IPC_U16, offsetof(struct ipc_events_get, most), 1, UINT16_MAX,
	NULL},
};
const struct ipc_record ipc_events_get_body = {events_get_fields,
    ARRAY_LENGTH(events_get_fields), sizeof(struct ipc_events_get)};

static const struct ipc_field event_rows_fields[] = {
    {"rows", IPC_LIST, offsetof(struct ipc_event_rows, rows), 0, UINT16_MAX,
	&ipc_event_row_record},
};
const struct ipc_record ipc_event_rows_body = {event_rows_fields,
    ARRAY_LENGTH(event_rows_fields), sizeof(struct ipc_event_rows)};

const struct ipc_record ipc_status_get_body = {
    NULL, 0, sizeof(struct ipc_status_get)};
