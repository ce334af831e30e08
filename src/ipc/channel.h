/*
 * channel.h - a SOCK_SEQPACKET socket that carries the messages of the table
 *
 * Both ends know who the other is: by the descriptor, never by what it says.
 * Non-blocking. A record that does not follow the table is reported as a
 * breach; what then happens is the caller's choice (design: the stronger side
 * closes the channel and has the peer replaced, the weaker side exits).
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "base/err.h"
#include "ipc/message.h"

struct ipc_channel {
	int fd;
	unsigned int self; /* enum ipc_role */
	unsigned int peer;
};

enum ipc_result {
	IPC_OK,
	IPC_AGAIN,  /* nothing there, or no room; wait for epoll */
	IPC_CLOSED, /* the peer is gone */
	IPC_BREACH, /* the peer broke the rules; see `breach` */
};

/* One received message. Spans and lists of body borrow the caller's buffer. */
struct ipc_received {
	const struct ipc_message *message;
	union ipc_body body;
	int fd;		     /* -1, or the one descriptor. Owner: the caller */
	unsigned int breach; /* enum ipc_breach, after IPC_BREACH */
};

/*
 * Receives one record into buffer, of IPC_RECORD_MAX bytes. On every result
 * but IPC_OK no descriptor is left open. A record that is larger than the
 * buffer is a breach of size.
 */
enum ipc_result ipc_receive(
    const struct ipc_channel *c, uint8_t *buffer, struct ipc_received *r);

/*
 * Encodes and sends; fd is sent along, or -1. IPC_AGAIN: nothing was sent.
 * scratch has IPC_RECORD_MAX bytes. A body that the table does not allow is a
 * fault of ours and ends the process by assert.
 */
enum ipc_result ipc_send(const struct ipc_channel *c, uint8_t *scratch,
    enum ipc_type type, const void *body, int fd);

/* Sends a record that is encoded already. */
enum ipc_result ipc_send_record(
    const struct ipc_channel *c, struct span record, int fd);

#endif
