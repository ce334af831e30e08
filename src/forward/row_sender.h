/*
 * row_sender.h - the forwarder's side of the socket for certificates and keys
 *
 * The daemon's monitor listens there, see monitor/handover.h. One question at
 * a time, and its answer. Keys go over no other channel, and to nobody who is
 * not root or this process' own user.
 */
#ifndef FORWARD_ROW_SENDER_H
#define FORWARD_ROW_SENDER_H

#include "forward/row_content.h"
#include "ipc/channel.h"

struct row_sender {
	struct ipc_channel channel; /* fd -1: not connected */
	uint8_t *buffer;	    /* IPC_RECORD_MAX */
};

int row_sender_init(struct row_sender *h, struct err *e);
void row_sender_drop(struct row_sender *h);
void row_sender_clear(struct row_sender *h);

/*
 * Whether the monitor is there; connects when it is not. *again: this is
 * another connection than at the last call, and knows nothing. store_socket:
 * beside which it lies.
 */
int row_sender_is_up(
    struct row_sender *h, const char *store_socket, bool *again, struct err *e);

/* Names rows; the answer, places of those that are wanted, borrows the
 * buffer. -1: dropped. */
int row_sender_name(struct row_sender *h,
    const struct ipc_certificate_rows *rows, struct ipc_list *wanted,
    struct err *e);

/* Gives a row's content; closes its descriptors. *later: not now. -1: dropped.
 */
int row_sender_give(struct row_sender *h, struct span name,
    struct row_content *content, bool *later, struct err *e);

#endif
