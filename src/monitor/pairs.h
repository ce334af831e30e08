/*
 * pairs.h - which pairs of chain and key there are, and who has them
 *
 * A pair gets a number that is never used again. It is offered to the keepers,
 * one after another; when all of them have taken it, web workers get its
 * chain, and the pair of the same name that they had before is retired: they
 * forget it, and some seconds later the keepers do. The monitor keeps the
 * memory files of all pairs that live, for roles that start later.
 */
#ifndef MONITOR_PAIRS_H
#define MONITOR_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/message.h"
#include "monitor/certificates.h"

enum pair_state {
	PAIR_OFFERED, /* not all keepers have answered */
	PAIR_SERVED,
	PAIR_RETIRED, /* keepers still have it */
};

/* What the keeper saw of a chain; as in struct ipc_pair_result. */
struct pair_seen {
	uint8_t chain, n_chain;
	uint16_t n_names;
	int64_t not_before, not_after;
};

struct pair {
	uint32_t id;
	enum pair_state state;
	char *name;
	int chain_fd, key_fd;
	unsigned int deaths; /* of keepers that were reading it */
	uint64_t retirement; /* counts; the order in which pairs retired */
	uint64_t drop_at_ms;
	struct pair_seen seen;
};

/* Why the newest pair of a name is not served. */
struct pair_refusal {
	char *name, *reason;
	struct pair_seen seen;
};

/* The states of all names, on their way to the store; see pairs_state.c. */
struct pairs_states {
	struct pair_refusal *refusals;
	size_t n_refusals;
	uint32_t version; /* counts changes; 0: there never was anything */
	uint8_t *rows;	  /* encoded, by name; NULL: nothing is on its way */
	size_t len, at;	  /* bytes in it, and sent */
	uint32_t rows_version;
};

/* Zero-initialized by the owner. */
struct pairs {
	struct certificates directory;
	struct pair *list; /* by rising id; IPC_PAIRS_MAX places */
	size_t n;
	uint32_t last_id;
	uint64_t last_retirement;
	uint32_t version;     /* of what web workers serve */
	uint64_t dirty_at_ms; /* something was not published since; 0 */
	uint64_t next_look_ms;
	bool look_at_once; /* do not wait until files settle */
	bool none_was_said;
	char last_error[256]; /* of the directory; said once */
	struct pairs_states states;
	size_t most; /* pairs that there are descriptors for */
	size_t said; /* names that there are not enough for; was said */
};

/* What the monitor knows of a role in this. */
struct pairs_of_role {
	uint32_t sent;	   /* the highest number */
	uint32_t awaiting; /* keeper: the one to be answered; 0: none */
	uint64_t awaiting_since_ms;
	bool connected;	      /* keeper: has all, and channels to the workers */
	uint64_t retirements; /* web: told of so many */
	uint32_t version;     /* web, store: told that this is complete */
};

struct monitor;
struct child;
union ipc_body;
/* A name, fit for the log. */
#define PAIRS_SHOWN 300

/* Looks at the directory, now. At the start, and after a reload. */
void pairs_look_now(struct monitor *m);
/* A keeper or web worker was started. */
void pairs_child_started(struct child *c);
/* It ended. */
void pairs_child_ended(struct child *c);
/* There is room again in its channel. */
void pairs_child_writable(struct child *c);
/* PAIR_RESULT */
void pairs_result(struct child *keeper, const union ipc_body *body);
/* Looks, publishes, drops what is due; when next, 0: never. */
uint64_t pairs_due(struct monitor *m);
/* HTTPS is off, or the end. */
void pairs_clear(struct pairs *p);

/* handover.c: pairs of Postal's table. Their names begin with what no name of
 * a directory holds; so both may have a pair for the same domain, and the web
 * workers choose. */
#define PAIRS_OF_ROWS IPC_NAME_OF_ROWS
/* A new pair, for the keepers. False: there is no room now, and what there is
 * stays. Takes both descriptors. */
bool pairs_offer(struct monitor *m, const char *name, int chain_fd, int key_fd);
#define PAIRS_NO_ROOM "too many pairs: no descriptors, or no memory"
/* It is gone from where it came from. */
void pairs_withdraw(struct monitor *m, const char *name);
/* Of Postal's table, in any state. */
size_t pairs_count_of_rows(const struct pairs *p);

/* pairs_state.c: what the store is told */

/* Something about a pair is another than before. */
void pairs_states_change(struct pairs *p);
/* The newest pair of this name was refused, or, reason NULL, is not any more;
 * seen may be NULL. */
void pairs_states_refuse(struct pairs *p, const char *name, const char *reason,
    const struct pair_seen *seen);
/* Tells the store what it does not know, as far as there is room. */
void pairs_tell_store(struct child *store);
void pairs_states_clear(struct pairs *p);

/* Between pairs.c, pairs_watch.c and pairs_state.c. */

/* Whether a message finds room in its channel, beside what else the monitor
 * has to say; if not, pairs_child_writable is called when it does. */
bool pairs_has_room(struct child *c);

const char *pairs_shown(const char *name, char text[PAIRS_SHOWN]);
/* NULL: none of this name in this state. */
struct pair *pairs_find(
    struct pairs *p, const char *name, enum pair_state state);
size_t pairs_count(const struct pairs *p, enum pair_state state);
/* What is served changed, or the set is to be looked through again. */
void pairs_note_change(struct monitor *m);
/* Takes it from the keepers, and off the list. */
void pairs_drop(struct monitor *m, struct pair *pair);
/* Takes it from the web workers, at the next publication. */
void pairs_retire(struct monitor *m, struct pair *pair);
void pairs_say_refused(struct monitor *m, const char *name, const char *why,
    const struct pair_seen *seen);
/* Gives keepers what they do not have. */
void pairs_feed(struct monitor *m);
/* Serves what all keepers have; the one of this name before it retires. */
void pairs_promote(struct monitor *m);
/* Makes what is served the set of all web workers. */
void pairs_publish(struct monitor *m);
/* What answers PAIR_KEY has so long. */
#define PAIRS_ANSWER_WITHIN_MS 10000

#endif
