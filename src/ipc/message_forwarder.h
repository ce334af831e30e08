/*
 * message_forwarder.h - the messages between the forwarder and the store
 *
 * A part of message.h. The forwarder asks over store.sock and is answered, one
 * question at a time: by the message named beside each, by DONE, or by
 * REFUSAL. Only SEARCH comes unasked, and DUE comes late when nothing is due
 * yet.
 */
#ifndef IPC_MESSAGE_FORWARDER_H
#define IPC_MESSAGE_FORWARDER_H

#include "ipc/message.h"

/* the store to the forwarder: the answer to HELLO and to NEW_NODE. */
struct ipc_welcome {
	uint8_t node[IPC_NODE_SIZE];
	/* The last event when this store opened its spool. */
	uint64_t start_seq;
	/* The last one that a forwarder can have heard of. */
	uint64_t last_seq;
};

/* Events with seq > after_seq; answered by DUE. */
struct ipc_due_get {
	uint64_t after_seq;
	uint16_t most; /* fewer come when a record is full */
	uint8_t wait;  /* 1: an answer without rows may wait for the first */
};
struct ipc_due {
	struct ipc_list rows; /* struct ipc_due_row */
};
struct ipc_due_row {
	uint64_t seq;
	struct ipc_event event;
};

/* What became of events. */
enum ipc_outcome {
	IPC_OUTCOME_WRITTEN = 1,
	IPC_OUTCOME_UNMATCHED, /* of an unknown or pruned message */
	IPC_OUTCOME_ASIDE,     /* cannot be written; reason says why */
	IPC_OUTCOME_DUPLICATE, /* the ledger knew that it is written */
};
/* Whether RETRY may bring back what is set aside. */
enum ipc_settle_retry {
	IPC_RETRY_NEVER,
	IPC_RETRY_ALL,
	IPC_RETRY_HOOKS, /* their rows are written: see IPC_EVENT_ROW_WRITTEN */
};
#define IPC_REASON_MAX 255
struct ipc_settle {
	uint8_t outcome;
	uint8_t retry; /* enum ipc_settle_retry, of IPC_OUTCOME_ASIDE */
	struct span reason;
	struct ipc_list rows; /* struct ipc_settle_row */
};
struct ipc_settle_row {
	uint64_t seq;
	uint32_t n; /* from seq on */
};

/* It is on stable storage; n is what the question counts. */
struct ipc_done {
	uint64_t n;
};

/* Servers with a higher id of which events are set aside for a RETRY;
 * answered by ASIDE, whose ids rise. None: there are no more. */
struct ipc_aside_get {
	uint32_t after_server;
};
struct ipc_aside {
	struct ipc_list rows; /* struct ipc_aside_server_row */
};
struct ipc_aside_server_row {
	uint32_t server_id;
};

/* What is set aside, in sums; in STATUS. */
struct ipc_aside_row {
	uint32_t server_id;
	uint64_t n;
	uint8_t retry;
	struct span reason;
};

/* Events of this server that are set aside become due again, a part at a
 * time; DONE says how many did. */
struct ipc_retry {
	uint32_t server_id;
	uint16_t most;
};

/* The ledger knows more of this node than its spool does. */
struct ipc_new_node {
	uint8_t unused;
};

/* Postal's table of servers, in parts as SERVERS. */
struct ipc_known_servers {
	uint8_t flags;	      /* enum ipc_part_flags */
	struct ipc_list rows; /* struct ipc_server_row */
};

/* Postal's tracking domains, in parts as SERVERS. */
struct ipc_known_domains {
	uint8_t flags;	      /* enum ipc_part_flags */
	struct ipc_list rows; /* struct ipc_domain_row */
};
struct ipc_domain_row {
	uint32_t server_id;
	uint8_t dns_ok;
	uint8_t ssl;
	struct span name; /* click.example.com */
};

/* How far the replica of links is, for server ids > after_server; answered
 * by REPLICA. */
struct ipc_replica_get {
	uint32_t after_server;
};
struct ipc_replica {
	struct ipc_list rows; /* struct ipc_replica_row */
};
struct ipc_replica_row {
	uint32_t server_id;
	uint64_t low, high; /* ids from low to high are here; 0, 0: none */
	uint8_t complete;   /* nothing older is wanted */
};

/* Links of one server, and how far the replica is with them: one
 * transaction. Links below `low` are older than [links] retention. */
struct ipc_known_links {
	struct ipc_replica_row progress;
	struct ipc_list rows; /* struct ipc_known_link_row */
};
struct ipc_known_link_row {
	uint64_t link_id;
	uint8_t has_message;
	uint64_t message_id;
	struct span token;
	struct span url;
};

/* the store to the forwarder: a visitor waits for this link. */
struct ipc_search {
	uint64_t ask; /* comes back with the answer */
	uint32_t server_id;
	struct span token;
};
struct ipc_searched {
	uint64_t ask;
	uint8_t status; /* enum ipc_linked_status */
	uint8_t has_message;
	uint64_t link_id;
	uint64_t message_id;
	struct span token; /* as stored */
	struct span url;
};

/* the forwarder to the store once a second, and after each change; never
 * answered. */
struct ipc_forwarder_state {
	uint8_t connected;
	uint64_t written; /* since its start */
	uint32_t rate;	  /* events a second, of the last ten seconds */
	uint64_t webhooks, webhooks_skipped;
	uint64_t searches;
	uint64_t lag_ms; /* age of the oldest unread link change; 0: none */
	uint32_t databases, broken; /* message databases; those that fail */
	struct span error; /* the last one; empty: none since it worked */
};

#endif
