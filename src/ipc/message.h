/*
 * message.h - every message between our processes
 *
 * One table (message.c) says for each message who may send it to whom, its
 * least and most bytes, how many descriptors come with it, and its fields
 * with the range of each. Encoding and decoding walk that table, so that a
 * message has one description and no code of its own.
 *
 * To add a message: an enum value, a struct, a member of union ipc_body, a
 * row of fields and a row of the table. The unit test checks the sizes.
 *
 * On the wire: SOCK_SEQPACKET, one record a message: type (u16), then the
 * fields in order, little-endian, spans behind their length, lists behind
 * their count. Nothing may be left over.
 *
 * Security: the weaker side never states who it is, a path, a buffer size or
 * a policy. Identity is the socket that a message came from.
 */
#ifndef IPC_MESSAGE_H
#define IPC_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "ipc/role.h"

enum ipc_type {
	IPC_PARAMS = 1,
	IPC_WEB_SETTINGS,
	IPC_STORE_SETTINGS,
	IPC_CHANNEL,
	IPC_STOP,
	IPC_READY,
	IPC_REFUSED_CALL,
	IPC_REPLACE,
	IPC_ROLES,
	IPC_SERVERS,
	IPC_EVENTS,
	IPC_STORED,
	IPC_LINK,
	IPC_LINKED,
	IPC_COUNTERS,
	IPC_HELLO,
	IPC_REFUSAL,
	IPC_STATUS_GET,
	IPC_STATUS,
	IPC_LINK_ADD,
	IPC_LINK_ADDED,
	IPC_EVENTS_GET,
	IPC_EVENT_ROWS,
	IPC_WELCOME,
	IPC_DUE_GET,
	IPC_DUE,
	IPC_SETTLE,
	IPC_DONE,
	IPC_ASIDE_GET,
	IPC_ASIDE,
	IPC_RETRY,
	IPC_NEW_NODE,
	IPC_KNOWN_SERVERS,
	IPC_KNOWN_DOMAINS,
	IPC_REPLICA_GET,
	IPC_REPLICA,
	IPC_KNOWN_LINKS,
	IPC_SEARCH,
	IPC_SEARCHED,
	IPC_FORWARDER_STATE,
	IPC_KEEPER_SETTINGS,
	IPC_PAIR_CHAIN,
	IPC_PAIR_KEY,
	IPC_PAIR_RESULT,
	IPC_PAIR_DROP,
	IPC_CERTIFICATE,
	IPC_CERTIFICATES_DONE,
	IPC_SIGN,
	IPC_SIGNED,
	IPC_CHALLENGE,
	IPC_CHALLENGED,
	IPC_DOMAINS_GET,
	IPC_DOMAINS,
	IPC_ADMIN_SETTINGS,
	IPC_COMMITS_GET,
	IPC_COMMITS,
	IPC_PERMISSION_GET,
	IPC_PERMISSION,
	IPC_CLIENTS_GET,
	IPC_CLIENTS,
	IPC_SELFTEST,
	IPC_SELFTEST_STATE,
	IPC_LOGGER_SETTINGS,
	IPC_LINES,
	IPC_LINES_LOST,
	IPC_CERTIFICATE_STATES,
	IPC_CERTIFICATES_GET,
	IPC_CERTIFICATES,
	IPC_CERTIFICATE_ROWS,
	IPC_ROWS_WANTED,
	IPC_ROW_CHAIN,
	IPC_ROW_KEY,
	IPC_ROW_TAKEN,
	IPC_KNOWN_CHALLENGES,
	IPC_CHALLENGES_DUE,
	IPC_PING,
	IPC_PONG,
	IPC_PORT_OPEN,
	IPC_PORT_OPENED,
	IPC_PORT_REFUSED,
	IPC_TYPE_END,
};

/* The largest record; receive buffers have this size. */
#define IPC_RECORD_MAX 131072
/* Counted up when a message changes: store.sock outlives an upgrade. */
#define IPC_VERSION 6

#define IPC_TOKEN_MAX 255
#define IPC_URL_MAX 65535
#define IPC_USER_AGENT_MAX 4096
#define IPC_BATCH_EVENTS_MAX 1024
/* A batch stays below this, whatever its events hold. */
#define IPC_BATCH_BYTES_MAX 65536
/* Memory that web workers share: so many bytes for each of them. */
#define IPC_WEB_SLICE_SIZE 65536
/* The cache of TLS sessions that web workers share, as long as we run. */
#define IPC_SESSIONS_SIZE (16 * 1024 * 1024)
/* A node, as in the ledger: a UUID. */
#define IPC_NODE_SIZE 16

/* A list: records one after another, walked with ipc_next. */
struct ipc_list {
	uint16_t count;
	struct span records;
};

enum ipc_param_flags {
	IPC_PARAM_ROOT = 1 << 0, /* started as root: chroot, change ids */
	IPC_PARAM_KILL = 1 << 1, /* [sandbox] action = kill */
};

/* monitor to a role, once, first: how to restrict itself. */
struct ipc_params {
	uint8_t flags; /* enum ipc_param_flags */
	uint8_t log_level;
	uint16_t index;
	uint32_t uid, gid;
	uint8_t n_fds; /* descriptors 3 to 3 + n_fds - 1 are the role's */
	struct span settings; /* an encoded message of settings */
};

/* In PARAMS of a web worker. Its descriptors: monitor, chroot, memory that
 * web workers share, the cache of TLS sessions that they share, listeners. */
struct ipc_web_settings {
	uint16_t index;	  /* this worker's slice of the shared memory */
	uint16_t workers; /* slices in all */
	uint64_t k0, k1;  /* the key of its tables, the same for all */
	uint16_t n_listeners;
	uint16_t n_https; /* so many of the last listeners speak TLS */
	uint64_t s0, s1;  /* the key of the cache of sessions */
	uint32_t session_life_s;
	uint32_t handshakes_max; /* under way at a time, of this worker */
	uint32_t handshake_timeout_ms;
	uint8_t access; /* enum http_access_format */
	uint8_t count_head;
	uint8_t proxy_protocol; /* enum ipc_proxy */
	uint8_t durability;	/* enum ipc_durability */
	uint32_t max_wait_ms;
	uint32_t max_connections; /* of this worker */
	uint32_t max_connections_per_address;
	uint32_t max_header_size;
	uint32_t header_timeout_ms;
	uint32_t idle_timeout_ms;
	uint32_t lookup_timeout_ms;
	struct ipc_list trusted; /* struct ipc_network */
};

struct ipc_network {
	uint8_t ip[16];
	uint8_t prefix;
};

/* Which connections of trusted proxies begin with a PROXY header. */
enum ipc_proxy { IPC_PROXY_NONE, IPC_PROXY_ALL, IPC_PROXY_HTTPS };
enum ipc_durability { IPC_DURABILITY_SYNC = 1, IPC_DURABILITY_RELAXED = 2 };
enum ipc_mode { IPC_MODE_STANDALONE = 1, IPC_MODE_MYSQL = 2 };

/* In PARAMS of the store, and alone after a reload. Its descriptors: monitor,
 * spool directory, listening store.sock, directory of ACME challenges; from
 * the end they may be missing. */
struct ipc_store_settings {
	uint8_t mode;	    /* enum ipc_mode */
	uint8_t durability; /* enum ipc_durability */
	uint64_t max_size;  /* bytes of the spool */
	uint64_t retention_ms;
	uint32_t lookup_timeout_ms;
	uint32_t store_uid;	/* may use store.sock as root may */
	uint32_t forwarder_uid; /* may only drain and replicate */
	uint8_t log_level;
};

/* monitor to any role, with one descriptor: a channel to this peer. */
struct ipc_channel_offer {
	uint8_t role; /* enum ipc_role */
	uint16_t index;
	uint64_t instance; /* this one process; never used again */
};

/* monitor to any role: finish what was begun, exit 0. */
struct ipc_stop {
	uint32_t within_ms; /* a little later it is killed */
	/* A web worker: nobody else takes who waits at its listener i. */
	uint64_t leaves; /* bits 1 << i */
};

/* PING: monitor to a role, when a service manager watches; PONG: its answer. */
struct ipc_ping {
	uint8_t nothing; /* no fields */
};

/* a role to the monitor, once: restricted and serving. */
struct ipc_ready {
	uint8_t degraded; /* the store: running without a usable spool */
};

/* a role to the monitor, from its SIGSYS handler. */
struct ipc_refused_call {
	uint32_t number;
};

/* store, keeper and logger to the monitor: this peer broke the rules, replace it. */
struct ipc_replace {
	uint64_t instance;
	uint8_t reason; /* enum ipc_breach */
};

/* Why a receiver parts from a peer; texts by ipc_breach_text. */
enum ipc_breach {
	IPC_BREACH_TYPE = 1,	/* not in the table for this pair */
	IPC_BREACH_SIZE,	/* outside least..most */
	IPC_BREACH_FORM,	/* a field out of range, bytes left over */
	IPC_BREACH_DESCRIPTORS, /* too many or too few */
	IPC_BREACH_ORDER,	/* not now */
	IPC_BREACH_FLOOD,	/* more under way than the rules allow */
	IPC_BREACH_UNSEALED,	/* a descriptor of no sealed memory file */
	IPC_BREACH_END,
};

/* monitor to the store once a second; the store to `status` and to admin. */
struct ipc_role_row {
	uint8_t role;
	uint16_t index;
	uint32_t pid; /* 0: not running */
	uint32_t starts;
	int64_t since_us; /* wall clock */
};
/* An address that is served. */
struct ipc_listener_row {
	uint8_t ip[16];
	uint16_t port;
	uint8_t tls;
	uint8_t admin;	   /* of [admin] listen */
	uint8_t inherited; /* of systemd */
};
#define IPC_LISTENERS_MAX 128
struct ipc_roles {
	struct ipc_list rows;	   /* struct ipc_role_row */
	struct ipc_list listeners; /* struct ipc_listener_row */
};

/* Of a table that is sent in parts. */
enum ipc_part_flags {
	IPC_PART_FIRST = 1 << 0, /* forget what came so far */
	IPC_PART_LAST = 1 << 1,	 /* complete: use it from now on */
};

/* At most so many mail servers have a table, in Postal or in links.db. */
#define IPC_SERVERS_MAX 200000

/* the store to a web worker: all known server tokens, in parts, and that of
 * selftest. */
struct ipc_servers {
	uint8_t flags;	      /* enum ipc_part_flags */
	struct ipc_list rows; /* struct ipc_server_row */
};
struct ipc_server_row {
	uint32_t id;
	struct span token;
};

enum ipc_event_kind { IPC_EVENT_OPEN = 1, IPC_EVENT_CLICK = 2 };
enum ipc_event_method { IPC_METHOD_GET = 1, IPC_METHOD_HEAD = 2 };
enum ipc_event_flags {
	IPC_EVENT_HAS_AGENT = 1 << 0,	/* the header was there, maybe empty */
	IPC_EVENT_HAS_MESSAGE = 1 << 1, /* message_id is known */
	/* Was set aside with its row in Postal's table: only its webhooks are
	 * owed. The store alone says this, never a worker. */
	IPC_EVENT_ROW_WRITTEN = 1 << 2,
};
#define IPC_EVENT_FLAGS 7

/* One open or click. */
struct ipc_event {
	int64_t at_us; /* wall clock */
	uint8_t kind;
	uint8_t method;
	uint8_t flags;
	uint32_t server_id;
	uint64_t link_id;    /* of a click; 0 of an open */
	uint64_t message_id; /* of a click whose link has one */
	uint8_t ip[16];
	struct span token;	/* as requested: message token or link token */
	struct span user_agent; /* valid UTF-8 */
};

#include "ipc/message_forwarder.h"
#include "ipc/message_tls.h"
#include "ipc/message_acme.h"
#include "ipc/message_admin.h"
#include "ipc/message_tool.h"
#include "ipc/message_log.h"
#include "ipc/message_port.h"
#include "ipc/message_rows.h"

/* a web worker to the store; one under way at a time. */
struct ipc_events {
	uint64_t number; /* 1, 2, 3 ... ; the same again only when resent */
	struct ipc_list rows; /* struct ipc_event */
};

enum ipc_stored_status {
	IPC_STORED_YES = 1,  /* on stable storage, or will be (relaxed) */
	IPC_STORED_LOST = 2, /* refused; the store counted them as lost */
};

/* the store to a web worker: the answer to EVENTS. */
struct ipc_stored {
	uint64_t number;
	uint8_t status;
};

/* a web worker to the store: which link is this? */
struct ipc_link {
	uint64_t ask; /* comes back with the answer */
	uint32_t server_id;
	struct span token;
};

enum ipc_linked_status {
	IPC_LINKED_FOUND = 1,
	IPC_LINKED_NONE = 2,
	IPC_LINKED_UNAVAILABLE = 3,
	IPC_LINKED_NO_SERVER = 4, /* its message database is gone */
};

struct ipc_linked {
	uint64_t ask;
	uint8_t status;
	uint8_t has_message;
	uint64_t link_id;
	uint64_t message_id;
	struct span url; /* as stored, any bytes */
};

/* a web worker to the store, once a second: totals since its start. */
struct ipc_counters {
	struct ipc_list rows; /* struct ipc_counter_row */
};
struct ipc_counter_row {
	uint8_t counter; /* enum counter */
	uint64_t value;
};

/* first message on store.sock. The uid that the kernel gives decides whether
 * this role may be taken. */
struct ipc_hello {
	uint32_t version;
	uint8_t role; /* IPC_TOOL or IPC_FORWARDER */
};

/* the store to a tool: no, and why. */
struct ipc_refusal {
	struct span reason;
};

struct ipc_status_get {
	uint8_t unused;
};

/* accepted = written + unmatched + duplicates + set_aside + expired +
 * pending + lost, over the whole life of the spool. */
struct ipc_status {
	uint8_t mode;
	uint8_t ready;	    /* events can be stored */
	struct span reason; /* why not ready */
	uint8_t node[IPC_NODE_SIZE];
	int64_t started_us;
	uint64_t accepted, written, unmatched, duplicates, set_aside, expired;
	uint64_t pending, lost, late;
	uint64_t last_seq;
	uint64_t spool_bytes, max_size;
	uint64_t servers, links;
	uint64_t domains;
	uint64_t searches, searches_limited; /* on-demand look-ups in MySQL */
	uint8_t forwarder;		     /* connected to this store */
	uint32_t forwarder_pid;
	int64_t forwarder_since_us;
	struct ipc_forwarder_state forwarder_state; /* what it said last */
	struct ipc_list counters;		    /* struct ipc_counter_row */
	struct ipc_list roles;			    /* struct ipc_role_row */
	struct ipc_list asides;			    /* struct ipc_aside_row */
	int64_t oldest_us; /* when the oldest pending event came; 0: none */
	/* What the counters grew by in the last rates_ms; 0: not known. Those
	 * that did not grow have no row. */
	uint32_t rates_ms;
	struct ipc_list rates;	   /* struct ipc_counter_row */
	struct ipc_list listeners; /* struct ipc_listener_row */
};

struct ipc_events_get {
	uint64_t after_seq;
	uint16_t most; /* rows wanted; fewer come when a record is full */
};

/* One row of the spool, for people and the forwarder. */
struct ipc_event_row {
	uint64_t seq;
	int64_t at_us;
	uint8_t kind;
	uint8_t method;
	uint8_t flags;
	uint64_t link_id;
	uint64_t message_id;
	uint8_t ip[16];
	struct span server;
	struct span token;
	struct span url; /* of a click whose link is known */
	struct span user_agent;
};

/* the store to a tool; no rows: nothing after after_seq yet. */
struct ipc_event_rows {
	struct ipc_list rows; /* struct ipc_event_row */
};

/* What a decoded message may be. */
union ipc_body {
	struct ipc_params params;
	struct ipc_web_settings web_settings;
	struct ipc_store_settings store_settings;
	struct ipc_channel_offer channel;
	struct ipc_stop stop;
	struct ipc_ready ready;
	struct ipc_refused_call refused_call;
	struct ipc_replace replace;
	struct ipc_roles roles;
	struct ipc_servers servers;
	struct ipc_events events;
	struct ipc_stored stored;
	struct ipc_link link;
	struct ipc_linked linked;
	struct ipc_counters counters;
	struct ipc_hello hello;
	struct ipc_refusal refusal;
	struct ipc_status_get status_get;
	struct ipc_status status;
	struct ipc_link_add link_add;
	struct ipc_link_added link_added;
	struct ipc_events_get events_get;
	struct ipc_event_rows event_rows;
	struct ipc_welcome welcome;
	struct ipc_due_get due_get;
	struct ipc_due due;
	struct ipc_settle settle;
	struct ipc_done done;
	struct ipc_aside_get aside_get;
	struct ipc_aside aside;
	struct ipc_retry retry;
	struct ipc_new_node new_node;
	struct ipc_known_servers known_servers;
	struct ipc_known_domains known_domains;
	struct ipc_replica_get replica_get;
	struct ipc_replica replica;
	struct ipc_known_links known_links;
	struct ipc_search search;
	struct ipc_searched searched;
	struct ipc_forwarder_state forwarder_state;
	struct ipc_keeper_settings keeper_settings;
	struct ipc_pair_chain pair_chain;
	struct ipc_pair_key pair_key;
	struct ipc_pair_result pair_result;
	struct ipc_pair_drop pair_drop;
	struct ipc_certificate certificate;
	struct ipc_certificates_done certificates_done;
	struct ipc_sign sign;
	struct ipc_signed signed_;
	struct ipc_challenge challenge;
	struct ipc_challenged challenged;
	struct ipc_domains_get domains_get;
	struct ipc_domains domains;
	struct ipc_admin_settings admin_settings;
	struct ipc_commits_get commits_get;
	struct ipc_commits commits;
	struct ipc_permission_get permission_get;
	struct ipc_permission permission;
	struct ipc_clients_get clients_get;
	struct ipc_clients clients;
	struct ipc_selftest selftest;
	struct ipc_selftest_state selftest_state;
	struct ipc_logger_settings logger_settings;
	struct ipc_lines lines;
	struct ipc_lines_lost lines_lost;
	struct ipc_certificate_states certificate_states;
	struct ipc_certificates_get certificates_get;
	struct ipc_certificates certificates;
	struct ipc_certificate_rows certificate_rows;
	struct ipc_rows_wanted rows_wanted;
	struct ipc_row_chain row_chain;
	struct ipc_row_key row_key;
	struct ipc_row_taken row_taken;
	struct ipc_known_challenges known_challenges;
	struct ipc_challenges_due challenges_due;
	struct ipc_ping ping;
	struct ipc_port_open port_open;
	struct ipc_port_opened port_opened;
	struct ipc_port_refused port_refused;
};

#include "ipc/codec.h"

#endif
