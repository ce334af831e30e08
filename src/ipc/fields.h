/*
 * fields.h - the fields of each message, for the table in message.c
 */
#ifndef IPC_FIELDS_H
#define IPC_FIELDS_H

#include "ipc/message.h"

extern const struct ipc_record ipc_params_body;
extern const struct ipc_record ipc_web_settings_body;
extern const struct ipc_record ipc_store_settings_body;
extern const struct ipc_record ipc_channel_offer_body;
extern const struct ipc_record ipc_stop_body;
extern const struct ipc_record ipc_ping_body;
extern const struct ipc_record ipc_ready_body;
extern const struct ipc_record ipc_refused_call_body;
extern const struct ipc_record ipc_replace_body;
extern const struct ipc_record ipc_roles_body;
extern const struct ipc_record ipc_servers_body;
extern const struct ipc_record ipc_events_body;
extern const struct ipc_record ipc_stored_body;
extern const struct ipc_record ipc_link_body;
extern const struct ipc_record ipc_linked_body;
extern const struct ipc_record ipc_counters_body;
extern const struct ipc_record ipc_hello_body;
extern const struct ipc_record ipc_refusal_body;
extern const struct ipc_record ipc_status_get_body;
extern const struct ipc_record ipc_status_body;
extern const struct ipc_record ipc_link_add_body;
extern const struct ipc_record ipc_link_added_body;
extern const struct ipc_record ipc_events_get_body;
extern const struct ipc_record ipc_event_rows_body;
extern const struct ipc_record ipc_welcome_body;
extern const struct ipc_record ipc_due_get_body;
extern const struct ipc_record ipc_due_body;
extern const struct ipc_record ipc_settle_body;
extern const struct ipc_record ipc_done_body;
extern const struct ipc_record ipc_aside_get_body;
extern const struct ipc_record ipc_aside_body;
extern const struct ipc_record ipc_retry_body;
extern const struct ipc_record ipc_new_node_body;
extern const struct ipc_record ipc_known_servers_body;
extern const struct ipc_record ipc_known_domains_body;
extern const struct ipc_record ipc_replica_get_body;
extern const struct ipc_record ipc_replica_body;
extern const struct ipc_record ipc_known_links_body;
extern const struct ipc_record ipc_search_body;
extern const struct ipc_record ipc_searched_body;
extern const struct ipc_record ipc_forwarder_state_body;
extern const struct ipc_record ipc_keeper_settings_body;
extern const struct ipc_record ipc_pair_chain_body;
extern const struct ipc_record ipc_pair_key_body;
extern const struct ipc_record ipc_pair_result_body;
extern const struct ipc_record ipc_pair_drop_body;
extern const struct ipc_record ipc_certificate_body;
extern const struct ipc_record ipc_certificates_done_body;
extern const struct ipc_record ipc_sign_body;
extern const struct ipc_record ipc_signed_body;
extern const struct ipc_record ipc_challenge_body;
extern const struct ipc_record ipc_challenged_body;
extern const struct ipc_record ipc_domains_get_body;
extern const struct ipc_record ipc_domains_body;
extern const struct ipc_record ipc_admin_settings_body;
extern const struct ipc_record ipc_commits_get_body;
extern const struct ipc_record ipc_commits_body;
extern const struct ipc_record ipc_permission_get_body;
extern const struct ipc_record ipc_permission_body;
extern const struct ipc_record ipc_clients_get_body;
extern const struct ipc_record ipc_clients_body;
extern const struct ipc_record ipc_selftest_body;
extern const struct ipc_record ipc_selftest_state_body;
extern const struct ipc_record ipc_logger_settings_body;
extern const struct ipc_record ipc_lines_body;
extern const struct ipc_record ipc_lines_lost_body;
extern const struct ipc_record ipc_certificate_states_body;
extern const struct ipc_record ipc_certificates_get_body;
extern const struct ipc_record ipc_certificates_body;
extern const struct ipc_record ipc_certificate_rows_body;
extern const struct ipc_record ipc_rows_wanted_body;
extern const struct ipc_record ipc_row_chain_body;
extern const struct ipc_record ipc_row_key_body;
extern const struct ipc_record ipc_row_taken_body;
extern const struct ipc_record ipc_known_challenges_body;
extern const struct ipc_record ipc_challenges_due_body;
extern const struct ipc_record ipc_port_open_body;
extern const struct ipc_record ipc_port_opened_body;
extern const struct ipc_record ipc_port_refused_body;

#endif
