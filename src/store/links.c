/*
 * links.c - links.db: servers and links
 *
 * Runs in the store.
 */
#include "store/links.h"

#include <string.h>
#include <sys/random.h>

static const struct database_schema schema = {
    .name = "links.db",
    .version = 1,
    .synchronous = "FULL",
    .create = "CREATE TABLE server (id INTEGER PRIMARY KEY,"
	      " token TEXT NOT NULL COLLATE NOCASE UNIQUE);"
	      "CREATE TABLE link (server_id INTEGER NOT NULL,"
	      " token TEXT NOT NULL COLLATE NOCASE, id INTEGER NOT NULL,"
	      " message_id INTEGER, url BLOB NOT NULL,"
	      " PRIMARY KEY (server_id, token, id)) WITHOUT ROWID;"
	      "CREATE UNIQUE INDEX link_id ON link (id);",
};

static const char *const texts[LINKS_STATEMENTS] = {
    [LINKS_FIND] = "SELECT id, message_id, url, token FROM link"
		   " WHERE server_id = ? AND token = ? ORDER BY id",
    [LINKS_BY_ID] = "SELECT url FROM link WHERE id = ?",
    [LINKS_ADD] =
	"INSERT INTO link (server_id, token, id, message_id, url)"
	" VALUES (?, ?, (SELECT ifnull(max(id), 0) + 1 FROM link), NULL, ?)"
	" RETURNING id",
    [LINKS_ADD_SERVER] = "INSERT OR IGNORE INTO server (token) VALUES (?)",
    [LINKS_FIND_SERVER] = "SELECT id, token FROM server WHERE token = ?",
    [LINKS_EACH_SERVER] = "SELECT id, token FROM server ORDER BY id",
};

bool
links_is_open(const struct links_db *l)
{
	return l->db.handle != NULL;
}

void
links_close(struct links_db *l)
{
	for (size_t i = 0; i < LINKS_STATEMENTS; i++) {
		(void)sqlite3_finalize(l->statements[i]);
		l->statements[i] = NULL;
	}
	database_close(&l->db);
}

static uint64_t
count(struct links_db *l, const char *sql)
{
	sqlite3_stmt *s = NULL;
	uint64_t n = 0;

	if (sqlite3_prepare_v2(l->db.handle, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		n = (uint64_t)sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return n;
}

enum database_result
links_open(struct links_db *l, struct err *e)
{
	enum database_result r = database_open(&l->db, &schema, true, e);

	for (size_t i = 0; r == DATABASE_OK && i < LINKS_STATEMENTS; i++)
		r = database_prepare(&l->db, texts[i], &l->statements[i], e);
	if (r == DATABASE_OK)
		r = database_run(&l->db, "read links",
		    "SELECT * FROM link LIMIT 1; SELECT * FROM server LIMIT 1",
		    e);
	if (r != DATABASE_OK) {
		links_close(l);
		return r;
	}
	/* Ids ascend by one in stand-alone mode: no scan of all links. */
	l->n_links = count(l, "SELECT ifnull(max(id), 0) FROM link");
	l->n_servers = count(l, "SELECT count(*) FROM server");
	return DATABASE_OK;
}

enum links_found
links_find_row(struct links_db *l, uint32_t server_id, struct span token,
    struct links_row *row, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_FIND];
	enum links_found found = LINKS_NONE;
	uint64_t lowest = 0;
	int got;

	if (s == NULL) {
		(void)err_set(e, "links.db is not open");
		return LINKS_FAILED;
	}
	(void)sqlite3_reset(s);
	(void)sqlite3_bind_int64(s, 1, server_id);
	(void)database_bind_text(s, 2, token);
	while ((got = sqlite3_step(s)) == SQLITE_ROW) {
		if (span_equal(database_column(s, 3), token))
			break;
		if (lowest == 0)
			lowest = (uint64_t)sqlite3_column_int64(s, 0);
	}
	if (got == SQLITE_DONE && lowest != 0) {
		/* Only other spellings: the first row is the lowest id. */
		(void)sqlite3_reset(s);
		got = sqlite3_step(s);
	}
	if (got == SQLITE_ROW) {
		*row = (struct links_row){
		    .id = (uint64_t)sqlite3_column_int64(s, 0),
		    .message_id = (uint64_t)sqlite3_column_int64(s, 1),
		    .has_message = sqlite3_column_type(s, 1) != SQLITE_NULL,
		    .url = database_column(s, 2)};
		found = LINKS_FOUND;
	} else if (got != SQLITE_DONE) {
		found = database_failure(&l->db, "look up a link", e) ==
				DATABASE_DAMAGED
			    ? LINKS_DAMAGED
			    : LINKS_FAILED;
		(void)sqlite3_reset(s);
	}
	return found;
}

struct span
links_url(struct links_db *l, uint64_t link_id)
{
	sqlite3_stmt *s = l->statements[LINKS_BY_ID];

	if (s == NULL)
		return (struct span){NULL, 0};
	(void)sqlite3_reset(s);
	(void)sqlite3_bind_int64(s, 1, (int64_t)link_id);
	if (sqlite3_step(s) != SQLITE_ROW)
		return (struct span){NULL, 0};
	return database_column(s, 0);
}

void
links_release(struct links_db *l)
{
	(void)sqlite3_reset(l->statements[LINKS_FIND]);
	(void)sqlite3_reset(l->statements[LINKS_BY_ID]);
}

/* --- adding ------------------------------------------------------------ */

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
		*id = (uint64_t)sqlite3_column_int64(s, 0);
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
    struct ipc_link_added *added, bool *new_server, bool *taken, struct err *e)
{
	struct links_row row;
	uint32_t server_id = 0;
	enum database_result r =
	    take_server(l, add->server, &server_id, new_server, e);

	if (r != DATABASE_OK)
		return r;
	if (exists(l, server_id, added->token, &row)) {
		*taken = true;
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
	bool taken = false;

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
		    add_in_transaction(l, add, added, new_server, &taken, e);
	if (*result == DATABASE_OK && !taken)
		*result = database_run(&l->db, "add a link", "COMMIT", e);
	if (*result != DATABASE_OK || taken) {
		(void)sqlite3_exec(l->db.handle, "ROLLBACK", NULL, NULL, NULL);
		*new_server = false;
		return -1;
	}
	l->n_links++;
	l->n_servers += *new_server ? 1 : 0;
	return 0;
}

enum database_result
links_each_server(struct links_db *l,
    void (*visit)(void *owner, uint32_t id, struct span token), void *owner,
    struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_EACH_SERVER];
	enum database_result r = DATABASE_OK;
	int got;

	if (s == NULL)
		return DATABASE_FAILED;
	while ((got = sqlite3_step(s)) == SQLITE_ROW)
		visit(owner, (uint32_t)sqlite3_column_int64(s, 0),
		    database_column(s, 1));
	if (got != SQLITE_DONE)
		r = database_failure(&l->db, "read servers", e);
	(void)sqlite3_reset(s);
	return r;
}
