/*
 * ledger.h - the table that says, in Postal's own database server, which
 * events are in Postal's tables
 *
 * A row for each node (spool), mail server and part: the sequence number of
 * the last event that was written. It is updated in the transaction that
 * writes the events, so after a COMMIT whose answer was lost, reading it
 * tells what became of them.
 */
#ifndef FORWARD_LEDGER_H
#define FORWARD_LEDGER_H

#include "forward/forwarder.h"

#define LEDGER_DATABASE "postal_tracker"
#define LEDGER_TABLE_NAME "ledger"
#define LEDGER_TABLE "`" LEDGER_DATABASE "`.`" LEDGER_TABLE_NAME "`"

enum ledger_part {
	LEDGER_ROWS = 1,  /* loads, clicks, messages */
	LEDGER_HOOKS = 2, /* webhook_requests, where that is another server */
};

/* What creates it; for `postal-tracker sql` too. */
extern const char *const ledger_create[];
extern const size_t ledger_n_create;

/*
 * Reads the ledger of this spool when it is not known for the connections as
 * they are now; creates it when it is missing and may be created. When it
 * knows more than the spool, which then came from a backup, f->restored says
 * so.
 */
int ledger_refresh(struct forwarder *f, struct err *e);

/* Makes the next ledger_refresh read. */
void ledger_forget(struct forwarder *f);

/*
 * Inside a transaction, first of all: moves the row from one number to
 * another. Waits for a transaction of a former connection that still holds
 * the row. *moved is false when the row was not at `from`: then the ledger
 * has to be read again.
 */
int ledger_move(struct forwarder *f, struct host *h, uint32_t server_id,
    enum ledger_part part, uint64_t from, uint64_t to, bool *moved,
    struct err *e);

/* Outside a transaction: makes the row, when it is missing, at `seq`. */
int ledger_begin(struct forwarder *f, struct host *h, uint32_t server_id,
    enum ledger_part part, uint64_t seq, struct err *e);

#endif
