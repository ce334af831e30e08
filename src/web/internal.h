/*
 * internal.h - what the files of the web worker share
 *
 * A connection is in exactly one state and on exactly one list: that of the
 * time-out that runs, or of what it waits for. Nothing is allocated for a
 * request; what does not fit is refused and counted.
 */
#ifndef WEB_INTERNAL_H
#define WEB_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/loop.h"
#include "http/access.h"
#include "http/client.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/target.h"
#include "ipc/channel.h"
#include "ipc/counter.h"
#include "role/role.h"
#include "tls/tls.h"
#include "web/limits.h"
#include "web/links.h"
#include "web/servers.h"

/* Replies up to this size are sent from one piece. */
#define REPLY_SIZE 2048
/* The longest reply, a redirect, in records: a third of it to spare. */
#define TLS_SEALED_SIZE (4 * IPC_URL_MAX + 8192)

/* At the end: how long a connection that has said nothing yet may start to. */
#define QUIET_MS 500

struct conn;
struct web;

/* What there is only so much of: while one is full, who needs it waits in the
 * kernel. */
enum room {
	ROOM_CONNECTIONS,
	ROOM_HANDSHAKES, /* under way; of HTTPS */
	ROOMS,
};

struct conn_list {
	struct conn *first, *last;
};

/* A buffer for a head that is not complete, or has to wait. */
struct head {
	struct http_request request; /* how far it is parsed */
	struct head *next_free;
	size_t len;
	uint8_t bytes[]; /* web.head_size */
};

enum conn_state {
	CONN_FREE,
	CONN_HANDSHAKE, /* of TLS; see handshake.c */
	CONN_HEAD,	/* a request began to arrive, or the first is awaited */
	CONN_IDLE,	/* kept alive, nothing has arrived */
	CONN_STORING,	/* answer known; its event is not yet acknowledged */
	CONN_ASKING,	/* the store is asked for the link */
	CONN_WRITING,	/* the peer does not read fast enough */
	CONN_CLOSING,	/* all said; what it still sends is thrown away */
};

struct conn {
	struct loop_watch watch; /* first: the watch is the connection */
	struct web *web;
	struct conn *prev, *next;
	struct conn_list *list;
	uint64_t deadline_ms;
	uint32_t serial; /* of this use of the slot, and of its last question */
	enum conn_state state;
	bool readable;	  /* there may be something to read */
	bool half_closed; /* the peer said so: its end is still to be read */
	bool counted;	  /* in limits */
	bool proxy_due;	  /* a PROXY header comes first */
	bool linger;	  /* it may still be sending when we close */
	bool keep_alive, head_method;
	uint8_t minor;
	uint8_t reply;		    /* enum http_reply, of CONN_STORING */
	uint8_t asked;		    /* enum http_route, of CONN_ASKING */
	struct addr peer;	    /* the socket's, or what PROXY said */
	struct head *head;	    /* NULL: nothing is buffered */
	struct link *link;	    /* of the redirect that is due */
	struct access_entry *entry; /* its line of the log; NULL: none */
	uint8_t *out;		    /* CONN_WRITING: the rest. On the heap */
	size_t out_len, out_at;

	bool https;
	struct tls_conn *tls; /* NULL: plain, or the PROXY header is due */
	size_t tls_taken;     /* plain bytes that were handed on last */
	/* CONN_HANDSHAKE */
	bool spoke;    /* a byte of TLS has arrived */
	bool deferred; /* its turn comes in the next round */
	bool to_sign;  /* wants a signature, no keeper was asked yet */
	int8_t keeper; /* that was asked; -1: none */
};

/* A process that signs. */
struct keeper_link {
	struct loop_watch watch; /* first: the watch is the link */
	struct web *web;
	struct ipc_channel channel; /* fd -1: there is none */
	size_t n_asked;		    /* not answered yet */
};
#define KEEPERS_MAX 16

/* A certificate as the monitor sent it; see certificates.c. */
struct certificate {
	uint32_t pair;
	uint8_t kind; /* enum ipc_certificate_kind */
	uint8_t name_len;
	uint8_t name[255];
	struct tls_chain *chain; /* held */
};

/* What the connections of TLS share. */
struct https {
	struct tls_server server;
	struct tls_sessions sessions;
	struct hash_key key;	/* of the sets */
	bool known;		/* a complete set of certificates came once */
	uint64_t next_sweep_ms; /* of the sessions */
	struct certificate *certificates;
	size_t n_certificates;

	uint8_t *memory; /* of all connections; used as they are */
	size_t slot_size;
	struct tls_conn **free; /* slots that were used and left */
	size_t n_free, n_used;
	uint8_t *received; /* TLS_FEED_MAX */
	uint8_t *sealed;   /* TLS_SEALED_SIZE, to be sent */

	struct conn_list handshakes;
	size_t n_handshakes;
	unsigned int steps; /* of handshakes, made in this round */
	bool deferred;	    /* there are some for the next round */
	size_t n_to_sign;
	struct keeper_link keepers[KEEPERS_MAX];
	struct log_limit log_failed[TLS_REASONS + 1];
};

/* Events on their way to the store; see batch.c. */
#define BATCH_HEADER_SIZE 12
#define BATCHES 32
struct batch {
	struct writer records;
	uint16_t count;
	uint64_t number;
	uint64_t late_at_ms; /* its connections are answered then at latest */
	struct conn_list waiting;
	uint8_t bytes[IPC_BATCH_BYTES_MAX];
};

struct batches {
	struct batch *ring;
	unsigned int first; /* the one under way, or next to go */
	unsigned int n;	    /* in use; the last one gathers */
	bool under_way;	    /* the first was sent, no answer yet */
	bool yielded;	    /* for the batch that gathers; see may_grow */
	uint64_t last_number;
};

/* The access log; see access.c. */
struct access {
	struct loop_watch watch;    /* first: the watch is the log */
	struct ipc_channel channel; /* of the logger; fd -1: there is none */
	enum http_access_format format;
	bool blocked; /* the channel is full */
	struct http_access_clock clock;
	struct access_entry *entries; /* one for each connection */
	size_t n_used;
	struct access_entry *free;
	uint8_t *bytes;	     /* of a message: */
	struct writer lines; /* that gather; those before `sent` are away */
	size_t sent;
	uint64_t send_at_ms;
	uint64_t finish_by_ms; /* 0: it goes on */
	struct log_limit log_dropped;
};

struct web {
	struct role role;
	struct loop loop;
	struct loop_watch monitor_watch, store_watch;
	struct ipc_channel store;
	struct ipc_web_settings settings;
	struct network *trusted;
	size_t n_trusted;
	bool stopping;
	uint64_t stop_by_ms;

	struct loop_watch *listeners;
	bool polled[2]; /* the listeners of HTTP, of HTTPS */
	bool listening;
	unsigned int n_taken;	/* connections, of this turn */
	bool full[ROOMS];	/* its listeners are not polled */
	uint64_t rest_until_ms; /* nor any of them before this */
	uint64_t alone;		/* of STOP: listeners that nobody else has */
	bool left;		/* stopping: all listeners are closed */
	uint64_t table_wait_until_ms;

	struct conn *conns;
	size_t n_conns; /* slots */
	size_t n_used;	/* slots ever used; the others are untouched */
	size_t n_live;
	struct conn_list free, dead; /* dead: free after this round */
	struct conn_list heads, idle, asked, writing, closing;

	uint8_t *head_memory; /* of all struct head; memory as it is used */
	size_t head_slot, head_size;
	size_t heads_used;
	struct head *free_head;
	struct head *scratch; /* what is read goes here first */

	struct https https;
	struct servers servers;
	struct links links;
	struct limits limits;
	struct batches batches;
	struct access access;
	struct conn_list to_ask; /* CONN_ASKING, LINK not yet sent */
	size_t heap_out;	 /* bytes of conn.out */

	struct http_replies replies;
	struct span challenge; /* of the challenge that is answered now */
	uint64_t date_until_ms;
	char date[HTTP_DATE_SIZE];
	uint64_t counters[COUNTER_N];
	uint64_t next_counters_ms;
	struct log_limit log_refused, log_proxy, log_scheme, log_lost, log_late,
	    log_full, log_accept;
	uint8_t *buffer;   /* IPC_RECORD_MAX, receiving */
	uint8_t *scratch2; /* IPC_RECORD_MAX, sending */
	uint8_t *location; /* 3 * IPC_URL_MAX */
	uint8_t agent[IPC_USER_AGENT_MAX];
	uint8_t reply[REPLY_SIZE];
};

/* list.c */
void conn_list_append(struct conn_list *l, struct conn *c);
void conn_list_remove(struct conn *c);

/* accept.c: who comes in. False: nobody was taken. */
bool conn_accept(struct web *w, int listener, bool https);
/*
 * The PROXY header of a trusted proxy at the front of h, which is taken away.
 * true: what follows may begin; false: bytes are missing, or it was closed.
 */
bool conn_take_proxy(struct web *w, struct conn *c, struct head *h);

/* conn.c: life of a connection. */
int conns_open(struct web *w, struct err *e);
void conn_on_event(struct loop_watch *watch, uint32_t events);
/* The last answer, to what is in h and no request, or none yet. */
void conn_refuse(
    struct web *w, struct conn *c, const struct head *h, enum http_reply reply);
/* The buffer of its head: its own, or the scratch one, empty. */
struct head *conn_head(struct web *w, struct conn *c);
/* What is in h is kept for the connection, until more comes. */
void conn_keep_head(struct web *w, struct conn *c, struct head *h);
void conn_drop_head(struct web *w, struct conn *c);
/* Takes len bytes away from the front; the next request starts there. */
void conn_consume_head(struct head *h, size_t len);
/* Goes on as far as possible without waiting. */
void conn_advance(struct web *w, struct conn *c);
void conn_close(struct web *w, struct conn *c);
/* Puts it on a list, to be ended in in_ms; when the worker stops, by then. */
void conn_wait(
    struct web *w, struct conn *c, struct conn_list *list, uint64_t in_ms);
/* What was closed in this round may be used again. */
void conns_after_round(struct web *w);
/* Whether those who wait in the kernel can be let in again. */
void conns_look_for_room(struct web *w);
/* A request was answered and no byte of the next one is here. */
void conn_set_idle(struct web *w, struct conn *c);
/* Nothing more will be answered: closes, or waits for the peer to do so. */
void conn_finish(struct web *w, struct conn *c);
/* Ends what is overdue; returns the next deadline, 0 for none. */
uint64_t conns_due(struct web *w);
/* No new requests: closes idle ones, the others after their answer or when
 * stop_by_ms comes. */
void conns_stop(struct web *w);
/* The same for those that were taken since. */
void conns_hurry(struct web *w);
/* A request whose head the connection kept was answered: on to the next. */
void conn_answered(struct web *w, struct conn *c, size_t head_len);
/* The number of what it asks now, and who waits for the answer to a question
 * of this route: NULL when he does not any more. */
uint64_t conn_ask(const struct web *w, const struct conn *c);
struct conn *conn_of_ask(struct web *w, uint64_t ask, enum http_route route);

/* output.c: a reply on its way. */

/* Sends the reply and goes on to the next state of the connection. */
void conn_reply(struct web *w, struct conn *c, enum http_reply reply);
void conn_write_on(struct web *w, struct conn *c);
/* Sends what was kept: 0 all, 1 the socket is full, -1 it cannot be sent. */
int conn_send_kept(struct web *w, struct conn *c);
/* Keeps what of parts is behind `sent`. -1: too much, or no memory. */
int conn_keep_rest(struct web *w, struct conn *c, const struct iovec *parts,
    int n, size_t sent);

/* tls.c: memory and bytes of connections that speak TLS. */
int tls_open(struct web *w, int sessions_fd, struct err *e);
/* From now on it speaks TLS. */
void tls_enter(struct web *w, struct conn *c);
/* The state of TLS is not needed any more. */
void tls_leave(struct web *w, struct conn *c);
/* Wipes some of the sessions that have ended, once a second. */
void tls_forget_sessions(struct web *w);
/* Nothing of the next request is here: gives back what a large one took. */
void tls_rest(struct conn *c);
/* Sends what the engine has to say. What the socket does not take is kept; -1:
 * it cannot be sent. */
int tls_flush(struct web *w, struct conn *c);
/* Feeds the engine once; the result is that of recv. */
ssize_t tls_fetch(struct web *w, struct conn *c);
/* As recv: bytes of the client in clear, 0 for the end, -1 with EAGAIN or
 * another error. */
ssize_t tls_receive(struct web *w, struct conn *c, uint8_t *p, size_t room);
/* The reply as it is to be sent, in memory that is used until the next call,
 * with our good-bye when it is the last one. Empty: it cannot be. */
struct span tls_seal(
    struct web *w, struct conn *c, const struct iovec *parts, int n, bool last);
/* Says good-bye on a connection that nobody waits for, if the socket takes
 * it. */
void tls_say_bye(struct web *w, struct conn *c);

/* handshake.c: until a connection speaks TLS. */

/* A new connection, or one with a PROXY header still to come. */
void handshake_begin(struct web *w, struct conn *c);
/* Something may have arrived in CONN_HANDSHAKE. */
void handshake_go_on(struct web *w, struct conn *c);
/* The connection leaves CONN_HANDSHAKE. */
void handshake_leave(struct web *w, struct conn *c);
void handshake_time_out(struct web *w, struct conn *c);
/* The peer is gone in the handshake. */
void handshake_lose(struct web *w, struct conn *c);
/* When the worker stops: who has said nothing yet has little time to. */
void handshakes_stop(struct web *w);
/* The one that has waited longest for its client, and from when on it may make
 * room for others; NULL: none does. */
struct conn *handshakes_find_oldest(
    const struct web *w, uint64_t *slow_from_ms);
void handshake_make_room(struct web *w, struct conn *c);
void handshakes_after_round(struct web *w);

/* keepers.c: who signs. */
void keepers_init(struct web *w);
void keepers_take(struct web *w, unsigned int index, int fd);
/* Asks for the signatures that connections wait for. */
void keepers_flush(struct web *w);
/* This connection waits for a signature; or not any more. */
void keepers_want(struct web *w, struct conn *c);
void keepers_forget(struct web *w, struct conn *c);

/* certificates.c: what is served. */
int certificates_open(struct web *w, struct err *e);
/* Owner of fd: this function. */
void certificates_take(
    struct web *w, const struct ipc_certificate *certificate, int fd);
void certificates_drop(struct web *w, uint32_t pair);
void certificates_use(struct web *w);

/* answer.c: what a request gets. */
void answer_request(
    struct web *w, struct conn *c, const struct http_request *r);
/* A click whose link the store found, does not know, or cannot say. */
void answer_link(
    struct web *w, struct conn *c, const struct ipc_linked *linked);

/* An ACME challenge that the store found, or does not have. */
void answer_challenge(
    struct web *w, struct conn *c, const struct ipc_challenged *challenged);

/* batch.c: events to the store. */
int batches_open(struct web *w);
/*
 * Takes an event. true: the connection waits on the batch (it was moved to
 * its list) and is answered by batches_stored; false: answer now.
 */
bool batches_put(struct web *w, struct conn *c, const struct ipc_event *event);
/* Sends the next batch if none is under way. */
void batches_flush(struct web *w);
void batches_stored(struct web *w, const struct ipc_stored *stored);
/* The store's channel was replaced: what was under way goes again. */
void batches_resend(struct web *w);
uint64_t batches_due(struct web *w);
bool batches_empty(const struct web *w);

/* access.c: a line for each request. */
int access_open(struct web *w, struct err *e);
/* head: what came of it; r: as far as it was read, to its end when complete. */
void access_begin(struct web *w, struct conn *c, struct span head,
    const struct http_request *r, bool complete);
/* An event was made of it; or, with HTTP_ACCESS_NONE, what became of that. */
void access_event(
    struct conn *c, enum http_access_kind kind, enum http_access_event event);
/* The answer left; bytes: of its body. */
void access_end(struct web *w, struct conn *c, int status, size_t bytes);
/* There will be no answer. */
void access_closed(struct web *w, struct conn *c);
/* Sends what has gathered, if the logger takes it. */
void access_send(struct web *w);
void access_after_round(struct web *w);
uint64_t access_due(struct web *w);
/* The end: whether nothing is left that may still be taken. */
bool access_finish(struct web *w);
/* Owner: takes fd. */
void access_take_logger(struct web *w, int fd);
/* A client's address for other records of the log: "-" unless the operator
 * wants clients in the log, by an access log or the level debug. */
const char *access_shown(
    const struct web *w, const struct addr *a, char text[ADDR_TEXT_SIZE]);

/* channel.c: monitor and store. */
int channels_open(struct web *w, struct err *e);
/* Asks for the links that connections wait for, as far as there is room. */
void channels_flush(struct web *w);
void channels_send_counters(struct web *w);
/* The other side broke the rules. */
_Noreturn void web_stop_for(const char *reason);

/* main.c */
void web_start_listening(struct web *w);
void web_pause_listening(struct web *w, enum room full);
void web_resume_listening(struct web *w, enum room full);
/* Polls those listeners whose connections can be served now. */
void web_update_listening(struct web *w);

#endif
