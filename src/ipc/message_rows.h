/*
 * message_rows.h - the messages about Postal's table track_certificates
 *
 * A part of message.h. Certificates and keys go from the forwarder to the
 * monitor, over a socket that only these two have, as memory files that the
 * monitor hands on and never reads. What ACME asks for goes to the store.
 */
#ifndef IPC_MESSAGE_ROWS_H
#define IPC_MESSAGE_ROWS_H

#include "ipc/message.h"

/* So many rows are served. */
#define IPC_ROWS_MAX 2000
/* A domain, of which there are longer ones on paper: with this in front it is a
 * pair's name, which no directory can have. */
#define IPC_ROW_NAME_MAX 236
#define IPC_NAME_OF_ROWS "track_certificates/"
/* What stands for the content of a row: half a SHA-256, as text. */
#define IPC_ROW_MARK_SIZE 32

/* the forwarder to the monitor: the rows that are to be served, in parts as
 * SERVERS; those that no part named are withdrawn after the last one. Answered
 * by ROWS_WANTED. */
struct ipc_certificate_rows {
	uint8_t flags;	      /* enum ipc_part_flags */
	struct ipc_list rows; /* struct ipc_certificate_row */
};
struct ipc_certificate_row {
	struct span name; /* click.example.com, lower case */
	uint8_t mark[IPC_ROW_MARK_SIZE];
};

/* the monitor to the forwarder: those of this part whose content it wants. */
struct ipc_rows_wanted {
	struct ipc_list rows; /* struct ipc_wanted_row */
};
struct ipc_wanted_row {
	uint16_t place; /* in the part, from 0 */
};

/* the forwarder to the monitor, with the chain (PEM): a row that was named,
 * first half. Its ROW_KEY is the next message. */
struct ipc_row_chain {
	struct span name;
	uint8_t mark[IPC_ROW_MARK_SIZE];
};

/* the forwarder to the monitor, with the private key (PEM): the second half;
 * answered by ROW_TAKEN. */
struct ipc_row_key {
	uint8_t unused;
};

enum ipc_row_status {
	IPC_ROW_OFFERED = 1, /* to the keepers; what they say is in the log */
	IPC_ROW_LATER,	     /* too many changes: name it again */
};
struct ipc_row_taken {
	uint8_t status; /* enum ipc_row_status */
};

enum ipc_challenges_flags {
	/* Beside those of enum ipc_part_flags: the table is there. */
	IPC_CHALLENGES_TABLE = 1 << 2,
};
/* the forwarder to the store: what is answered to ACME, in parts as SERVERS,
 * in the order of the table. */
struct ipc_known_challenges {
	uint8_t flags;
	struct ipc_list rows; /* struct ipc_challenge_row */
};
struct ipc_challenge_row {
	struct span token;
	struct span text;
};

/* the store to the forwarder, unasked: somebody waits for a challenge that is
 * not known; read the table now, and send KNOWN_CHALLENGES in any case. */
struct ipc_challenges_due {
	uint8_t unused;
};

extern const struct ipc_record ipc_certificate_row_record;
extern const struct ipc_record ipc_wanted_row_record;
extern const struct ipc_record ipc_challenge_row_record;

#endif
