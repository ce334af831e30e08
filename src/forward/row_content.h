/*
 * row_content.h - chain and key of rows of track_certificates
 *
 * Read over a connection of its own, which is closed behind them: while it is
 * open, and until all is over, memory that is given back is overwritten, so
 * that neither the client library's buffers nor OpenSSL's keep a key. What
 * comes of it are two memory files.
 */
#ifndef FORWARD_ROW_CONTENT_H
#define FORWARD_ROW_CONTENT_H

#include "forward/sql.h"
#include "ipc/message.h"

struct row_reader {
	struct sql sql;
	struct sql_statement statement;
	bool open;
};

struct row_content {
	uint8_t mark[IPC_ROW_MARK_SIZE];
	int chain_fd, key_fd; /* sealed; of certificate and intermediaries, and
			       * of the key */
};

/* The SQL of a row's mark: changes when its content does. */
#define ROW_MARK                                            \
	"LEFT(SHA2(CONCAT_WS('|', IFNULL(certificate, '')," \
	" IFNULL(intermediaries, ''), IFNULL(`key`, '')), 256), 32)"

/*
 * The row of this id; connects to t first when it is not. 1 and *content; 0
 * when there is none; -1. Owner: the caller, of both descriptors.
 */
int row_read(struct row_reader *r, const struct sql_library *library,
    const struct sql_target *t, int64_t id, struct row_content *content,
    struct err *e);
/* Closes and wipes. r may be all zeroes. */
void row_reader_close(struct row_reader *r);

/* Longer ones are cut, and refused for their size where they come to. */
#define ROW_FILE_MAX (IPC_CHAIN_FILE_MAX + 1)
/* The bytes of a and b, an end of line between them, as a sealed memory file;
 * -1. */
int row_memory_file(struct span a, struct span b, struct err *e);

#endif
