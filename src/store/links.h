/*
 * links.h - links.db: servers and links
 *
 * Stand-alone: the only place where they are. With Postal: a replica that may
 * be deleted at any time. Tokens are compared without case (ASCII); an exact
 * match wins, else the lowest id, so that both of two tokens that differ in
 * case can be reached.
 */
#ifndef STORE_LINKS_H
#define STORE_LINKS_H

#include "ipc/message.h"
#include "store/database.h"

enum links_statement {
	LINKS_FIND,
	LINKS_BY_ID,
	LINKS_ADD,
	LINKS_ADD_SERVER,
	LINKS_FIND_SERVER,
	LINKS_EACH_SERVER,
	LINKS_STATEMENTS,
};

struct links_db {
	struct database db; /* handle NULL: not open */
	sqlite3_stmt *statements[LINKS_STATEMENTS];
	uint64_t n_links, n_servers;
};

/* Valid until links_release. */
struct links_row {
	uint64_t id;
	uint64_t message_id;
	bool has_message;
	struct span url;
};

enum database_result links_open(struct links_db *l, struct err *e);
void links_close(struct links_db *l);
bool links_is_open(const struct links_db *l);

enum links_found { LINKS_FOUND, LINKS_NONE, LINKS_FAILED, LINKS_DAMAGED };

enum links_found links_find_row(struct links_db *l, uint32_t server_id,
    struct span token, struct links_row *row, struct err *e);

/* What links_find_row and links_url lent is not needed any more. */
void links_release(struct links_db *l);

/* The URL of a link, until links_release; empty when it is not known. */
struct span links_url(struct links_db *l, uint64_t link_id);

/*
 * Adds a link, and the server when it is new. An empty token is made up.
 * *added borrows from the arguments and from token_made. -1 with a text for
 * the person who asked; *result says when the database is at fault.
 */
#define LINKS_TOKEN_MADE 16
int links_add_row(struct links_db *l, const struct ipc_link_add *add,
    char token_made[LINKS_TOKEN_MADE], struct ipc_link_added *added,
    bool *new_server, enum database_result *result, struct err *e);

/* All servers; visit is given each. */
enum database_result links_each_server(struct links_db *l,
    void (*visit)(void *owner, uint32_t id, struct span token), void *owner,
    struct err *e);

#endif
