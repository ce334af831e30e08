/*
 * group.h - events of one mail server into its message database, in one
 * transaction
 */
#ifndef FORWARD_GROUP_H
#define FORWARD_GROUP_H

#include "forward/forwarder.h"

/* The message of an event, as it is in Postal's table now. */
struct group_message {
	int64_t id;
	struct span token;
	bool loaded; /* messages.loaded is set already */
	/* Of this group: first open and last click; 0: none. */
	int64_t open_us, click_us;
	/* Only when there are webhooks; see struct forward_message. */
	struct span scope, message_id, rcpt_to, mail_from, subject, timestamp,
	    tag;
	bool inspected, spam;
};

/* The link of a click, for its webhook. */
struct group_link {
	int64_t id;
	struct span token, url;
};

struct group_event {
	const struct ipc_due_row *row;
	struct group_message *message; /* NULL: unmatched */
};

/* Its row was written before it was set aside. */
bool group_has_row(const struct group_event *e);

struct group {
	struct forwarder *f;
	struct mail_server *server;
	struct group_event *events; /* ascending seq */
	size_t n;
	const struct hook *hooks; /* of this server */
	size_t n_hooks;
	bool want_open, want_click; /* some hook does */
	bool narrow; /* no characters above U+FFFF; see forward_narrow */
	struct group_message *by_token, *by_id; /* of opens, of clicks */
	size_t n_by_token, n_by_id;
	struct group_link *links; /* ascending ids */
	size_t n_links;
	uint64_t n_webhooks, n_skipped; /* rows that were written, or not */
};

enum group_result {
	GROUP_WRITTEN, /* message NULL: unmatched */
	GROUP_AGAIN,   /* nothing was written; the same again may work */
	GROUP_LOST,    /* a connection is gone: who knows what was written */
	GROUP_STALE,   /* the ledger is not where it was thought to be */
	GROUP_BROKEN,  /* this message database cannot be written */
	GROUP_DATA,    /* an event cannot be written as it is */
	GROUP_HALTED,  /* nothing can be written: ledger, memory */
};

/*
 * Writes events of one server, in order, not below server->rows_seq and
 * hooks_seq alike; memory comes from f->work. On GROUP_WRITTEN the ledger
 * and server->rows_seq, hooks_seq are at the last event.
 */
enum group_result group_write(struct group *g, struct err *e);

/* group_read.c: what Postal's tables say about the events. */
int group_read_messages(struct group *g, struct err *e);
/* The same of events whose rows are written: where nothing can be read, they
 * had a message. */
void group_find_written(struct group *g);
int group_read_links(struct group *g, struct err *e);
const struct group_link *group_find_link(const struct group *g, uint64_t id);

/* group_hooks.c: rows of webhook_requests for events with seq > after. */
int group_write_hooks(
    struct group *g, struct host *h, uint64_t after, struct err *e);

/*
 * placeholders.c: statements with many placeholders. Powers of two, so that a
 * few prepared ones serve groups of every size.
 */

/* The largest power of two that is not above n and most. */
size_t placeholders_chunk(size_t n, size_t most);
/* The smallest power of two that is not below n. */
size_t placeholders_padded(size_t n);
/* first, then n - 1 times next. */
void placeholders_write(
    struct writer *w, const char *first, const char *next, size_t n);

#endif
