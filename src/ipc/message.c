/*
 * message.c - the table of all messages, and the code that walks it
 *
 * Pure; used by every process. The table is the boundary between processes,
 * as rows: read it before anything else in this house.
 */
#include "ipc/message.h"

#include <stddef.h>

#include "base/array.h"
#include "ipc/fields.h"

#define ANY_ROLE (IPC_WEB | IPC_STORE | IPC_KEEPER | IPC_ADMIN)

/* type, name, from, to, least, most, descriptors, fields */
static const struct ipc_message messages[] = {
    {IPC_PARAMS, "PARAMS", IPC_MONITOR, ANY_ROLE, 19, 16401, 0,
	&ipc_params_body},
    {IPC_WEB_SETTINGS, "WEB_SETTINGS", IPC_MONITOR, IPC_WEB, 87, 4439, 0,
	&ipc_web_settings_body},
    {IPC_STORE_SETTINGS, "STORE_SETTINGS", IPC_MONITOR, IPC_STORE, 33, 33, 0,
	&ipc_store_settings_body},
    {IPC_CHANNEL, "CHANNEL", IPC_MONITOR, ANY_ROLE, 13, 13, 1,
	&ipc_channel_offer_body},
    {IPC_STOP, "STOP", IPC_MONITOR, ANY_ROLE, 6, 6, 0, &ipc_stop_body},
    {IPC_READY, "READY", ANY_ROLE, IPC_MONITOR, 3, 3, 0, &ipc_ready_body},
    {IPC_REFUSED_CALL, "REFUSED_CALL", ANY_ROLE, IPC_MONITOR, 6, 6, 0,
	&ipc_refused_call_body},
    {IPC_REPLACE, "REPLACE", IPC_STORE | IPC_KEEPER, IPC_MONITOR, 11, 11, 0,
	&ipc_replace_body},
    {IPC_ROLES, "ROLES", IPC_MONITOR, IPC_STORE, 4, 19460, 0, &ipc_roles_body},
    {IPC_SERVERS, "SERVERS", IPC_STORE, IPC_WEB, 5, IPC_RECORD_MAX, 0,
	&ipc_servers_body},
    {IPC_EVENTS, "EVENTS", IPC_WEB, IPC_STORE, 63, IPC_BATCH_BYTES_MAX, 0,
	&ipc_events_body},
    {IPC_STORED, "STORED", IPC_STORE, IPC_WEB, 11, 11, 0, &ipc_stored_body},
    {IPC_LINK, "LINK", IPC_WEB, IPC_STORE, 16, 270, 0, &ipc_link_body},
    {IPC_LINKED, "LINKED", IPC_STORE, IPC_WEB, 30, 65565, 0, &ipc_linked_body},
    {IPC_COUNTERS, "COUNTERS", IPC_WEB, IPC_STORE, 4, 265, 0,
	&ipc_counters_body},
    {IPC_HELLO, "HELLO", IPC_FORWARDER | IPC_TOOL, IPC_STORE, 7, 7, 0,
	&ipc_hello_body},
    {IPC_REFUSAL, "REFUSAL", IPC_STORE, IPC_FORWARDER | IPC_TOOL, 5, 1028, 0,
	&ipc_refusal_body},
    {IPC_STATUS_GET, "STATUS_GET", IPC_TOOL | IPC_ADMIN, IPC_STORE, 2, 2, 0,
	&ipc_status_get_body},
    {IPC_STATUS, "STATUS", IPC_STORE, IPC_TOOL | IPC_ADMIN, 240, 38709, 0,
	&ipc_status_body},
    {IPC_LINK_ADD, "LINK_ADD", IPC_TOOL, IPC_STORE, 8, 66051, 0,
	&ipc_link_add_body},
    {IPC_LINK_ADDED, "LINK_ADDED", IPC_STORE, IPC_TOOL, 14, 522, 0,
	&ipc_link_added_body},
    {IPC_EVENTS_GET, "EVENTS_GET", IPC_TOOL, IPC_STORE, 12, 12, 0,
	&ipc_events_get_body},
    {IPC_EVENT_ROWS, "EVENT_ROWS", IPC_STORE, IPC_TOOL, 4, IPC_RECORD_MAX, 0,
	&ipc_event_rows_body},
    {IPC_WELCOME, "WELCOME", IPC_STORE, IPC_FORWARDER, 34, 34, 0,
	&ipc_welcome_body},
    {IPC_DUE_GET, "DUE_GET", IPC_FORWARDER, IPC_STORE, 13, 13, 0,
	&ipc_due_get_body},
    {IPC_DUE, "DUE", IPC_STORE, IPC_FORWARDER, 4, IPC_RECORD_MAX, 0,
	&ipc_due_body},
    {IPC_SETTLE, "SETTLE", IPC_FORWARDER, IPC_STORE, 19, 98566, 0,
	&ipc_settle_body},
    {IPC_DONE, "DONE", IPC_STORE, IPC_FORWARDER, 10, 10, 0, &ipc_done_body},
    {IPC_ASIDE_GET, "ASIDE_GET", IPC_FORWARDER, IPC_STORE, 2, 2, 0,
	&ipc_aside_get_body},
    {IPC_ASIDE, "ASIDE", IPC_STORE, IPC_FORWARDER, 4, IPC_RECORD_MAX, 0,
	&ipc_aside_body},
    {IPC_RETRY, "RETRY", IPC_FORWARDER, IPC_STORE, 8, 8, 0, &ipc_retry_body},
    {IPC_NEW_NODE, "NEW_NODE", IPC_FORWARDER, IPC_STORE, 2, 2, 0,
	&ipc_new_node_body},
    {IPC_KNOWN_SERVERS, "KNOWN_SERVERS", IPC_FORWARDER, IPC_STORE, 5,
	IPC_RECORD_MAX, 0, &ipc_known_servers_body},
    {IPC_KNOWN_DOMAINS, "KNOWN_DOMAINS", IPC_FORWARDER, IPC_STORE, 5,
	IPC_RECORD_MAX, 0, &ipc_known_domains_body},
    {IPC_REPLICA_GET, "REPLICA_GET", IPC_FORWARDER, IPC_STORE, 6, 6, 0,
	&ipc_replica_get_body},
    {IPC_REPLICA, "REPLICA", IPC_STORE, IPC_FORWARDER, 4, IPC_RECORD_MAX, 0,
	&ipc_replica_body},
    {IPC_KNOWN_LINKS, "KNOWN_LINKS", IPC_FORWARDER, IPC_STORE, 25,
	IPC_RECORD_MAX, 0, &ipc_known_links_body},
    {IPC_SEARCH, "SEARCH", IPC_STORE, IPC_FORWARDER, 16, 270, 0,
	&ipc_search_body},
    {IPC_SEARCHED, "SEARCHED", IPC_FORWARDER, IPC_STORE, 31, 65821, 0,
	&ipc_searched_body},
    {IPC_FORWARDER_STATE, "FORWARDER_STATE", IPC_FORWARDER, IPC_STORE, 57, 569,
	0, &ipc_forwarder_state_body},
    {IPC_KEEPER_SETTINGS, "KEEPER_SETTINGS", IPC_MONITOR, IPC_KEEPER, 8, 8, 0,
	&ipc_keeper_settings_body},
    {IPC_PAIR_CHAIN, "PAIR_CHAIN", IPC_MONITOR, IPC_KEEPER, 8, 262, 1,
	&ipc_pair_chain_body},
    {IPC_PAIR_KEY, "PAIR_KEY", IPC_MONITOR, IPC_KEEPER, 6, 6, 1,
	&ipc_pair_key_body},
    {IPC_PAIR_RESULT, "PAIR_RESULT", IPC_KEEPER, IPC_MONITOR, 9, 521, 0,
	&ipc_pair_result_body},
    {IPC_PAIR_DROP, "PAIR_DROP", IPC_MONITOR, IPC_KEEPER | IPC_WEB, 6, 6, 0,
	&ipc_pair_drop_body},
    {IPC_CERTIFICATE, "CERTIFICATE", IPC_MONITOR, IPC_WEB, 9, 263, 1,
	&ipc_certificate_body},
    {IPC_CERTIFICATES_DONE, "CERTIFICATES_DONE", IPC_MONITOR, IPC_WEB, 2, 2, 0,
	&ipc_certificates_done_body},
    {IPC_SIGN, "SIGN", IPC_WEB, IPC_KEEPER, 17, 149, 0, &ipc_sign_body},
    {IPC_SIGNED, "SIGNED", IPC_KEEPER, IPC_WEB, 13, 525, 0, &ipc_signed_body},
    {IPC_CHALLENGE, "CHALLENGE", IPC_WEB, IPC_STORE, 11, 139, 0,
	&ipc_challenge_body},
    {IPC_CHALLENGED, "CHALLENGED", IPC_STORE, IPC_WEB, 13, 1037, 0,
	&ipc_challenged_body},
    {IPC_DOMAINS_GET, "DOMAINS_GET", IPC_TOOL, IPC_STORE, 7, 262, 0,
	&ipc_domains_get_body},
    {IPC_DOMAINS, "DOMAINS", IPC_STORE, IPC_TOOL, 4, IPC_RECORD_MAX, 0,
	&ipc_domains_body},
    {IPC_ADMIN_SETTINGS, "ADMIN_SETTINGS", IPC_MONITOR, IPC_ADMIN, 4, 4, 0,
	&ipc_admin_settings_body},
    {IPC_COMMITS_GET, "COMMITS_GET", IPC_ADMIN, IPC_STORE, 2, 2, 0,
	&ipc_commits_get_body},
    {IPC_COMMITS, "COMMITS", IPC_STORE, IPC_ADMIN, 12, 524, 0,
	&ipc_commits_body},
    {IPC_PERMISSION_GET, "PERMISSION_GET", IPC_ADMIN, IPC_STORE, 4, 256, 0,
	&ipc_permission_get_body},
    {IPC_PERMISSION, "PERMISSION", IPC_STORE, IPC_ADMIN, 3, 3, 0,
	&ipc_permission_body},
};

/* Types are numbered from 1 without gaps, in the order of the table; a unit
 * test says so. */
const struct ipc_message *
ipc_message_find(unsigned int type)
{
	if (type == 0 || type > ARRAY_LENGTH(messages))
		return NULL;
	return &messages[type - 1];
}
