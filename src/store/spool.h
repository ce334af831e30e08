/*
 * spool.h - spool.db: events until they are delivered or expire
 *
 * A batch is one row, with its events as the worker sent them: what a commit
 * costs does not grow with the number of events but with their bytes. Events
 * of a batch have the sequence numbers first_seq, first_seq + 1, ...; when
 * some are settled before others, a bitmap beside the batch says which.
 *
 * What has to be true together is written in one transaction, so that
 *
 *   accepted = written + unmatched + duplicates + set_aside + expired +
 *              pending + lost
 *
 * holds whatever is killed. The counters are saved when something else than
 * a new batch changes them; batches behind the saved last_seq are added when
 * the spool is opened. Counts that could not be written (no space) are kept in
 * memory and go with the next transaction.
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include "ipc/message.h"
#include "store/database.h"
#include "store/latency.h"

struct spool_counts {
	uint64_t accepted, written, unmatched, duplicates, set_aside, expired;
	uint64_t pending, lost, late;
	uint64_t last_seq;
};

enum spool_statement {
	SPOOL_BEGIN,
	SPOOL_COMMIT,
	SPOOL_ROLLBACK,
	SPOOL_PUT,
	SPOOL_SAVE_STATE,
	SPOOL_PAGE,
	SPOOL_EXPIRED,
	SPOOL_BATCH_OF,
	SPOOL_NEXT_BATCH,
	SPOOL_DELETE_BATCH,
	SPOOL_BITS,
	SPOOL_SET_BITS,
	SPOOL_DELETE_BITS,
	SPOOL_PUT_ASIDE,
	SPOOL_ASIDE_OF,
	SPOOL_DELETE_ASIDE,
	SPOOL_ASIDE_SUMS,
	SPOOL_ASIDE_SERVERS,
	SPOOL_PROBE,
	SPOOL_STATEMENTS,
};

/* What each worker sent: its last batch's number, and its totals of lost and
 * late events, so that a new store does not count them again. */
#define SPOOL_WORKERS_MAX 256
struct spool_workers {
	size_t n;
	struct spool_worker {
		uint64_t instance;
		uint64_t number;
		uint64_t lost, late; /* are in the counts */
	} list[SPOOL_WORKERS_MAX];
};

struct spool {
	struct database db; /* handle NULL: not open */
	sqlite3_stmt *statements[SPOOL_STATEMENTS];
	uint8_t node[IPC_NODE_SIZE];
	uint8_t mode;		   /* enum ipc_mode */
	uint64_t start_seq;	   /* last_seq when it was opened */
	uint64_t handed_seq;	   /* the last event a forwarder may know */
	struct spool_counts now;   /* with the open transaction */
	struct spool_counts saved; /* as of the last commit */
	struct spool_workers now_workers, saved_workers;
	bool in_transaction;
	bool state_changed;	/* the counters have to go with the commit */
	uint64_t state_seq;	/* last_seq as the saved counters have it */
	uint64_t expire_after;	/* where the look for old batches goes on */
	struct latency commits; /* since the process started */
};

/* The events of one worker, as it sent them. */
struct spool_batch {
	uint64_t instance; /* of the worker; 0: none */
	uint64_t number;
	uint16_t n_events;   /* at least 1 */
	int64_t newest_us;   /* of its events */
	struct span servers; /* records of struct ipc_server_row */
	struct span events;  /* records of struct ipc_event */
};

/*
 * *s zeroed before the first time. Counts that were not saved when a spool
 * went away are carried over. A spool that has events of another mode (their
 * server ids name others) gives DATABASE_OTHER_MODE.
 */
enum database_result spool_open(
    struct spool *s, enum ipc_mode mode, struct err *e);
/* Rolls back what is open. */
void spool_close(struct spool *s);
bool spool_is_open(const struct spool *s);
/* Bytes of events that fit; takes effect at once. */
void spool_set_max_size(struct spool *s, uint64_t bytes);
uint64_t spool_size(const struct spool *s);
/* Whether max_size, not the disk, is what refuses more. */
bool spool_is_at_max_size(const struct spool *s);
/* Outside a transaction: whether so many bytes, and a page in any case, can be
 * stored. They are, and are deleted again. After a failure the caller rolls
 * back. */
enum database_result spool_probe(
    struct spool *s, uint64_t bytes, struct err *e);

enum database_result spool_begin(struct spool *s, struct err *e);
/* Inside a transaction; remembers the worker's number with it. */
enum database_result spool_put(
    struct spool *s, const struct spool_batch *batch, struct err *e);
/* Everything is on stable storage when it is OK. */
enum database_result spool_commit(struct spool *s, struct err *e);
void spool_rollback(struct spool *s);
/* --- spool_state.c: node, counters, workers ----------------------------- */

/*
 * Makes the next commit save the counters, when batches came since (a spool
 * that is opened counts those one by one) or `anyway`.
 */
void spool_save_state(struct spool *s, bool anyway);

/* What is known of a worker; all 0 when it is new. */
struct spool_worker spool_worker(const struct spool *s, uint64_t instance);
/* It will never send again. */
void spool_forget_worker(struct spool *s, uint64_t instance);

/* Outside a transaction: events that are gone for good, with no space to say
 * so on disk now. */
void spool_count_lost(struct spool *s, uint64_t n);
/* The totals that a worker has told; what is new of them is counted. */
void spool_count_worker(
    struct spool *s, uint64_t instance, uint64_t lost, uint64_t late);
bool spool_has_unsaved_counts(const struct spool *s);

/* A new node: what the ledger says of the old one is of another time. */
enum database_result spool_new_node(struct spool *s, struct err *e);

/* For spool.c, in this order: */

/* Reads the row, or makes it, and counts the batches that came since. */
enum database_result spool_load_state(
    struct spool *s, enum ipc_mode mode, struct err *e);
/* Counts what a batch changes beside its row. */
void spool_count_batch(
    struct spool *s, uint64_t n_events, uint64_t instance, uint64_t number);
/* Inside a transaction: writes the row if it has to go with the commit. */
enum database_result spool_put_state(struct spool *s, struct err *e);
/* What became of the transaction. */
void spool_state_committed(struct spool *s);
void spool_state_rolled_back(struct spool *s);

/* --- spool_read.c ------------------------------------------------------- */

/* One event of a batch. Valid during the visit. */
struct spool_row {
	uint64_t seq;
	struct span server; /* its token when it was stored, if known */
	struct ipc_event event;
};

/*
 * Pending events with seq > after in order, at most `most`; visit returns
 * false to stop.
 */
enum database_result spool_page(struct spool *s, uint64_t after,
    unsigned int most, bool (*visit)(void *owner, const struct spool_row *row),
    void *owner, struct err *e);

/* The token of a server in a batch's `servers`; empty when it is not there. */
struct span spool_server_of(struct span servers, uint32_t id);

/* --- spool_settle.c: the end of events; all inside a transaction -------- */

/* Deletes batches whose events are all older, and adds the number of their
 * events to *n. Looks at the first `most` batches; when none of them is old (a
 * clock that went ahead), at as many of the others, which the next call goes
 * on from. *more: there may be others. */
enum database_result spool_expire(struct spool *s, int64_t before_us,
    unsigned int most, uint64_t *n, bool *more, struct err *e);

/* Why events are set aside, for IPC_OUTCOME_ASIDE. */
struct spool_aside {
	struct span reason;
	bool retry;	  /* they may be written later; see spool_retry */
	bool row_written; /* then only their webhooks */
	int64_t at_us;
};

/*
 * n events from seq on are settled. Those that are not there any more are
 * passed over: a settlement may come twice.
 */
enum database_result spool_settle(struct spool *s, uint64_t seq, uint64_t n,
    enum ipc_outcome outcome, const struct spool_aside *aside, struct err *e);

/* Puts at most `most` events of a server that were set aside for a retry back
 * to the end of the queue, with new sequence numbers. */
enum database_result spool_retry(struct spool *s, uint32_t server_id,
    unsigned int most, uint64_t *n, struct err *e);

/* Servers with a higher id that have events for spool_retry, in their order;
 * visit returns false to stop. */
enum database_result spool_aside_servers(struct spool *s, uint32_t after,
    bool (*visit)(void *owner, uint32_t server_id), void *owner, struct err *e);

/* How many are set aside for each server and reason: the first `most`. */
struct spool_aside_sum {
	uint32_t server_id;
	uint64_t n;
	bool retry;
	struct span reason;
};
enum database_result spool_aside_sums(struct spool *s, unsigned int most,
    void (*visit)(void *owner, const struct spool_aside_sum *sum), void *owner,
    struct err *e);

#endif
