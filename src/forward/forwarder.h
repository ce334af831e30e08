/*
 * forwarder.h - the forwarder as a whole, and what its files do in turn
 *
 * One process, one thing after the other, each with a bound on its time:
 * what visitors wait for first (searches), then events, then the replica.
 */
#ifndef FORWARD_FORWARDER_H
#define FORWARD_FORWARDER_H

#include "base/log.h"
#include "base/uuid.h"
#include "config/config.h"
#include "forward/arena.h"
#include "forward/certificates.h"
#include "forward/feed.h"
#include "forward/hooks.h"
#include "forward/host.h"
#include "forward/library.h"
#include "forward/mail_servers.h"

/* The longest statement: a row of placeholders for each event of a batch. */
#define FORWARD_TEXT_SIZE ((size_t)512 << 10)

/* One a second: the rate is that of the last ten. */
#define FORWARD_SAMPLES 11

struct forwarder {
	const struct config *config;
	struct sql_library library;
	struct targets targets;
	char main_database[SQL_QUOTED_SIZE]; /* quoted */
	/* Where both are one server with one login, message is main. */
	struct host main_host, message_host;
	struct host *main, *message;
	struct feed feed;
	uid_t store_uid;
	uint64_t feed_try_ms, feed_backoff_ms;

	struct mail_servers servers;
	struct hooks hooks;

	char node[UUID_TEXT_SIZE]; /* of the spool, as the ledger has it */
	/* The spool came from a backup; see forward_drain. */
	bool restored;
	/* For which connections the ledger was read. */
	uint64_t ledger_main, ledger_message, ledger_feed;
	uint64_t ledger_try_ms;
	/* After a failure of the whole. */
	uint64_t drain_try_ms, drain_backoff_ms;

	/* The replica. */
	uint64_t replica_feed; /* the store's session that progress is of */
	bool servers_known;    /* read once at least */
	uint64_t servers_at_ms, domains_at_ms, links_at_ms;
	uint64_t replicate_try_ms;	     /* after a failure */
	uint64_t servers_sent, domains_sent; /* hashes; 0: send again */
	uint64_t caught_up_ms; /* when nothing was left to read last */
	size_t next_backfill;
	uint64_t polls;
	bool busy; /* there is more to read at once */

	struct certificates certificates; /* of Postal 1.x */

	struct arena page, work, search; /* of a page of events, of a
					* transaction, of a look-up */
	uint8_t *text;			 /* FORWARD_TEXT_SIZE: statements */
	uint8_t *rows;			 /* IPC_RECORD_MAX: rows of messages */

	struct ipc_forwarder_state state;
	char error[256];
	uint64_t state_at_ms;
	/* For the rate: when, and how many were written by then. */
	struct {
		uint64_t at_ms, written;
	} samples[FORWARD_SAMPLES];
	size_t n_samples; /* ever taken */
	struct log_limit log_host[2], log_feed, log_drain, log_links, log_hooks,
	    log_aside, log_domains;
};

/* What one turn came to. */
enum turn {
	TURN_IDLE,   /* nothing to do until something happens */
	TURN_MORE,   /* more of it right away */
	TURN_FAILED, /* later again; the error was noted */
};

/* search.c: answers the visitors who wait for a link. */
void forward_search(struct forwarder *f);

/* drain.c: one page of events into Postal's tables. */
enum turn forward_drain(struct forwarder *f);

/* aside.c: mail servers that cannot be written. */

/* A group of this server could not be written: its events are to be set aside,
 * for server->reason. */
void aside_note_broken(struct mail_server *server, const struct err *e);
/* One was written: what is left aside follows at once. */
void aside_note_sound(struct mail_server *server);
/* Gives servers whose events are set aside another chance. Returns when the
 * next one is due; 0: none. */
uint64_t forward_retry_aside(struct forwarder *f);
/* After the store was connected: whose events are set aside. */
int forward_load_aside(struct forwarder *f, struct err *e);

/* replicate.c: servers and tracking domains, then links. */
enum turn forward_replicate(struct forwarder *f);
/* replicate_links.c */
enum turn forward_replicate_links(struct forwarder *f);

/* replicate_certificates.c: challenges, certificates and keys */
enum turn forward_replicate_certificates(struct forwarder *f);

/* main.c: keeps the error for `status` and logs it, repeats as a count. */
void forward_note_error(
    struct forwarder *f, struct log_limit *limit, const struct err *e);
void forward_note_success(struct forwarder *f);

#endif
