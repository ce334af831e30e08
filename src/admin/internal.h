/*
 * internal.h - what the files of the admin role share
 *
 * A connection has one request and one reply. There are few of them, each has
 * its time, and one that dawdles makes room for one that does not.
 */
#ifndef ADMIN_INTERNAL_H
#define ADMIN_INTERNAL_H

#include <stdbool.h>

#include "admin/metrics.h"
#include "admin/target.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "ipc/channel.h"
#include "role/role.h"

#define CONNS_MAX 64
#define HEAD_MAX 8192
/* All metrics, of hundreds of roles and of all certificates that there may be,
 * whatever names they have. Used as it is needed. */
#define PAGE_SIZE (8u * 1024 * 1024)
/* Names and states of the same; a refusal of each may have a row of its own. */
#define PAIRS_SIZE (4u * 1024 * 1024)

struct admin;

enum conn_state {
	CONN_FREE,
	CONN_READING, /* the head has not arrived yet */
	CONN_WAITING, /* for the store */
	CONN_WRITING, /* the peer does not read fast enough */
	CONN_CLOSING, /* all said; what it still sends is thrown away */
	CONN_DEAD,    /* free after this round: it may have events in it */
};

struct conn {
	struct loop_watch watch; /* first: the watch is the connection */
	struct admin *admin;
	enum conn_state state;
	uint32_t serial; /* of this use of the slot */
	uint64_t since_ms, deadline_ms;
	struct http_request request;
	struct admin_target target;
	bool head_method;
	uint8_t minor;
	uint8_t *out; /* CONN_WRITING: the rest. On the heap */
	size_t out_len, out_at;
	size_t len;
	uint8_t head[HEAD_MAX];
};

/* What is asked of the store, for all who want it: a table in ask.c. */
#define QUESTIONS_MAX 4
struct asking {
	bool under_way;		/* a question was sent, no answer yet */
	bool permission;	/* it is that of `who` */
	size_t next;		/* of the table, to be sent or under way */
	bool gathering;		/* not all of the table are answered */
	uint64_t fresh_till_ms; /* the answers are used as they are; 0: none */
	struct conn *who;
	uint32_t who_serial;
	union ipc_body answers[QUESTIONS_MAX];
	uint8_t *bytes[QUESTIONS_MAX]; /* what the answers borrow */
	/* CERTIFICATES comes in pages: all rows, and the last name of them. */
	struct writer pairs;
	uint16_t n_pairs;
	struct span last_pair;
};

struct admin {
	struct role role;
	struct loop loop;
	struct loop_watch monitor_watch, store_watch;
	struct ipc_channel store; /* fd -1: it is away */
	struct ipc_admin_settings settings;
	struct loop_watch *listeners;
	bool listening;
	bool stopping;
	uint64_t stop_by_ms;
	struct conn conns[CONNS_MAX];
	size_t n_live;
	struct asking asking;
	struct http_replies replies;
	struct log_limit log_full;
	uint8_t *scratch; /* IPC_RECORD_MAX, sending */
	uint8_t *page;	  /* PAGE_SIZE: the metrics */
	size_t page_len;  /* 0: to be rendered of the answers */
};

/* main.c */
_Noreturn void admin_stop_for(const char *reason);
/* Whether new connections are taken. */
void admin_listen(struct admin *a, bool on);

/* conn.c: the life of a connection. */
void admin_accept(struct admin *a, int listener);
/* Replies with a content and closes. */
void admin_reply(struct conn *c, enum http_reply reply, struct span content);
/* Ends what is overdue; returns the next deadline, 0: none. */
uint64_t admin_conns_due(struct admin *a);
/* What was closed in this round may be used again. */
void admin_conns_after_round(struct admin *a);
/* No new requests; answers under way go out. */
void admin_conns_stop(struct admin *a);

/* answer.c: what a request gets. */

/* The head is complete: answers, or waits for the store. */
void admin_answer_request(struct conn *c);
/* The store has answered: those who wait for it. */
void admin_answer_gathered(struct admin *a);
void admin_answer_permission(struct conn *c, uint8_t status);
/* It did not in time. */
void admin_answer_without_store(struct conn *c);

/* ask.c: the store. */
int admin_ask_open(struct admin *a, struct err *e);
void admin_ask_take_store(struct admin *a, int fd);
/* Sends what is wanted, when nothing is under way. */
void admin_ask_go_on(struct admin *a);
/* Whether the answers are young enough. */
bool admin_ask_is_fresh(const struct admin *a);
const struct ipc_status *admin_ask_status(const struct admin *a);
const struct ipc_commits *admin_ask_commits(const struct admin *a);
/* Rows of struct ipc_pair_state_row. */
struct ipc_list admin_ask_pairs(const struct admin *a);

#endif
