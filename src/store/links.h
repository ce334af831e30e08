/*
 * links.h - servers and links, and how a link is found
 *
 * Stand-alone, links.db is the only place where they are (links_add.c). With
 * Postal, replica.db is a copy that may be deleted at any time (replica.h).
 * Both are asked in the same way: tokens are compared without case (ASCII);
 * an exact match wins, else the lowest id, so that both of two tokens that
 * differ in case can be reached.
 */
#ifndef STORE_LINKS_H
#define STORE_LINKS_H

#include "ipc/message.h"
#include "store/database.h"

enum links_statement {
	LINKS_FIND,
	LINKS_URL,
	LINKS_EACH_SERVER,
	/* stand-alone */
	LINKS_ADD,
	LINKS_ADD_SERVER,
	LINKS_FIND_SERVER,
	/* the replica */
	LINKS_PUT_SERVER,
	LINKS_PUT_LINK,
	LINKS_CHANGE_LINK,
	LINKS_PUT_PROGRESS,
	LINKS_DROP_PROGRESS,
	LINKS_EACH_PROGRESS,
	LINKS_CLEAR_DOMAINS,
	LINKS_PUT_DOMAIN,
	LINKS_EACH_DOMAIN,
	LINKS_HAS_DOMAIN,
	LINKS_CLEAR_CHALLENGES,
	LINKS_PUT_CHALLENGE,
	LINKS_FIND_CHALLENGE,
	LINKS_ANY_CHALLENGE,
	LINKS_SAVE_META,
	LINKS_SWEEP,
	LINKS_DELETE,
	LINKS_STATEMENTS,
};

/* What the one row of `meta` of the replica says. */
struct links_meta {
	uint64_t n_links, n_domains;
	bool servers_known; /* the table of servers was read from Postal */
};

struct links_db {
	struct database db; /* handle NULL: not open */
	enum ipc_mode mode;
	sqlite3_stmt *statements[LINKS_STATEMENTS];
	struct links_meta now, saved; /* saved: as of the last commit */
};

/* Valid until links_release. */
struct links_row {
	uint64_t id;
	uint64_t message_id;
	bool has_message;
	bool exact; /* its token is the wanted one, case included */
	struct span url;
};

/* "links.db" or "replica.db". */
const char *links_name(enum ipc_mode mode);

/* *l zeroed before the first time. */
enum database_result links_open(
    struct links_db *l, enum ipc_mode mode, struct err *e);
void links_close(struct links_db *l);
bool links_is_open(const struct links_db *l);

enum links_found { LINKS_FOUND, LINKS_NONE, LINKS_FAILED, LINKS_DAMAGED };

enum links_found links_find_row(struct links_db *l, uint32_t server_id,
    struct span token, struct links_row *row, struct err *e);

/* What links_find_row and links_url lent is not needed any more. */
void links_release(struct links_db *l);

/* The URL of a link, until links_release; empty when it is not known. Ids are
 * unique for one server only. */
struct span links_url(struct links_db *l, uint32_t server_id, struct span token,
    uint64_t link_id);

/* All servers, ascending ids; visit is given each. gone: Postal has it no
 * more. */
enum database_result links_each_server(struct links_db *l,
    void (*visit)(void *owner, uint32_t id, struct span token, bool gone),
    void *owner, struct err *e);

/* --- links_add.c: stand-alone ------------------------------------------- */

/*
 * Adds a link, and the server when it is new. An empty token is made up.
 * *added borrows from the arguments and from token_made. -1 with a text for
 * the person who asked; *result says when the database is at fault.
 */
#define LINKS_TOKEN_MADE 16
int links_add_row(struct links_db *l, const struct ipc_link_add *add,
    char token_made[LINKS_TOKEN_MADE], struct ipc_link_added *added,
    bool *new_server, enum database_result *result, struct err *e);

#endif
