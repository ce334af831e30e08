/*
 * mail_servers.h - Postal's mail servers: what the forwarder knows of each
 */
#ifndef FORWARD_MAIL_SERVERS_H
#define FORWARD_MAIL_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "forward/sql_text.h"
#include "ipc/message.h"

/* Ids of links that are missing below the newest one: a transaction that took
 * them may still commit. */
#define SERVER_GAPS_MAX 256
#define SERVER_REASON_SIZE (IPC_REASON_MAX + 1)

struct mail_server_gap {
	uint64_t id;
	uint64_t until_ms; /* then it will never come */
};

struct mail_server {
	uint32_t id;
	bool present; /* in Postal's table; else only in events */
	uint8_t token_len;
	uint8_t token[IPC_TOKEN_MAX];
	char database[SQL_QUOTED_SIZE]; /* quoted: `postal-server-1` */

	/* Up to which event the ledger says that rows are written, and the
	 * webhooks of those (the same, where one transaction does both). */
	uint64_t rows_seq, hooks_seq;
	bool hooks_row; /* there is a row for the webhooks */

	/* Its message database cannot be written: events are set aside. */
	bool broken;
	bool probing; /* but the next ones show whether it works again */
	bool aside;   /* some are, and may be tried again */
	uint64_t retry_at_ms, backoff_ms;
	char reason[SERVER_REASON_SIZE];
	unsigned int cuts; /* connections that its statements cost in a row */

	/* Links from low to high are in the replica. */
	uint64_t low, high;
	bool complete;	 /* nothing older is wanted */
	bool started;	 /* what was below high at the start was looked at */
	uint64_t newest; /* MAX(id) of links, as it was seen last */
	uint32_t quiet;	 /* polls since that moved, or a visitor searched */
	bool unreadable; /* its links cannot be read */
	uint64_t read_at_ms; /* when to try again, or to look at retention */
	struct mail_server_gap *gaps; /* SERVER_GAPS_MAX; NULL: never had one */
	size_t n_gaps;
	struct log_limit log_links;
};

struct mail_servers {
	struct mail_server **list; /* ascending ids */
	size_t n;
	const char *prefix; /* of the message databases */
};

struct mail_server *mail_servers_find(
    const struct mail_servers *s, uint32_t id);
/* Finds or makes it; NULL when there is no memory, or when no database can
 * have that name. */
struct mail_server *mail_servers_take(
    struct mail_servers *s, uint32_t id, struct err *e);
/* What was read from the ledger or the store is forgotten. */
void mail_servers_forget_ledger(struct mail_servers *s);
void mail_servers_forget_replica(struct mail_servers *s);
void mail_server_forget_replica(struct mail_server *server);
/* Those that Postal has; broken: of these, whose database cannot be written or
 * read. */
size_t mail_servers_count(const struct mail_servers *s, bool broken);
void mail_servers_clear(struct mail_servers *s);

#endif
