/*
 * internal.h - what the files of the store share
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/loop.h"
#include "ipc/channel.h"
#include "ipc/counter.h"
#include "role/role.h"
#include "store/links.h"
#include "store/spool.h"

#define WORKERS_MAX 256
#define TOOLS_MAX 32
#define ROLES_BYTES 32768
/* Tokens of the servers of one batch; what does not fit is not noted. */
#define BATCH_NAMES_SIZE 8192

struct store;

/* A web worker's channel. Who it is was said by the monitor. */
struct worker {
	struct loop_watch watch; /* first: the watch is the worker */
	struct store *store;
	struct ipc_channel channel;
	uint16_t index;
	uint64_t instance;
	uint64_t last_number;	  /* stored, or refused and counted */
	bool is_new;		  /* no batch came over this channel yet */
	bool under_way;		  /* a batch waits for the end of the round */
	struct spool_batch batch; /* borrows bytes and names */
	uint8_t *bytes;		  /* IPC_BATCH_BYTES_MAX: its events */
	uint8_t *names;		  /* BATCH_NAMES_SIZE: their servers */
	uint64_t counters[COUNTER_N];
};

/* A command, or later the forwarder, on store.sock. */
struct tool {
	struct loop_watch watch;
	struct store *store;
	struct ipc_channel channel;
	uid_t uid;
	bool greeted;
};

/* Tokens by id, for the rows of events. */
struct server_name {
	uint64_t noted_in; /* the batch that has its token already */
	uint32_t id;
	uint8_t len;
	uint8_t token[IPC_TOKEN_MAX];
};

struct store {
	struct role role;
	struct loop loop;
	struct loop_watch monitor_watch, socket_watch;
	struct ipc_store_settings settings;
	struct spool spool;
	struct links_db links;
	struct worker workers[WORKERS_MAX];
	struct tool tools[TOOLS_MAX];
	struct server_name *servers; /* ascending ids */
	size_t n_servers;
	uint64_t batches_taken;
	bool stopping;

	uint64_t uncommitted; /* events of relaxed batches in the open
			       * transaction */
	uint64_t commit_at_ms;
	uint64_t tend_at_ms; /* retention, counts, reopening */
	bool expiring;	     /* there may be more to expire */

	bool ready;
	char reason[256];    /* why not */
	uint64_t lost_since; /* since it was ready last */
	struct log_limit log_lost, log_links;

	int64_t started_us;
	uint64_t ended_counters[COUNTER_N]; /* of workers that are gone */
	uint8_t roles[ROLES_BYTES];
	struct ipc_list role_rows;
	uint8_t *buffer, *scratch; /* IPC_RECORD_MAX each */
	uint8_t *page;		   /* IPC_RECORD_MAX */
};

/* worker.c */

/* Takes a channel that the monitor handed over. */
void worker_add(struct store *s, const struct ipc_channel_offer *o, int fd);
/* The channel is gone: forgets the worker. */
void worker_end(struct worker *w);
/* Sends the table of servers to one worker, or to all (NULL). */
void workers_send_servers(struct store *s, struct worker *only);
/* Totals of a counter over all workers of this process. */
uint64_t workers_counter(const struct store *s, enum counter c);

/* keep.c: what makes events durable */

/* Stores the batches of this round and acknowledges them. */
void keep_round(struct store *s);
/* Commits what is open. */
void keep_commit(struct store *s);
/* Retention, counts that were not saved, a spool that was not usable. */
void keep_tend(struct store *s);
/* Opens spool.db, putting a damaged one aside. */
void keep_open_spool(struct store *s);
void keep_open_links(struct store *s);
/* A look-up found links.db damaged: puts it aside and starts a new one. */
void keep_replace_links(struct store *s, const struct err *e);
/* Reads the table of servers from links.db. */
void keep_load_servers(struct store *s);
struct server_name *keep_server(const struct store *s, uint32_t id);

/* tool.c */
int tools_open(struct store *s, int fd, struct err *e);
/* A channel whose peer is a tool: from store.sock or from the monitor. */
void tool_add(struct store *s, int fd, uid_t uid);

#endif
