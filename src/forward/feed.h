/*
 * feed.h - the forwarder's side of store.sock
 *
 * One question at a time, and its answer. What comes unasked meanwhile (a
 * visitor waits for a link; events became due) is noted for later.
 */
#ifndef FORWARD_FEED_H
#define FORWARD_FEED_H

#include <stdbool.h>
#include <sys/types.h>

#include "ipc/channel.h"

/* Visitors wait for as many links at the same time, and no more. */
#define FEED_SEARCHES 1024

struct feed_search {
	uint64_t ask;
	uint32_t server_id;
	uint8_t len;
	uint8_t token[IPC_TOKEN_MAX];
};

struct feed {
	struct ipc_channel channel; /* fd -1: not connected */
	uint64_t session;	    /* counts connections */
	uint8_t *buffer, *scratch;  /* IPC_RECORD_MAX each */
	uint8_t node[IPC_NODE_SIZE];
	uint64_t start_seq, last_seq; /* as WELCOME says */
	bool due_asked;		      /* a DUE_GET waits for events */
	bool due;		      /* events are there */
	bool challenges_due;	      /* somebody waits for a challenge */
	size_t n_searches;
	struct feed_search *searches;
};

int feed_open(struct feed *f, struct err *e);

/*
 * Connects to the daemon of this machine. The socket has to have been made by
 * root, or by store_uid, or by this process' own user: a stranger who put his
 * there in time gets nothing. -1 when nobody listens, or the store refuses.
 */
int feed_connect(
    struct feed *f, const char *path, uid_t store_uid, struct err *e);
void feed_drop(struct feed *f);
bool feed_is_up(const struct feed *f);

/*
 * Asks and waits for the answer of type `wanted`, whose spans borrow a buffer
 * until the next call. -1: refused (f stays connected), or the store is gone
 * (f is dropped).
 */
int feed_ask(struct feed *f, enum ipc_type type, const void *body,
    enum ipc_type wanted, struct ipc_received *answer, struct err *e);
/* feed_ask for DONE; n may be NULL. */
int feed_tell(struct feed *f, enum ipc_type type, const void *body, uint64_t *n,
    struct err *e);
/* What is never answered. */
void feed_say(struct feed *f, enum ipc_type type, const void *body);

/* Takes what is there without waiting. -1: the store is gone. */
int feed_listen(struct feed *f, struct err *e);

/* Asks to be told when there are events; feed_listen will set `due`. */
void feed_await_events(struct feed *f);

#endif
