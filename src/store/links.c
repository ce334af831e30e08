/*
 * links.c - servers and links, and how a link is found
 *
 * Runs in the store. What writes is in links_add.c and replica.c.
 */
#include "store/links.h"

/* The unique index is there for max(id) + 1 alone. */
static const struct database_schema standalone = {
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

/* No second index: ten million rows are ordinary. What a power cut takes away
 * is read from Postal again. */
static const struct database_schema replica = {
    .name = "replica.db",
    .version = 2,
    .is_copy = true,
    .synchronous = "NORMAL",
    .create = "CREATE TABLE server (id INTEGER PRIMARY KEY,"
	      " token TEXT NOT NULL, gone INTEGER NOT NULL);"
	      "CREATE TABLE link (server_id INTEGER NOT NULL,"
	      " token TEXT NOT NULL COLLATE NOCASE, id INTEGER NOT NULL,"
	      " message_id INTEGER, url BLOB NOT NULL,"
	      " PRIMARY KEY (server_id, token, id)) WITHOUT ROWID;"
	      "CREATE TABLE replica (server_id INTEGER PRIMARY KEY,"
	      " low INTEGER NOT NULL, high INTEGER NOT NULL,"
	      " complete INTEGER NOT NULL);"
	      "CREATE TABLE domain (server_id INTEGER NOT NULL,"
	      " name TEXT NOT NULL, dns_ok INTEGER NOT NULL,"
	      " ssl INTEGER NOT NULL);"
	      "CREATE INDEX domain_name ON domain (name COLLATE NOCASE);"
	      "CREATE TABLE challenge (id INTEGER PRIMARY KEY,"
	      " token TEXT NOT NULL COLLATE NOCASE, text BLOB NOT NULL);"
	      "CREATE INDEX challenge_token ON challenge (token);"
	      "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1),"
	      " servers_known INTEGER NOT NULL, links INTEGER NOT NULL,"
	      " domains INTEGER NOT NULL);"
	      "INSERT INTO meta VALUES (1, 0, 0, 0);",
};

#define FIND                                          \
	"SELECT id, message_id, url, token FROM link" \
	" WHERE server_id = ? AND token = ? ORDER BY id"
#define URL "SELECT url FROM link WHERE server_id = ? AND token = ? AND id = ?"

/* What a mode does not have is NULL. */
static const char *const standalone_texts[LINKS_STATEMENTS] = {
    [LINKS_FIND] = FIND,
    [LINKS_URL] = URL,
    [LINKS_EACH_SERVER] = "SELECT id, token, 0 FROM server ORDER BY id",
    [LINKS_ADD] =
	"INSERT INTO link (server_id, token, id, message_id, url)"
	" VALUES (?, ?, (SELECT ifnull(max(id), 0) + 1 FROM link), NULL, ?)"
	" RETURNING id",
    [LINKS_ADD_SERVER] = "INSERT OR IGNORE INTO server (token) VALUES (?)",
    [LINKS_FIND_SERVER] = "SELECT id, token FROM server WHERE token = ?",
};

static const char *const replica_texts[LINKS_STATEMENTS] = {
    [LINKS_FIND] = FIND,
    [LINKS_URL] = URL,
    [LINKS_EACH_SERVER] = "SELECT id, token, gone FROM server ORDER BY id",
    [LINKS_PUT_SERVER] =
	"INSERT OR REPLACE INTO server (id, token, gone) VALUES (?, ?, ?)",
    [LINKS_PUT_LINK] =
	"INSERT OR IGNORE INTO link (server_id, token, id, message_id, url)"
	" VALUES (?, ?, ?, ?, ?)",
    [LINKS_CHANGE_LINK] = "UPDATE link SET message_id = ?4, url = ?5"
			  " WHERE server_id = ?1 AND token = ?2 AND id = ?3",
    [LINKS_PUT_PROGRESS] =
	"INSERT OR REPLACE INTO replica (server_id, low, high, complete)"
	" VALUES (?, ?, ?, ?)",
    [LINKS_DROP_PROGRESS] = "DELETE FROM replica WHERE server_id = ?",
    [LINKS_EACH_PROGRESS] =
	"SELECT server_id, low, high, complete FROM replica",
    [LINKS_CLEAR_DOMAINS] = "DELETE FROM domain",
    [LINKS_PUT_DOMAIN] =
	"INSERT INTO domain (server_id, name, dns_ok, ssl) VALUES (?, ?, ?, ?)",
    [LINKS_EACH_DOMAIN] = "SELECT server_id, name, dns_ok, ssl FROM domain"
			  " WHERE (name, server_id) > (?, ?)"
			  " ORDER BY name, server_id",
    [LINKS_HAS_DOMAIN] =
	"SELECT 1 FROM domain WHERE name = ? COLLATE NOCASE LIMIT 1",
    [LINKS_CLEAR_CHALLENGES] = "DELETE FROM challenge",
    [LINKS_PUT_CHALLENGE] = "INSERT INTO challenge (token, text) VALUES (?, ?)",
    /* Postal compares without case; an exact one is meant rather. */
    [LINKS_FIND_CHALLENGE] = "SELECT text FROM challenge WHERE token = ?1"
			     " ORDER BY token = ?1 COLLATE BINARY DESC, id",
    [LINKS_ANY_CHALLENGE] = "SELECT 1 FROM challenge LIMIT 1",
    [LINKS_SAVE_META] = "UPDATE meta SET servers_known = ?, links = ?,"
			" domains = ? WHERE id = 1",
    [LINKS_SWEEP] = "SELECT server_id, token, id FROM link"
		    " WHERE (server_id, token, id) > (?, ?, ?)"
		    " ORDER BY server_id, token, id",
    [LINKS_DELETE] =
	"DELETE FROM link WHERE server_id = ? AND token = ? AND id = ?",
};

static const struct database_schema *
schema_of(enum ipc_mode mode)
{
	return mode == IPC_MODE_MYSQL ? &replica : &standalone;
}

const char *
links_name(enum ipc_mode mode)
{
	return schema_of(mode)->name;
}

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

/* Reads one row of numbers. */
static enum database_result
read_meta(struct links_db *l, struct err *e)
{
	/* Ids ascend by one in stand-alone mode: no scan of all links. */
	const char *sql = l->mode == IPC_MODE_MYSQL
			      ? "SELECT links, domains, servers_known FROM meta"
			      : "SELECT ifnull(max(id), 0), 0, 1 FROM link";
	enum database_result r = DATABASE_OK;
	sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(l->db.handle, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		l->now =
		    (struct links_meta){.n_links = database_column_u64(s, 0),
			.n_domains = database_column_u64(s, 1),
			.servers_known = sqlite3_column_int(s, 2) != 0};
	else
		r = database_failure(&l->db, "read links", e);
	(void)sqlite3_finalize(s);
	l->saved = l->now;
	return r;
}

enum database_result
links_open(struct links_db *l, enum ipc_mode mode, struct err *e)
{
	const char *const *texts =
	    mode == IPC_MODE_MYSQL ? replica_texts : standalone_texts;
	enum database_result r;

	l->mode = mode;
	r = database_open(&l->db, schema_of(mode), true, e);
	for (size_t i = 0; r == DATABASE_OK && i < LINKS_STATEMENTS; i++)
		if (texts[i] != NULL)
			r = database_prepare(
			    &l->db, texts[i], &l->statements[i], e);
	if (r == DATABASE_OK)
		r = database_run(&l->db, "read links",
		    "SELECT * FROM link LIMIT 1; SELECT * FROM server LIMIT 1",
		    e);
	if (r == DATABASE_OK)
		r = read_meta(l, e);
	if (r != DATABASE_OK)
		links_close(l);
	return r;
}

enum links_found
links_find_row(struct links_db *l, uint32_t server_id, struct span token,
    struct links_row *row, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_FIND];
	enum links_found found = LINKS_NONE;
	bool exact = false, other = false;
	int got;

	if (s == NULL) {
		(void)err_set(e, "%s is not open", links_name(l->mode));
		return LINKS_FAILED;
	}
	(void)sqlite3_reset(s);
	(void)sqlite3_bind_int64(s, 1, server_id);
	(void)database_bind_text(s, 2, token);
	while ((got = sqlite3_step(s)) == SQLITE_ROW) {
		exact = span_equal(database_column(s, 3), token);
		if (exact)
			break;
		other = true;
	}
	if (got == SQLITE_DONE && other) {
		/* Only other spellings: the first row is the lowest id. */
		(void)sqlite3_reset(s);
		got = sqlite3_step(s);
	}
	if (got == SQLITE_ROW) {
		*row = (struct links_row){.id = database_column_u64(s, 0),
		    .message_id = database_column_u64(s, 1),
		    .has_message = sqlite3_column_type(s, 1) != SQLITE_NULL,
		    .exact = exact,
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
links_url(
    struct links_db *l, uint32_t server_id, struct span token, uint64_t link_id)
{
	sqlite3_stmt *s = l->statements[LINKS_URL];

	if (s == NULL)
		return (struct span){NULL, 0};
	(void)sqlite3_reset(s);
	(void)sqlite3_bind_int64(s, 1, server_id);
	(void)database_bind_text(s, 2, token);
	(void)sqlite3_bind_int64(s, 3, (int64_t)link_id);
	if (sqlite3_step(s) != SQLITE_ROW)
		return (struct span){NULL, 0};
	return database_column(s, 0);
}

void
links_release(struct links_db *l)
{
	(void)sqlite3_reset(l->statements[LINKS_FIND]);
	(void)sqlite3_reset(l->statements[LINKS_URL]);
}

enum database_result
links_each_server(struct links_db *l,
    void (*visit)(void *owner, uint32_t id, struct span token, bool gone),
    void *owner, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_EACH_SERVER];
	enum database_result r = DATABASE_OK;
	int got;

	if (s == NULL)
		return DATABASE_FAILED;
	while ((got = sqlite3_step(s)) == SQLITE_ROW)
		visit(owner, (uint32_t)sqlite3_column_int64(s, 0),
		    database_column(s, 1), sqlite3_column_int(s, 2) != 0);
	if (got != SQLITE_DONE)
		r = database_failure(&l->db, "read servers", e);
	(void)sqlite3_reset(s);
	return r;
}
