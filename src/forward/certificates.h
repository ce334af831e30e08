/*
 * certificates.h - what the forwarder remembers of track_certificates
 */
#ifndef FORWARD_CERTIFICATES_H
#define FORWARD_CERTIFICATES_H

#include "base/log.h"
#include "forward/row_sender.h"

/* A row that is to be served. */
struct certificate_row {
	int64_t id;
	uint8_t mark[IPC_ROW_MARK_SIZE];
	uint8_t len;
	uint8_t name[IPC_ROW_NAME_MAX];
};

/* Zeroed by the owner, but for sender. */
struct certificates {
	struct row_sender sender;
	uint64_t at_ms;		  /* when the table is read next */
	uint64_t challenges_sent; /* hash; 0: send again */
	/* Rows on their way to the monitor. */
	struct certificate_row *list; /* IPC_ROWS_MAX places */
	size_t n, next;
	bool running;
	bool postponed; /* some are to be named again */
	uint64_t hash;	/* of the list */
	uint64_t told;	/* hash of the one that the monitor has; 0: none */
	struct log_limit log_failed, log_too_many;
};

#endif
