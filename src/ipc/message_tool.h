/*
 * message_tool.h - the messages of `check` and `selftest` with the store
 *
 * A part of message.h.
 */
#ifndef IPC_MESSAGE_TOOL_H
#define IPC_MESSAGE_TOOL_H

#include "ipc/message.h"

/* a tool: whose events came last? */
struct ipc_clients_get {
	uint8_t unused;
};
/* So many events in a row, up to the last one, came from one address. */
struct ipc_clients {
	uint64_t n;
	uint8_t ip[16];
};

/* Where its link leads: ".invalid" is nowhere (RFC 2606). */
#define IPC_SELFTEST_URL "http://postal-tracker-selftest.invalid/"

enum ipc_selftest_step {
	IPC_SELFTEST_BEGIN = 1, /* make a token, a link, a server if need be */
	IPC_SELFTEST_LOOK,	/* what became of them so far */
	IPC_SELFTEST_END,	/* and leave nothing of them */
};
/* a tool: one at a time, and over when its connection is; answered by
 * SELFTEST_STATE. */
struct ipc_selftest {
	uint8_t step;	    /* enum ipc_selftest_step */
	struct span server; /* of BEGIN; empty: the store chooses */
};

enum ipc_selftest_outcome {
	IPC_SELFTEST_NOTHING = 0,   /* not asked for yet, or not settled */
	IPC_SELFTEST_WRITTEN = 1,   /* as enum ipc_outcome */
	IPC_SELFTEST_UNMATCHED = 2, /* the forwarder looked in vain */
	IPC_SELFTEST_ASIDE = 3,
	IPC_SELFTEST_REMOVED = 4, /* by END */
};
struct ipc_selftest_row {
	uint64_t seq;	   /* 0: did not come yet */
	uint8_t ip[16];	   /* of the visitor, as it was recorded */
	int64_t stored_us; /* wall clock; 0: not on stable storage yet */
	int64_t settled_us;
	uint8_t outcome; /* enum ipc_selftest_outcome */
};
struct ipc_selftest_state {
	uint8_t mode; /* enum ipc_mode */
	uint32_t server_id;
	struct span server;   /* its token */
	struct span token;    /* of message and link; in no database */
	struct span reason;   /* of IPC_SELFTEST_ASIDE */
	struct ipc_list rows; /* the open, then the click */
};

/* `link add`; an empty token: the store makes one. */
struct ipc_link_add {
	struct span server;
	struct span token;
	struct span url;
};

struct ipc_link_added {
	uint64_t link_id;
	struct span server; /* as stored; the first spelling stays */
	struct span token;
};

#endif
