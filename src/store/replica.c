/*
 * replica.c - what the forwarder says of Postal's servers, links and domains,
 * in replica.db
 *
 * Runs in the store.
 */
#include "store/replica.h"

#include <string.h>

static enum database_result
step(struct links_db *l, enum links_statement which, const char *doing,
    struct err *e)
{
	return database_step(&l->db, l->statements[which], doing, e);
}

enum database_result
replica_begin(struct links_db *l, struct err *e)
{
	if (!links_is_open(l) || l->db.read_only) {
		(void)err_set(e, "replica.db cannot be written; see the log");
		return DATABASE_FAILED;
	}
	links_release(l);
	return database_run(&l->db, "replica.db", "BEGIN IMMEDIATE", e);
}

static enum database_result
save_meta(struct links_db *l, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_SAVE_META];

	(void)sqlite3_bind_int(s, 1, l->now.servers_known);
	(void)sqlite3_bind_int64(s, 2, (int64_t)l->now.n_links);
	(void)sqlite3_bind_int64(s, 3, (int64_t)l->now.n_domains);
	return step(l, LINKS_SAVE_META, "replica.db", e);
}

enum database_result
replica_commit(struct links_db *l, struct err *e)
{
	enum database_result r = DATABASE_OK;

	if (l->now.n_links != l->saved.n_links ||
	    l->now.n_domains != l->saved.n_domains ||
	    l->now.servers_known != l->saved.servers_known)
		r = save_meta(l, e);
	if (r == DATABASE_OK)
		r = database_run(&l->db, "replica.db", "COMMIT", e);
	if (r == DATABASE_OK)
		l->saved = l->now;
	return r;
}

void
replica_rollback(struct links_db *l)
{
	if (links_is_open(l) && sqlite3_get_autocommit(l->db.handle) == 0)
		(void)sqlite3_exec(l->db.handle, "ROLLBACK", NULL, NULL, NULL);
	l->now = l->saved;
}

/* --- servers ----------------------------------------------------------- */

enum database_result
replica_put_server(struct links_db *l, uint32_t id, struct span token,
    bool gone, struct err *e)
{
	sqlite3_stmt *put = l->statements[LINKS_PUT_SERVER];
	enum database_result r;

	(void)sqlite3_bind_int64(put, 1, id);
	(void)database_bind_text(put, 2, token);
	(void)sqlite3_bind_int(put, 3, gone);
	r = step(l, LINKS_PUT_SERVER, "write servers", e);
	if (r != DATABASE_OK || !gone)
		return r;
	(void)sqlite3_bind_int64(l->statements[LINKS_DROP_PROGRESS], 1, id);
	return step(l, LINKS_DROP_PROGRESS, "write servers", e);
}

/* --- links ------------------------------------------------------------- */

static void
bind_link(
    sqlite3_stmt *s, uint32_t server_id, const struct ipc_known_link_row *link)
{
	(void)sqlite3_bind_int64(s, 1, server_id);
	(void)database_bind_text(s, 2, link->token);
	(void)sqlite3_bind_int64(s, 3, (int64_t)link->link_id);
	if (link->has_message)
		(void)sqlite3_bind_int64(s, 4, (int64_t)link->message_id);
	else
		(void)sqlite3_bind_null(s, 4);
	/* An empty URL is an empty blob, never NULL. */
	(void)database_bind_blob(
	    s, 5, link->url.len > 0 ? link->url : span_of(""));
}

enum database_result
replica_put_link(struct links_db *l, uint32_t server_id,
    const struct ipc_known_link_row *link, struct err *e)
{
	enum database_result r;

	bind_link(l->statements[LINKS_PUT_LINK], server_id, link);
	r = step(l, LINKS_PUT_LINK, "write links", e);
	if (r != DATABASE_OK)
		return r;
	if (sqlite3_changes(l->db.handle) > 0) {
		l->now.n_links++;
		return DATABASE_OK;
	}
	/* It was there: this way the count is right without asking first. */
	bind_link(l->statements[LINKS_CHANGE_LINK], server_id, link);
	return step(l, LINKS_CHANGE_LINK, "write links", e);
}

enum database_result
replica_put_progress(
    struct links_db *l, const struct ipc_replica_row *progress, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_PUT_PROGRESS];

	(void)sqlite3_bind_int64(s, 1, progress->server_id);
	(void)sqlite3_bind_int64(s, 2, (int64_t)progress->low);
	(void)sqlite3_bind_int64(s, 3, (int64_t)progress->high);
	(void)sqlite3_bind_int(s, 4, progress->complete);
	return step(l, LINKS_PUT_PROGRESS, "write links", e);
}

enum database_result
replica_each_progress(struct links_db *l,
    void (*visit)(void *owner, const struct ipc_replica_row *progress),
    void *owner, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_EACH_PROGRESS];
	enum database_result r = DATABASE_OK;
	int got;

	while ((got = sqlite3_step(s)) == SQLITE_ROW) {
		struct ipc_replica_row row = {
		    .server_id = (uint32_t)sqlite3_column_int64(s, 0),
		    .low = database_column_u64(s, 1),
		    .high = database_column_u64(s, 2),
		    .complete = sqlite3_column_int(s, 3) != 0};

		visit(owner, &row);
	}
	if (got != SQLITE_DONE)
		r = database_failure(&l->db, "read the replica", e);
	(void)sqlite3_reset(s);
	return r;
}

/* --- domains ----------------------------------------------------------- */

enum database_result
replica_clear_domains(struct links_db *l, struct err *e)
{
	l->now.n_domains = 0;
	return step(l, LINKS_CLEAR_DOMAINS, "write domains", e);
}

enum database_result
replica_put_domain(
    struct links_db *l, const struct ipc_domain_row *domain, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_PUT_DOMAIN];

	(void)sqlite3_bind_int64(s, 1, domain->server_id);
	(void)database_bind_text(s, 2, domain->name);
	(void)sqlite3_bind_int(s, 3, domain->dns_ok);
	(void)sqlite3_bind_int(s, 4, domain->ssl);
	l->now.n_domains++;
	return step(l, LINKS_PUT_DOMAIN, "write domains", e);
}

enum database_result
replica_each_domain(struct links_db *l, const struct ipc_domains_get *after,
    bool (*visit)(void *owner, const struct ipc_domain_row *domain),
    void *owner, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_EACH_DOMAIN];
	enum database_result r = DATABASE_OK;
	int got = SQLITE_DONE;

	if (!links_is_open(l) || s == NULL)
		return DATABASE_OK;
	(void)database_bind_text(s, 1, after->after_name);
	(void)sqlite3_bind_int64(s, 2, after->after_server);
	while ((got = sqlite3_step(s)) == SQLITE_ROW) {
		struct ipc_domain_row row = {
		    .server_id = (uint32_t)sqlite3_column_int64(s, 0),
		    .name = database_column(s, 1),
		    .dns_ok = sqlite3_column_int(s, 2) != 0,
		    .ssl = sqlite3_column_int(s, 3) != 0};

		if (!visit(owner, &row))
			break;
	}
	if (got != SQLITE_DONE && got != SQLITE_ROW)
		r = database_failure(&l->db, "read domains", e);
	(void)sqlite3_reset(s);
	return r;
}

enum database_result
replica_has_domain(
    struct links_db *l, struct span name, bool *has, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_HAS_DOMAIN];
	enum database_result r = DATABASE_OK;
	int got;

	*has = false;
	if (!links_is_open(l) || s == NULL) {
		(void)err_set(e, "there is no replica");
		return DATABASE_FAILED;
	}
	(void)database_bind_text(s, 1, name);
	got = sqlite3_step(s);
	if (got == SQLITE_ROW)
		*has = true;
	else if (got != SQLITE_DONE)
		r = database_failure(&l->db, "read domains", e);
	(void)sqlite3_reset(s);
	return r;
}

/* --- challenges --------------------------------------------------------- */

enum database_result
replica_clear_challenges(struct links_db *l, struct err *e)
{
	return step(l, LINKS_CLEAR_CHALLENGES, "write challenges", e);
}

enum database_result
replica_put_challenge(
    struct links_db *l, const struct ipc_challenge_row *row, struct err *e)
{
	sqlite3_stmt *s = l->statements[LINKS_PUT_CHALLENGE];

	(void)database_bind_text(s, 1, row->token);
	(void)database_bind_blob(s, 2, row->text);
	return step(l, LINKS_PUT_CHALLENGE, "write challenges", e);
}

struct span
replica_find_challenge(struct links_db *l, struct span token)
{
	sqlite3_stmt *s = l->statements[LINKS_FIND_CHALLENGE];

	if (!links_is_open(l) || s == NULL)
		return (struct span){NULL, 0};
	(void)sqlite3_reset(s);
	(void)database_bind_text(s, 1, token);
	if (sqlite3_step(s) != SQLITE_ROW)
		return (struct span){NULL, 0};
	return database_column(s, 0);
}

void
replica_end_challenge(struct links_db *l)
{
	(void)sqlite3_reset(l->statements[LINKS_FIND_CHALLENGE]);
}

bool
replica_has_challenges(struct links_db *l)
{
	sqlite3_stmt *s = l->statements[LINKS_ANY_CHALLENGE];
	bool any = false;

	if (links_is_open(l) && s != NULL)
		any = sqlite3_step(s) == SQLITE_ROW;
	(void)sqlite3_reset(s);
	return any;
}

/* --- sweeping ---------------------------------------------------------- */

static void
bind_place(sqlite3_stmt *s, const struct replica_place *p)
{
	(void)sqlite3_bind_int64(s, 1, p->server_id);
	(void)database_bind_text(s, 2, (struct span){p->token, p->len});
	(void)sqlite3_bind_int64(s, 3, (int64_t)p->link_id);
}

static void
read_place(sqlite3_stmt *s, struct replica_place *p)
{
	struct span token = database_column(s, 1);

	p->server_id = (uint32_t)sqlite3_column_int64(s, 0);
	p->link_id = database_column_u64(s, 2);
	p->len =
	    (uint8_t)(token.len > IPC_TOKEN_MAX ? IPC_TOKEN_MAX : token.len);
	if (p->len > 0)
		memcpy(p->token, token.p, p->len);
}

static enum database_result
delete_places(struct links_db *l, const struct replica_place *places, size_t n,
    struct err *e)
{
	enum database_result r = DATABASE_OK;

	for (size_t i = 0; r == DATABASE_OK && i < n; i++) {
		bind_place(l->statements[LINKS_DELETE], &places[i]);
		r = step(l, LINKS_DELETE, "delete links", e);
		if (r == DATABASE_OK && l->now.n_links > 0)
			l->now.n_links -=
			    (uint64_t)sqlite3_changes(l->db.handle);
	}
	return r;
}

enum database_result
replica_sweep(struct links_db *l, struct replica_place *place,
    unsigned int most,
    bool (*is_old)(void *owner, uint32_t server_id, uint64_t link_id),
    void *owner, bool *end, struct err *e)
{
	struct replica_place old[REPLICA_SWEEP_MAX], at = *place;
	sqlite3_stmt *s = l->statements[LINKS_SWEEP];
	enum database_result r = DATABASE_OK;
	size_t n_old = 0;
	int got = SQLITE_ROW;

	bind_place(s, place);
	for (unsigned int i = 0; i < most && n_old < REPLICA_SWEEP_MAX; i++) {
		got = sqlite3_step(s);
		if (got != SQLITE_ROW)
			break;
		read_place(s, &at);
		if (is_old(owner, at.server_id, at.link_id))
			old[n_old++] = at;
	}
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		r = database_failure(&l->db, "sweep links", e);
	(void)sqlite3_reset(s);
	if (r == DATABASE_OK)
		r = delete_places(l, old, n_old, e);
	*end = got == SQLITE_DONE;
	*place = *end ? (struct replica_place){0} : at;
	return r;
}
