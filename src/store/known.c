/*
 * known.c - the servers that are known, and what else the forwarder says of
 * them
 *
 * Runs in the store. The table lives in memory, ascending by id, and in
 * links.db or replica.db. With Postal, a server that disappears stays in it,
 * gone: events of it may still be on their way from a worker.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "store/replica.h"

/* Workers may still have the table of another store for so long after this
 * one got its first. */
#define LENIENT_MS 10000

/* With those that are gone. */
#define KNOWN_MAX ((size_t)2 * IPC_SERVERS_MAX)
#define SWEEP_EVERY_MS 1000
#define SWEEP_ROWS 400
#define SWEEP_REST_MS 3600000

/* --- the table --------------------------------------------------------- */

size_t
known_after(const struct store *s, uint32_t id)
{
	size_t low = 0, high = s->n_servers;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->servers[middle].id <= id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct server_name *
known_server(const struct store *s, uint32_t id)
{
	size_t after = known_after(s, id);

	return after > 0 && s->servers[after - 1].id == id
		   ? &s->servers[after - 1]
		   : NULL;
}

bool
known_may_be(const struct store *s, uint32_t id)
{
	if (known_server(s, id) != NULL)
		return true;
	return s->settings.mode == IPC_MODE_MYSQL &&
	       (!s->servers_known || s->loop.now_ms < s->lenient_until_ms);
}

size_t
known_count(const struct store *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_servers; i++)
		n += s->servers[i].gone ? 0 : 1;
	return n;
}

/* --- loading ----------------------------------------------------------- */

static struct server_name
name_of(uint32_t id, struct span token, bool gone)
{
	struct server_name name = {
	    .id = id, .len = (uint8_t)token.len, .gone = gone};

	memcpy(name.token, token.p, token.len);
	return name;
}

static int
append(struct server_name **rows, size_t *n, const struct server_name *name)
{
	struct server_name *grown = array_with_room(*rows, *n, sizeof(**rows));

	if (grown == NULL)
		return -1;
	*rows = grown;
	(*rows)[(*n)++] = *name;
	return 0;
}

static void
load_server(void *owner, uint32_t id, struct span token, bool gone)
{
	struct store *s = owner;
	struct server_name name;

	if (token.len == 0 || token.len > IPC_TOKEN_MAX)
		return;
	name = name_of(id, token, gone);
	if (append(&s->servers, &s->n_servers, &name) != 0)
		log_err("servers error=\"no memory\"");
}

static void
load_progress(void *owner, const struct ipc_replica_row *row)
{
	struct server_name *name = known_server(owner, row->server_id);

	if (name != NULL)
		name->progress = *row;
}

void
known_load(struct store *s)
{
	enum database_result r;
	struct err e;

	if (s->links.mode == IPC_MODE_MYSQL && !s->links.now.servers_known) {
		/* A new replica: what is in memory is not in it yet. */
		for (size_t i = 0; i < s->n_servers; i++)
			s->servers[i].progress =
			    (struct ipc_replica_row){.server_id = 0};
		s->servers_unsaved = true;
		s->domains.saved_hash = s->challenges.rows.saved_hash = 0;
		return;
	}
	s->n_servers = 0;
	r = links_each_server(&s->links, load_server, s, &e);
	if (r == DATABASE_OK && s->links.mode == IPC_MODE_MYSQL)
		r = replica_each_progress(&s->links, load_progress, s, &e);
	if (r != DATABASE_OK)
		log_err("servers cannot be read: %s", e.text);
	s->servers_known = true;
	s->servers_unsaved = false;
}

/* Something became old: another walk, when the one under way is done. */
static void
sweep_again(struct store *s)
{
	s->sweep_again = true;
	if (s->sweep_at_ms > s->loop.now_ms + SWEEP_EVERY_MS)
		s->sweep_at_ms = s->loop.now_ms + SWEEP_EVERY_MS;
	loop_wake_at(&s->loop, s->sweep_at_ms);
}

/* --- KNOWN_SERVERS ----------------------------------------------------- */

static void
swap(struct server_name *a, struct server_name *b)
{
	struct server_name kept = *a;

	*a = *b;
	*b = kept;
}

/* The largest of the rows below `at` moves up into it. */
static void
sift_down(struct server_name *rows, size_t at, size_t n)
{
	for (size_t below = 2 * at + 1; below < n; below = 2 * at + 1) {
		if (below + 1 < n && rows[below].id < rows[below + 1].id)
			below++;
		if (rows[at].id >= rows[below].id)
			return;
		swap(&rows[at], &rows[below]);
		at = below;
	}
}

/* A heap sort: qsort asks for the machine's memory, which the filter does not
 * let it. Rows come in order from a database, so it has mostly nothing to
 * do. */
static void
sort_ids(struct server_name *rows, size_t n)
{
	bool sorted = true;

	for (size_t i = 1; i < n && sorted; i++)
		sorted = rows[i - 1].id <= rows[i].id;
	if (sorted)
		return;
	for (size_t i = n / 2; i > 0; i--)
		sift_down(rows, i - 1, n);
	for (size_t i = n - 1; i > 0; i--) {
		swap(&rows[0], &rows[i]);
		sift_down(rows, 0, i);
	}
}

static unsigned int
gather_servers(struct store *s, const struct ipc_known_servers *part)
{
	struct known_parts *parts = &s->parts;
	struct cursor c = cursor_of(part->rows.records);
	struct ipc_server_row row;
	struct server_name name;

	if ((part->flags & IPC_PART_FIRST) != 0) {
		parts->servers_begun = true;
		parts->n_servers = 0;
	}
	if (!parts->servers_begun)
		return IPC_BREACH_ORDER;
	if (parts->n_servers + part->rows.count > IPC_SERVERS_MAX)
		return IPC_BREACH_FLOOD;
	for (size_t i = 0; i < part->rows.count; i++) {
		ipc_next(&c, &ipc_server_row_record, &row);
		name = name_of(row.id, row.token, false);
		if (append(&parts->servers, &parts->n_servers, &name) != 0)
			return IPC_BREACH_FLOOD;
	}
	return 0;
}

/* A server that Postal does not name any more. */
static struct server_name
without(const struct server_name *was)
{
	struct server_name name = *was;

	name.gone = true;
	name.changed = !was->gone;
	name.progress = (struct ipc_replica_row){.server_id = 0};
	return name;
}

static struct server_name
with(const struct server_name *was, const struct server_name *is)
{
	struct server_name name = *was;

	name.gone = false;
	name.changed = was->gone || was->len != is->len ||
		       memcmp(was->token, is->token, is->len) != 0;
	name.len = is->len;
	memcpy(name.token, is->token, sizeof(name.token));
	return name;
}

/* The old table and the new one as one, all ascending; `changed` is set in
 * the rows that are not as they were. */
static size_t
merge(const struct store *s, struct server_name *merged, bool *changed)
{
	const struct known_parts *p = &s->parts;
	size_t n = 0, i = 0, j = 0;

	*changed = false;
	while (i < s->n_servers || j < p->n_servers) {
		uint64_t was = i < s->n_servers ? s->servers[i].id : UINT64_MAX;
		uint64_t is = j < p->n_servers ? p->servers[j].id : UINT64_MAX;

		if (was < is) {
			merged[n] = without(&s->servers[i++]);
		} else if (is < was) {
			merged[n] = p->servers[j++];
			merged[n].changed = true;
		} else {
			merged[n] = with(&s->servers[i++], &p->servers[j++]);
		}
		*changed = *changed || merged[n].changed;
		n++;
	}
	return n;
}

static enum database_result
save_servers(struct store *s, struct err *e)
{
	bool all = s->servers_unsaved;
	enum database_result r = replica_begin(&s->links, e);

	for (size_t i = 0; r == DATABASE_OK && i < s->n_servers; i++) {
		const struct server_name *name = &s->servers[i];

		if (all || name->changed)
			r = replica_put_server(&s->links, name->id,
			    (struct span){name->token, name->len}, name->gone,
			    e);
	}
	s->links.now.servers_known = true;
	if (r == DATABASE_OK)
		r = replica_commit(&s->links, e);
	if (r != DATABASE_OK)
		replica_rollback(&s->links);
	s->servers_unsaved = r != DATABASE_OK;
	return r;
}

/* Memory first: also with a full disk a new server is served. */
static unsigned int
apply_servers(struct store *s, enum database_result *r, struct err *e)
{
	struct known_parts *p = &s->parts;
	struct server_name *merged;
	bool changed;
	size_t n;

	sort_ids(p->servers, p->n_servers);
	for (size_t i = 1; i < p->n_servers; i++)
		if (p->servers[i].id == p->servers[i - 1].id)
			return IPC_BREACH_FORM;
	merged = malloc((s->n_servers + p->n_servers + 1) * sizeof(merged[0]));
	if (merged == NULL) {
		(void)err_errno(e, "no memory for servers");
		*r = DATABASE_FAILED;
		return 0;
	}
	n = merge(s, merged, &changed);
	if (n > KNOWN_MAX) {
		free(merged);
		return IPC_BREACH_FLOOD;
	}
	free(s->servers);
	s->servers = merged;
	s->n_servers = n;
	if (!s->servers_known)
		s->lenient_until_ms = s->loop.now_ms + LENIENT_MS;
	changed = changed || !s->servers_known;
	s->servers_known = true;
	if (changed || s->servers_unsaved)
		*r = save_servers(s, e);
	if (changed) {
		sweep_again(s);
		workers_send_servers(s, NULL);
	}
	return 0;
}

unsigned int
known_take_servers(struct store *s, const struct ipc_known_servers *part,
    enum database_result *r, struct err *e)
{
	unsigned int breach = gather_servers(s, part);

	*r = DATABASE_OK;
	if (breach != 0 || (part->flags & IPC_PART_LAST) == 0)
		return breach;
	s->parts.servers_begun = false;
	return apply_servers(s, r, e);
}

/* --- KNOWN_LINKS ------------------------------------------------------- */

enum database_result
known_take_links(
    struct store *s, const struct ipc_known_links *links, struct err *e)
{
	uint32_t id = links->progress.server_id;
	struct server_name *name = known_server(s, id);
	struct cursor c = cursor_of(links->rows.records);
	struct ipc_known_link_row row;
	enum database_result r;

	if (name == NULL || name->gone) {
		(void)err_set(e, "server %u is not among the known ones", id);
		return DATABASE_FAILED;
	}
	r = replica_begin(&s->links, e);
	for (size_t i = 0; r == DATABASE_OK && i < links->rows.count; i++) {
		ipc_next(&c, &ipc_known_link_row_record, &row);
		r = replica_put_link(&s->links, id, &row, e);
	}
	if (r == DATABASE_OK)
		r = replica_put_progress(&s->links, &links->progress, e);
	if (r == DATABASE_OK)
		r = replica_commit(&s->links, e);
	if (r != DATABASE_OK) {
		replica_rollback(&s->links);
		return r;
	}
	if (links->progress.complete != 0 &&
	    links->progress.low > name->progress.low)
		sweep_again(s);
	name->progress = links->progress;
	return r;
}

enum database_result
known_take_found(struct store *s, uint32_t server_id,
    const struct ipc_known_link_row *link, struct err *e)
{
	enum database_result r = replica_begin(&s->links, e);

	if (r == DATABASE_OK)
		r = replica_put_link(&s->links, server_id, link, e);
	if (r == DATABASE_OK)
		r = replica_commit(&s->links, e);
	if (r != DATABASE_OK)
		replica_rollback(&s->links);
	return r;
}

void
known_forget_parts(struct store *s)
{
	free(s->parts.servers);
	s->parts = (struct known_parts){.servers = NULL};
	known_rows_forget(&s->domains);
}

/* --- sweeping ---------------------------------------------------------- */

/* Older than [links] retention, or of a server that is gone. */
static bool
is_old(void *owner, uint32_t server_id, uint64_t link_id)
{
	const struct server_name *name = known_server(owner, server_id);

	if (name == NULL || name->gone)
		return true;
	return name->progress.complete != 0 && link_id < name->progress.low;
}

void
known_sweep(struct store *s)
{
	enum database_result r;
	bool end = false;
	struct err e;

	s->sweep_at_ms = s->loop.now_ms + SWEEP_EVERY_MS;
	if (s->settings.mode != IPC_MODE_MYSQL || !s->servers_known ||
	    s->servers_unsaved || !links_is_open(&s->links) ||
	    s->links.db.read_only) {
		s->sweep_at_ms = s->loop.now_ms + 60 * SWEEP_EVERY_MS;
		return;
	}
	r = replica_begin(&s->links, &e);
	if (r == DATABASE_OK)
		r = replica_sweep(&s->links, &s->sweep_place, SWEEP_ROWS,
		    is_old, s, &end, &e);
	if (r == DATABASE_OK)
		r = replica_commit(&s->links, &e);
	if (r != DATABASE_OK)
		replica_rollback(&s->links);
	if (r == DATABASE_DAMAGED)
		keep_replace_links(s, &e);
	if (r != DATABASE_OK)
		s->sweep_at_ms = s->loop.now_ms + 60 * SWEEP_EVERY_MS;
	else if (end && !s->sweep_again)
		s->sweep_at_ms = s->loop.now_ms + SWEEP_REST_MS;
	if (end)
		s->sweep_again = false;
}
