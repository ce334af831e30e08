/*
 * handover.h - certificates and keys of Postal 1.x, from the forwarder
 *
 * Postal 1.x kept them in its table track_certificates. The forwarder reads it
 * and connects to a socket of the monitor, beside store.sock; over that, and
 * over nothing else, chain and key come as sealed memory files. The monitor
 * hands them to the keepers as it does with the pairs of the directory, and
 * neither reads nor maps them; the store and the web workers have no part in
 * it.
 *
 * Security: the forwarder speaks with the outside and is the weaker side. It
 * is known by the user that the kernel names. What it sends is checked as far
 * as that goes without reading it: names, sizes, seals, how many there are
 * and how often they change. A rule that it breaks ends its connection.
 */
#ifndef MONITOR_HANDOVER_H
#define MONITOR_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "ipc/channel.h"

/* The longest path of a Unix socket, with its NUL. */
#define HANDOVER_PATH_SIZE 108

/* A row that the forwarder named. */
struct handover_row {
	char *name; /* as the pair's, see pairs.h; first: see names.h */
	uint8_t mark[IPC_ROW_MARK_SIZE];
	bool known; /* content of this mark came, whatever became of it */
	bool named; /* in the parts that came so far */
};

/* *_fd -1 and all else zero by the owner. */
struct handover {
	struct loop_watch listener, peer;
	struct ipc_channel channel; /* fd -1: nobody is connected */
	struct handover_row *rows;  /* by name; twice IPC_ROWS_MAX places */
	size_t n_rows, n_named;
	bool under_way; /* the first part came, the last one did not */
	bool changed;	/* by the parts under way */
	bool ignored;	/* there is no HTTPS: nothing was taken */
	/* The chain whose key comes next; fd -1: none. */
	int half_fd;
	uint8_t half_mark[IPC_ROW_MARK_SIZE];
	size_t half_row;
	/* So many changes are allowed now; they become more by the second. */
	uint32_t allowed;
	uint64_t allowed_at_ms;
	size_t pairs_most; /* of rows, old ones included */
	struct log_limit log_refused, log_breach, log_later;
	uint64_t quiet_until_ms; /* more may come; see handover_goes_on */
};

struct monitor;

/* Path of the socket, from that of store.sock; -1 when it is too long. */
int handover_path(
    const char *store_socket, char path[HANDOVER_PATH_SIZE], struct err *e);

/* Binds and listens; not in stand-alone mode. Before capabilities go. */
int handover_open(struct monitor *m, struct err *e);
/* HTTPS is on, or off, from now on. */
void handover_https(struct monitor *m, bool on);
/* More changes are about to come: publishing them together is better. */
bool handover_goes_on(const struct monitor *m, uint64_t now_ms);
/* The end; removes the socket. */
void handover_close(struct monitor *m);

/* Between handover.c and handover_rows.c. */

union ipc_body;
/* Messages; 0, or the breach. Each takes the descriptor. */
unsigned int handover_on_rows(
    struct monitor *m, const union ipc_body *body, int fd);
unsigned int handover_on_chain(
    struct monitor *m, const union ipc_body *body, int fd);
unsigned int handover_on_key(
    struct monitor *m, const union ipc_body *body, int fd);
void handover_answer(struct monitor *m, enum ipc_type type, const void *body);
void handover_forget_rows(struct handover *h);
/* As many changes as at a start, and how many pairs there may be. */
void handover_allow(struct handover *h);

#endif
