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
#include "store/rates.h"
#include "store/replica.h"
#include "store/search.h"
#include "store/spool.h"

#define WORKERS_MAX 256
#define TOOLS_MAX 32
#define ADMINS_MAX 4
#define ROLES_BYTES 32768
#define LISTENERS_BYTES (IPC_LISTENERS_MAX * 20)
#define CHALLENGES_WAITING 64
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
	bool counted;		  /* it has sent its counters */
	uint64_t counters[COUNTER_N];

	/* What it is told; what finds no room waits for EPOLLOUT. */
	bool waits_for_room;
	struct ipc_stored stored; /* number 0: all were told */
	bool table_due;		  /* of the table of servers not all was sent */
	uint32_t table_sent;	  /* the last id that was; 0: it begins */
};

/* A command on store.sock, or the forwarder before its HELLO. */
struct tool {
	struct loop_watch watch;
	struct store *store;
	struct ipc_channel channel;
	uid_t uid;
	pid_t pid;
	bool greeted;
};

/* An admin role: the one that serves, and for a moment those before it. */
struct admin {
	struct loop_watch watch; /* first: the watch is the admin */
	struct store *store;
	struct ipc_channel channel;
	uint16_t index;
	uint64_t instance;
};

/* The one forwarder. */
struct forwarder {
	struct loop_watch watch; /* first: the watch is the forwarder */
	struct store *store;
	struct ipc_channel channel; /* fd -1: not connected */
	uid_t uid;
	pid_t pid;
	int64_t since_us;
	bool waits; /* a DUE_GET waits for the next committed event */
	struct ipc_due_get waits_for;
	struct ipc_forwarder_state state; /* what it said last */
	uint8_t error[512];		  /* of its state */
};

/* A mail server. */
struct server_name {
	uint64_t noted_in; /* the batch that has its token already */
	uint32_t id;
	bool gone;			 /* Postal has it no more */
	bool changed;			 /* against what the replica has */
	struct ipc_replica_row progress; /* server_id 0: none */
	struct search_bucket bucket;
	uint8_t len;
	uint8_t token[IPC_TOKEN_MAX];
};

/* Parts of KNOWN_SERVERS, until the last one came. */
struct known_parts {
	struct server_name *servers;
	size_t n_servers;
	bool servers_begun;
};

/* A table that the forwarder sends whole, in parts; on the heap. */
struct known_rows {
	uint8_t *bytes; /* records of the message's list */
	size_t len, n;
	bool begun;
	uint64_t saved_hash; /* of those in the replica; 0: save again */
};

/* Records of struct ipc_pair_state_row, by rising name; on the heap. */
struct certificate_rows {
	uint8_t *bytes;
	size_t len;
	bool incomplete; /* no memory for a part */
};

/* What `selftest` plays with: known here alone, for the time that its
 * connection lasts. */
#define SELFTEST_TOKEN_SIZE 42
#define SELFTEST_AGAIN_MAX 64
struct selftest {
	struct tool *owner; /* NULL: there is none */
	bool own_server;    /* the server is made up too */
	uint32_t server_id;
	uint8_t len;
	uint8_t server[IPC_TOKEN_MAX];
	char token[SELFTEST_TOKEN_SIZE];
	struct ipc_selftest_row rows[2]; /* the open, the click */
	/* Asked for again, by a proxy for instance. */
	uint64_t again[SELFTEST_AGAIN_MAX];
	size_t n_again;
	/* As of the last commit: numbers of what is rolled back are those of
	 * the next visitors' events. */
	struct ipc_selftest_row committed[2];
	size_t n_again_committed;
	uint8_t reason_len;
	uint8_t reason[IPC_REASON_MAX];
};

/* One who asked for a challenge that is not known. */
struct challenge_wait {
	uint16_t worker;
	uint64_t instance;
	uint64_t ask;
	uint64_t since_ms;
	uint8_t len;
	uint8_t token[IPC_CHALLENGE_TOKEN_MAX];
};

/* Challenges of Postal 1.x. */
struct challenges {
	struct known_rows rows; /* of struct ipc_challenge_row */
	bool table;		/* Postal has one, says this forwarder */
	bool asked;		/* the forwarder was told to read it now */
	uint64_t asked_at_ms, next_ask_ms;
	size_t n_waits;
	struct challenge_wait waits[CHALLENGES_WAITING];
};

struct store {
	struct role role;
	struct loop loop;
	struct loop_watch monitor_watch, socket_watch;
	struct ipc_store_settings settings;
	int spool_fd;	   /* its lock */
	int challenges_fd; /* -1: challenges are not answered */
	struct spool spool;
	struct links_db links;
	struct worker workers[WORKERS_MAX];
	struct tool tools[TOOLS_MAX];
	struct admin admins[ADMINS_MAX];
	struct forwarder forwarder;
	struct server_name *servers; /* ascending ids */
	size_t n_servers;
	bool servers_known;   /* the table was read, now or earlier */
	bool servers_unsaved; /* the replica does not have all of it */
	uint64_t lenient_until_ms;
	struct known_parts parts;
	struct challenges challenges;
	struct known_rows domains; /* of struct ipc_domain_row */
	struct searches searches;
	uint64_t n_searches, n_searches_limited;
	struct replica_place sweep_place;
	uint64_t sweep_at_ms;
	bool sweep_again;
	uint64_t batches_taken;
	struct ipc_clients clients; /* of the events that came last */
	struct selftest selftest;
	bool stopping;

	uint64_t uncommitted; /* events of relaxed batches in the open
			       * transaction */
	uint64_t commit_at_ms;
	uint64_t tend_at_ms; /* retention, counts, reopening */
	bool expiring;	     /* there may be more to expire */

	bool ready;
	char reason[256];    /* why not */
	uint64_t lost_since; /* since it was ready last */
	size_t lost_bytes;   /* of the round that was lost last */
	bool said_lost;	     /* and not yet that it stores again */
	struct log_limit log_lost, log_links, log_challenges, log_tools;

	int64_t started_us;
	uint64_t ended_counters[COUNTER_N]; /* of workers that are gone */
	uint8_t roles[ROLES_BYTES];
	struct ipc_list role_rows;
	uint8_t listeners[LISTENERS_BYTES];
	struct ipc_list listener_rows;
	struct rates rates;
	struct certificate_rows certificates, certificates_gathered;
	uint8_t *buffer, *scratch; /* IPC_RECORD_MAX each */
	uint8_t *page;		   /* IPC_RECORD_MAX */
};

/* worker.c */

/* Takes a channel that the monitor handed over. */
void worker_add(struct store *s, const struct ipc_channel_offer *o, int fd);
/* The channel is gone: forgets the worker. */
void worker_end(struct worker *w);
/* Reads what workers sent before the store was told to stop. */
void workers_hear_out(struct store *s);
/* Tells it what became of its batch, at once or when there is room. */
void worker_tell_stored(
    struct worker *w, uint64_t number, enum ipc_stored_status status);
/* Sends the table of servers to one worker, or to all (NULL). */
void workers_send_servers(struct store *s, struct worker *only);
/* Totals of a counter over all workers of this process. */
uint64_t workers_counter(const struct store *s, enum counter c);

/* worker_table.c */

/* Sends the next part of the table, unless there is no room for it yet. */
void worker_table_send(struct worker *w);

/* keep.c: what makes events durable */

/* Stores the batches of this round and acknowledges them. */
void keep_round(struct store *s);
/* Commits what is open. */
void keep_commit(struct store *s);
/* Retention, counts that were not saved, a spool that was not usable. */
void keep_tend(struct store *s);
/* Opens spool.db, putting a damaged one aside. */
void keep_open_spool(struct store *s);
/* It turned out to be damaged: puts it aside and starts a new one. */
void keep_replace_spool(struct store *s, const struct err *e);
void keep_open_links(struct store *s);
/* A look-up found the database of links damaged: the same with it. */
void keep_replace_links(struct store *s, const struct err *e);
/* What is wrong with the spool and what to do, in a sentence. */
void keep_describe(
    const struct store *s, const struct err *cause, char *text, size_t size);

/* known.c: the table of servers, and what the forwarder says of them */

/* Reads the table from the database of links. */
void known_load(struct store *s);
/* NULL: there never was one. */
struct server_name *known_server(const struct store *s, uint32_t id);
/* Where in s->servers those with a higher id begin. */
size_t known_after(const struct store *s, uint32_t id);
/* Whether a worker may name this server: it is known, or was to the store
 * before this one. */
bool known_may_be(const struct store *s, uint32_t id);
/* Without those that are gone. */
size_t known_count(const struct store *s);
/* Take one part; *r and e say how the writing went. The result is 0 or a
 * breach. */
unsigned int known_take_servers(struct store *s,
    const struct ipc_known_servers *part, enum database_result *r,
    struct err *e);
enum database_result known_take_links(
    struct store *s, const struct ipc_known_links *links, struct err *e);
/* A link that was looked for in MySQL. */
enum database_result known_take_found(struct store *s, uint32_t server_id,
    const struct ipc_known_link_row *link, struct err *e);
void known_forget_parts(struct store *s);
/* One slice of the walk that deletes old links. */
void known_sweep(struct store *s);

/* lookup.c: which link is this */

void lookup_link(struct worker *w, const struct ipc_link *link);
/* 0, or the breach. */
unsigned int lookups_answered(
    struct store *s, const struct ipc_searched *answer);
/* The forwarder is gone: nobody waits any longer. */
void lookups_give_up(struct store *s);
/* Answers those who waited long enough and asks for more. */
void lookups_due(struct store *s);

/* challenge.c */

/* Answers a worker's question for an ACME challenge; 0, or the breach. */
unsigned int challenge_answer(
    struct worker *w, const struct ipc_challenge *challenge);

/* Answers it with what is known by now. */
void challenge_answer_known(
    struct worker *w, const struct ipc_challenge *challenge);
/* The replica has it. */
bool challenge_is_known(struct store *s, struct span token);

/* known_rows.c */

/* How the replica forgets such a table, and takes its next record. */
struct known_table {
	enum database_result (*clear)(struct links_db *l, struct err *e);
	enum database_result (*put_next)(
	    struct links_db *l, struct cursor *c, struct err *e);
};

/* Adds a part; 0, or the breach: no first part came, or it is more than
 * `most` bytes. flags: enum ipc_part_flags. */
unsigned int known_rows_gather(struct known_rows *k, uint8_t flags,
    const struct ipc_list *rows, size_t most);
/* After the last part: replaces the replica's table if it is another one. */
enum database_result known_rows_save(struct store *s, struct known_rows *k,
    const struct known_table *t, struct err *e);
/* What was gathered; what was saved is remembered. */
void known_rows_forget(struct known_rows *k);
/* As known_take_servers. */
unsigned int known_take_domains(struct store *s,
    const struct ipc_known_domains *part, enum database_result *r,
    struct err *e);

/* known_challenges.c */

/* As known_take_servers. */
unsigned int known_take_challenges(struct store *s,
    const struct ipc_known_challenges *part, enum database_result *r,
    struct err *e);
/* True: it is answered when Postal's table has been read again. */
bool challenges_wait(struct worker *w, const struct ipc_challenge *challenge);
/* The last part came and is saved. */
void challenges_were_read(struct store *s);
/* Answers those who waited long enough. */
void challenges_due(struct store *s);
/* The forwarder is gone. */
void challenges_forget(struct store *s);

/* forwarder.c */

/* Takes its channel over, after HELLO. Owner: the forwarder, of fd. */
void forwarder_take(struct store *s, int fd, uid_t uid, pid_t pid);
bool forwarder_is_connected(const struct store *s);
/* The same, after reading what it said. Uses the receive buffer. */
bool forwarder_is_there(struct store *s);
/* reason NULL: it went by itself. */
void forwarder_end(struct store *s, const char *reason);
/* It has a connection to MySQL. */
bool forwarder_can_search(const struct store *s);
/* False: it cannot be asked now. */
bool forwarder_search(struct store *s, const struct ipc_search *search);
/* Has it read the challenges now; false: it cannot be asked. */
bool forwarder_ask_challenges(struct store *s);
/* Answers; one that it does not read ends it. */
void forwarder_answer(struct store *s, enum ipc_type type, const void *body);
void forwarder_done(struct store *s, uint64_t n);
void forwarder_refuse(struct store *s, const char *reason);

/* drain.c: events on their way to Postal */

/* The forwarder's questions; each answers and returns 0, or the breach. */
unsigned int drain_due_get(struct store *s, const union ipc_body *body);
unsigned int drain_settle(struct store *s, const union ipc_body *body);
unsigned int drain_aside_get(struct store *s, const union ipc_body *body);
unsigned int drain_retry(struct store *s, const union ipc_body *body);
unsigned int drain_new_node(struct store *s, const union ipc_body *body);
void drain_welcome(struct store *s);
/* Commits what is open. False after a refusal: there is no spool. */
bool drain_have_spool(struct store *s);
/* New events are on stable storage: one who waits for them gets them. */
void drain_committed(struct store *s);
/* What is set aside, at most so many rows, in s->page. */
enum database_result drain_list_asides(
    struct store *s, uint16_t most, struct ipc_list *list, struct err *e);

/* pair_states.c: what became of the pairs of HTTPS */
void pair_states_take(
    struct store *s, const struct ipc_certificate_states *part);
/* Those behind this name, as many as a record holds; in s->page. */
struct ipc_certificates pair_states_page(
    struct store *s, struct span after, bool with_reasons);

/* selftest.c: what `postal-tracker selftest` plays with */

/* A step; NULL, or why not. */
const char *selftest_step(struct tool *t, const struct ipc_selftest *step);
/* Its state as a message; borrows the store, rows from bytes. */
#define SELFTEST_ROWS_SIZE 96
struct ipc_selftest_state selftest_state(
    const struct store *s, uint8_t bytes[SELFTEST_ROWS_SIZE]);
/* The tool is gone, and so is what it played with. */
void selftest_leave(struct tool *t);
/* The server that is made up; NULL: there is none. */
const struct selftest *selftest_own_server(const struct store *s);
/* Whether this is its link, which *linked then holds. */
bool selftest_link(const struct store *s, const struct ipc_link *link,
    struct ipc_linked *linked);
/* A batch was put behind the events up to last_seq. */
void selftest_put(
    struct store *s, const struct spool_batch *batch, uint64_t last_seq);
/* What was put is on stable storage. */
void selftest_committed(struct store *s);
/* What was put since is not there. */
void selftest_rolled_back(struct store *s);
/* Nothing of it is there any more: the spool is another one. */
void selftest_spool_replaced(struct store *s);
/* The forwarder settled these. */
void selftest_settled(struct store *s, const struct ipc_settle *settle);

/* tool.c */
int tools_open(struct store *s, int fd, struct err *e);
/* A channel whose peer is a tool: from store.sock or from the monitor. */
void tool_add(struct store *s, int fd, uid_t uid, pid_t pid);

/* status.c */

/* To admin without the reasons of what is set aside. */
enum ipc_result status_send(struct store *s, const struct ipc_channel *to);

/* admin.c */

/* Takes a channel to an admin role that the monitor handed over. */
void admin_add(struct store *s, const struct ipc_channel_offer *o, int fd);

#endif
