/*
 * spool.h - spool.db: events until they are delivered or expire
 *
 * Everything that has to be true together is written in one transaction: the
 * rows, the last batch number of each worker, and the counters, so that
 *
 *   accepted = written + unmatched + duplicates + set_aside + expired +
 *              pending + lost
 *
 * holds whatever is killed. Counts that could not be written (no space) are
 * kept in memory and go with the next transaction.
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include "ipc/message.h"
#include "store/database.h"

struct spool_counts {
	uint64_t accepted, written, unmatched, duplicates, set_aside, expired;
	uint64_t pending, lost, late;
	uint64_t last_seq;
};

enum spool_statement {
	SPOOL_BEGIN,
	SPOOL_COMMIT,
	SPOOL_ROLLBACK,
	SPOOL_INSERT,
	SPOOL_SAVE_STATE,
	SPOOL_PAGE,
	SPOOL_EXPIRE,
	SPOOL_STATEMENTS,
};

/* The last batch number of each worker, in the same row as the counters: one
 * page less to write for each commit. */
#define SPOOL_WORKERS_MAX 256
struct spool_workers {
	size_t n;
	struct spool_worker {
		uint64_t instance;
		uint64_t number;
	} list[SPOOL_WORKERS_MAX];
};

struct spool {
	struct database db; /* handle NULL: not open */
	sqlite3_stmt *statements[SPOOL_STATEMENTS];
	uint8_t node[IPC_NODE_SIZE];
	struct spool_counts now;   /* with the open transaction */
	struct spool_counts saved; /* as of the last commit */
	struct spool_workers now_workers, saved_workers;
	bool in_transaction;
};

/* One event to be stored; server is its token at this time. */
struct spool_event {
	const struct ipc_event *event;
	struct span server;
};

/* *s zeroed before the first time. Counts that were not saved when a spool
 * went away are carried over. */
enum database_result spool_open(struct spool *s, struct err *e);
/* Rolls back what is open. */
void spool_close(struct spool *s);
bool spool_is_open(const struct spool *s);
/* Bytes of events that fit; takes effect at once. */
void spool_set_max_size(struct spool *s, uint64_t bytes);
uint64_t spool_size(const struct spool *s);
/* Whether max_size, not the disk, is what refuses more. */
bool spool_is_at_max_size(const struct spool *s);

enum database_result spool_begin(struct spool *s, struct err *e);
/* Inside a transaction. */
enum database_result spool_put(
    struct spool *s, const struct spool_event *event, struct err *e);
void spool_set_worker(struct spool *s, uint64_t instance, uint64_t number);
/* At most `most` events that are older; how many is added to *n. */
enum database_result spool_expire(struct spool *s, int64_t before_us,
    unsigned int most, uint64_t *n, struct err *e);
/* Counters and COMMIT: everything is on stable storage when it is OK. */
enum database_result spool_commit(struct spool *s, struct err *e);
void spool_rollback(struct spool *s);

/* The last number of a worker; 0 when it has none. */
uint64_t spool_worker_number(const struct spool *s, uint64_t instance);
/* It will never send again. */
void spool_forget_worker(struct spool *s, uint64_t instance);

/* Outside a transaction: events that are gone for good, with no space to say
 * so on disk now. */
void spool_count_lost(struct spool *s, uint64_t n);
void spool_count_late(struct spool *s, uint64_t n);
bool spool_has_unsaved_counts(const struct spool *s);

/*
 * Events with seq > after in order; visit returns false to stop. The row's
 * spans are valid during the call; its url is empty.
 */
enum database_result spool_page(struct spool *s, uint64_t after,
    unsigned int most, bool (*visit)(void *owner, struct ipc_event_row *row),
    void *owner, struct err *e);

#endif
