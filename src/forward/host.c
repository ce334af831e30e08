/*
 * host.c - one MySQL server: a connection that is kept up, and the prepared
 * statements of it
 *
 * Runs in the forwarder, inside its jail.
 */
#include "forward/host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 10000

/* A transaction of a connection that was cut must not hold its locks for the
 * eight hours that a server waits by default. */
#define SESSION "SET SESSION wait_timeout = 120"

/* Texts are our own: any key will do. */
static const struct hash_key text_key = {1, 2};

int
host_open(struct host *h, const struct sql_library *library,
    const char *section, const struct sql_target *target, struct err *e)
{
	*h = (struct host){.section = section, .target = target};
	sql_init(&h->sql, library);
	h->statements = calloc(HOST_STATEMENTS, sizeof(h->statements[0]));
	return h->statements == NULL ? err_errno(e, "no memory") : 0;
}

static void
forget_statements(struct host *h)
{
	for (size_t i = 0; i < h->n_statements; i++) {
		sql_statement_clear(&h->statements[i].statement);
		free(h->statements[i].text);
	}
	h->n_statements = 0;
}

void
host_drop(struct host *h)
{
	forget_statements(h);
	sql_close(&h->sql);
	h->next_try_ms = h->backoff_ms = 0;
}

/* Between half of it and all of it, so that many forwarders do not come back
 * to a server at the same moment. */
static uint64_t
with_jitter(uint64_t ms)
{
	uint16_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = 0;
	return ms / 2 + ms / 2 * random / UINT16_MAX;
}

static void
back_off(struct host *h, uint64_t now_ms)
{
	h->backoff_ms =
	    h->backoff_ms == 0 ? BACKOFF_FIRST_MS : h->backoff_ms * 2;
	if (h->backoff_ms > BACKOFF_MOST_MS)
		h->backoff_ms = BACKOFF_MOST_MS;
	h->next_try_ms = now_ms + with_jitter(h->backoff_ms);
}

bool
host_is_up(struct host *h, uint64_t now_ms, bool *tried, struct err *e)
{
	*tried = false;
	if (sql_is_open(&h->sql))
		return true;
	if (now_ms < h->next_try_ms)
		return false;
	*tried = true;
	forget_statements(h);
	if (sql_connect(&h->sql, h->target, e) != 0 ||
	    sql_query_text(&h->sql, SESSION, e) != 0) {
		sql_close(&h->sql);
		back_off(h, now_ms);
		(void)err_prefix(e, "%s", h->section);
		return false;
	}
	h->session++;
	h->backoff_ms = 0;
	return true;
}

void
host_try_now(struct host *h)
{
	h->next_try_ms = 0;
}

/* --- statements -------------------------------------------------------- */

static struct host_statement *
find(struct host *h, uint64_t hash, struct span text)
{
	for (size_t i = 0; i < h->n_statements; i++) {
		struct host_statement *s = &h->statements[i];

		if (s->hash == hash && s->len == text.len &&
		    memcmp(s->text, text.p, text.len) == 0)
			return s;
	}
	return NULL;
}

/* A free slot, or that of the statement unused for longest. */
static struct host_statement *
make_room(struct host *h)
{
	struct host_statement *oldest = &h->statements[0];

	if (h->n_statements < HOST_STATEMENTS)
		return &h->statements[h->n_statements++];
	for (size_t i = 1; i < h->n_statements; i++)
		if (h->statements[i].used < oldest->used)
			oldest = &h->statements[i];
	sql_statement_clear(&oldest->statement);
	free(oldest->text);
	return oldest;
}

/* The last one takes the place of one that is not wanted. */
static void
remove_statement(struct host *h, struct host_statement *s)
{
	sql_statement_clear(&s->statement);
	free(s->text);
	*s = h->statements[--h->n_statements];
	h->statements[h->n_statements] = (struct host_statement){.text = NULL};
}

struct sql_statement *
host_prepare(struct host *h, struct span text, struct err *e)
{
	uint64_t hash = hash_bytes(&text_key, text);
	struct host_statement *s = find(h, hash, text);

	if (s == NULL) {
		s = make_room(h);
		*s = (struct host_statement){
		    .hash = hash, .len = text.len, .text = malloc(text.len)};
		if (s->text == NULL) {
			(void)err_errno(e, "no memory for a statement");
			remove_statement(h, s);
			return NULL;
		}
		memcpy(s->text, text.p, text.len);
		if (sql_prepare(&h->sql, text, &s->statement, e) != 0) {
			remove_statement(h, s);
			return NULL;
		}
	}
	s->used = ++h->uses;
	return &s->statement;
}

struct sql_statement *
host_execute(struct host *h, struct span text, const struct sql_value *values,
    size_t n, struct err *e)
{
	struct sql_statement *s = host_prepare(h, text, e);

	if (s == NULL || sql_execute(s, values, n, e) != 0)
		return NULL;
	return s;
}
