/*
 * links_add.c - servers and links of the stand-alone mode
 *
 * Runs in the store. links.db is the only place where they are.
 */
#include "store/links.h"

#include <string.h>
#include <sys/random.h>

static bool
is_token(struct span token)
{
	if (token.len == 0 || token.len > IPC_TOKEN_MAX)
		return false;
	for (size_t i = 0; i < token.len; i++) {
		uint8_t c = ascii_lower(token.p[i]);

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-')
			return false;
	}
	return true;
}

static bool
is_web_url(struct span url)
{
	static const char *const schemes[] = {"http://", "https://"};
	bool known = false;

	for (size_t i = 0; i < 2; i++) {
		struct span scheme = span_of(schemes[i]);

		if (url.len > scheme.len &&
		    span_equal_nocase((struct span){url.p, scheme.len}, scheme))
			known = true;
	}
	for (size_t i = 0; i < url.len; i++)
		if (url.p[i] < 0x20 || url.p[i] == 0x7f)
			return false;
	return known;
}

/* Bytes of 248 and above are thrown away, so that each of the 62 characters
 * is as likely as the others. */
static int
make_token(char token[LINKS_TOKEN_MADE])
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = 0;

	while (n < LINKS_TOKEN_MADE) {
		uint8_t byte;

		if (getrandom(&byte, 1, 0) != 1)
			return -1;
		if (byte < 248)
			token[n++] = alphabet[byte % 62];
	}
	return 0;
}

static int
check_add(const struct ipc_link_add *add, struct err *e)
{
	if (!is_token(add->server))
		return err_set(e, "a server token consists of letters, digits "
				  "and hyphens");
	if (add->token.len > 0 && !is_token(add->token))
		return err_set(e, "a link token consists of letters, digits "
				  "and hyphens");
	if (!is_web_url(add->url))
		return err_set(e, "the URL has to begin with http:// or "
				  "https:// and hold no control characters");
	return 0;
}

/* Finds the server's row, after it was added when it was new. */
static enum database_result
take_server(struct links_db *l, struct span token, uint32_t *id, bool *is_new,
    struct err *e)
{
	sqlite3_stmt *add = l->statements[LINKS_ADD_SERVER];
	sqlite3_stmt *find = l->statements[LINKS_FIND_SERVER];
	enum database_result r = DATABASE_OK;

	(void)database_bind_text(add, 1, token);
	if (sqlite3_step(add) != SQLITE_DONE)
		r = database_failure(&l->db, "add a server", e);
	*is_new = r == DATABASE_OK && sqlite3_changes(l->db.handle) == 1;
	(void)sqlite3_reset(add);
	if (r != DATABASE_OK)
		return r;
	(void)database_bind_text(find, 1, token);
	if (sqlite3_step(find) == SQLITE_ROW)
		*id = (uint32_t)sqlite3_column_int64(find, 0);
	else
		r = database_failure(&l->db, "find a server", e);
	(void)sqlite3_reset(find);
	return r;
}

static enum database_result
insert_link(struct links_db *l, uint32_t server_id, struct span token,
    struct span url, uint64_t *id, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_ADD];
	enum database_result r = DATABASE_OK;

	(void)sqlite3_bind_int64(s, 1, server_id);
	(void)database_bind_text(s, 2, token);
	(void)database_bind_blob(s, 3, url);
	if (sqlite3_step(s) == SQLITE_ROW)
		*id = database_column_u64(s, 0);
	else
		r = database_failure(&l->db, "add a link", e);
	/* To the end: only then the row is there. */
	if (r == DATABASE_OK && sqlite3_step(s) != SQLITE_DONE)
		r = database_failure(&l->db, "add a link", e);
	(void)sqlite3_reset(s);
	return r;
}

/* The link with exactly this token, if there is one. */
static bool
exists(struct links_db *l, uint32_t server_id, struct span token,
    struct links_row *row)
{
	struct err ignored;

	return links_find_row(l, server_id, token, row, &ignored) ==
		   LINKS_FOUND &&
	       span_equal(database_column(l->statements[LINKS_FIND], 3), token);
}

static enum database_result
add_in_transaction(struct links_db *l, const struct ipc_link_add *add,
    struct ipc_link_added *added, bool *new_server, bool *refused,
    struct err *e)
{
	struct links_row row;
	uint32_t server_id = 0;
	enum database_result r =
	    take_server(l, add->server, &server_id, new_server, e);

	if (r != DATABASE_OK)
		return r;
	if (server_id > IPC_SERVERS_MAX) {
		*refused = true;
		(void)err_set(e,
		    "there are %d servers already, as many as possible",
		    IPC_SERVERS_MAX);
		return DATABASE_OK;
	}
	if (exists(l, server_id, added->token, &row)) {
		*refused = true;
		(void)err_set(e,
		    "the link /%.*s/%.*s exists already and leads to %.*s",
		    (int)add->server.len, (const char *)add->server.p,
		    (int)added->token.len, (const char *)added->token.p,
		    row.url.len > 200 ? 200 : (int)row.url.len,
		    (const char *)row.url.p);
		(void)sqlite3_reset(l->statements[LINKS_FIND]);
		return DATABASE_OK;
	}
	(void)sqlite3_reset(l->statements[LINKS_FIND]);
	return insert_link(
	    l, server_id, added->token, add->url, &added->link_id, e);
}

int
links_add_row(struct links_db *l, const struct ipc_link_add *add,
    char token_made[LINKS_TOKEN_MADE], struct ipc_link_added *added,
    bool *new_server, enum database_result *result, struct err *e)
{
	bool refused = false;

	*result = DATABASE_OK;
	*new_server = false;
	if (check_add(add, e) != 0)
		return -1;
	if (!links_is_open(l) || l->db.read_only)
		return err_set(e, "links.db cannot be written; see the log");
	*added =
	    (struct ipc_link_added){.server = add->server, .token = add->token};
	if (add->token.len == 0) {
		if (make_token(token_made) != 0)
			return err_errno(e, "no random bytes for a token");
		added->token = (struct span){
		    (const uint8_t *)token_made, LINKS_TOKEN_MADE};
	}
	links_release(l);
	*result = database_run(&l->db, "add a link", "BEGIN IMMEDIATE", e);
	if (*result == DATABASE_OK)
		*result =
		    add_in_transaction(l, add, added, new_server, &refused, e);
	if (*result == DATABASE_OK && !refused)
		*result = database_run(&l->db, "add a link", "COMMIT", e);
	if (*result != DATABASE_OK || refused) {
		(void)sqlite3_exec(l->db.handle, "ROLLBACK", NULL, NULL, NULL);
		*new_server = false;
		return -1;
	}
	l->now.n_links++;
	return 0;
}
