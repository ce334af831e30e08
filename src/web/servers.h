/*
 * servers.h - the tokens of all known mail servers, as the store sent them
 */
#ifndef WEB_SERVERS_H
#define WEB_SERVERS_H

#include <stdbool.h>

#include "base/hash.h"
#include "ipc/message.h"

struct servers_row {
	uint32_t id;
	uint32_t at; /* of the token in bytes */
	uint8_t len;
};

/* One complete table: rows, their tokens in lower case, and a hash index. */
struct servers_table {
	struct servers_row *rows;
	size_t n_rows, cap_rows;
	uint8_t *bytes;
	size_t n_bytes, cap_bytes;
	uint32_t *slots; /* row number + 1; 0: empty */
	size_t n_slots;	 /* a power of two */
};

struct servers {
	struct hash_key key;
	struct servers_table now;
	struct servers_table next; /* being received */
	bool incomplete; /* no memory for it: what follows is not taken */
	bool known;	 /* a complete table was received once */
};

void servers_init(struct servers *s, const struct hash_key *key);
void servers_clear(struct servers *s);
enum servers_result {
	SERVERS_TAKEN,
	SERVERS_NO_MEMORY, /* the old table stays */
	SERVERS_TOO_MANY,  /* more than IPC_SERVERS_MAX, and selftest's */
};
/* Takes one part of a table; the last one makes it the table in use. */
enum servers_result servers_take(
    struct servers *s, const struct ipc_servers *part);
/* The id of a token, ASCII letters without case; 0: unknown. */
uint32_t servers_find(const struct servers *s, struct span token);

#endif
