/*
 * replicate_certificates.c - Postal's table track_certificates
 *
 * Runs in the forwarder. Only Postal 1.x fills it, and where it is not, or may
 * not be read, there is nothing to do and nothing to say. What ACME asks for
 * goes to the store; certificates and keys go to the monitor. Every few
 * seconds the database says which rows are other ones than before, by a hash
 * that it makes itself: a key comes here only when it is wanted there.
 */
#include "forward/parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

#define EVERY_MS 5000
#define NO_TABLE_EVERY_MS 60000
/* Rows of one turn: events and visitors wait for it. */
#define ROWS_A_TURN 16

static const struct hash_key change_key = {5, 6};

/* True when the failure means that the table is not for us. */
static bool
is_not_ours(const struct forwarder *f)
{
	return f->main->sql.failure == SQL_GONE ||
	       f->main->sql.failure == SQL_DENIED;
}

/* --- challenges -------------------------------------------------------- */

static const char challenges_text[] =
    "SELECT verification_path, verification_string FROM track_certificates"
    " WHERE verification_path <> '' AND verification_string <> ''"
    " ORDER BY id";

/* The token in the path of a challenge; empty when it is none. */
static struct span
token_of(struct span path)
{
	static const struct span none = {NULL, 0};
	const struct span prefix = span_of(".well-known/acme-challenge/");

	if (path.len > 0 && path.p[0] == '/')
		path = (struct span){path.p + 1, path.len - 1};
	if (!span_starts(path, prefix))
		return none;
	path = (struct span){path.p + prefix.len, path.len - prefix.len};
	if (path.len > IPC_CHALLENGE_TOKEN_MAX || !span_is_base64url(path))
		return none;
	return path;
}

/* *table: whether there is one that can be read. */
static int
put_challenges(struct parts *p, bool *table, struct err *e)
{
	struct sql_statement *s =
	    host_execute(p->f->main, span_of(challenges_text), NULL, 0, e);
	int got = 0;

	*table = s != NULL;
	if (s == NULL && !is_not_ours(p->f))
		return -1;
	if (s != NULL && p->send)
		p->flags |= IPC_CHALLENGES_TABLE;
	while (s != NULL && (got = sql_fetch(s, e)) == 1) {
		struct ipc_challenge_row row = {
		    token_of(s->cells[0].text), s->cells[1].text};

		if (row.token.len > 0 &&
		    row.text.len <= IPC_CHALLENGE_TEXT_MAX &&
		    parts_put(p, &row, e) != 0)
			return -1;
	}
	return got != 0 ? -1 : parts_end(p, e);
}

static int
replicate_challenges(struct forwarder *f, bool *table, struct err *e)
{
	struct certificates *c = &f->certificates;
	bool asked = f->feed.challenges_due;
	struct parts look, send;
	uint64_t hash;

	f->feed.challenges_due = false;
	look =
	    parts_of(f, IPC_KNOWN_CHALLENGES, &ipc_challenge_row_record, false);
	if (put_challenges(&look, table, e) != 0)
		return -1;
	/* Forbidden for a while: what was read before still holds. */
	if (!*table && f->main->sql.failure == SQL_DENIED)
		return 0;
	hash = look.hash * 2 + *table;
	if (hash == c->challenges_sent && !asked)
		return 0;
	send =
	    parts_of(f, IPC_KNOWN_CHALLENGES, &ipc_challenge_row_record, true);
	if (put_challenges(&send, table, e) != 0)
		return -1;
	c->challenges_sent = send.hash * 2 + *table;
	return 0;
}

/* --- which certificates ------------------------------------------------ */

/* Those that Postal's own server took for active. */
static const char rows_text[] =
    "SELECT id, domain, " ROW_MARK " FROM track_certificates"
    " WHERE certificate <> '' AND expires_at > UTC_TIMESTAMP()"
    " ORDER BY id";

/* Letters, digits, - and _, with a dot between them: what the monitor takes. */
static bool
take_name(struct certificate_row *row, struct span name)
{
	if (name.len > sizeof(row->name))
		return false;
	row->len = (uint8_t)name.len;
	for (size_t i = 0; i < name.len; i++)
		row->name[i] = ascii_lower(name.p[i]);
	return span_is_domain((struct span){row->name, row->len});
}

static void
take_row(struct certificates *c, const struct sql_cell *cells)
{
	struct certificate_row *row = &c->list[c->n];
	struct span mark = cells[2].text;

	if (sql_cell_int64(&cells[0], &row->id) != 0 || cells[1].null ||
	    cells[2].null || mark.len != sizeof(row->mark) ||
	    !take_name(row, cells[1].text))
		return;
	memcpy(row->mark, mark.p, mark.len);
	c->hash = c->hash * UINT64_C(0x9e3779b97f4a7c15) +
		  hash_bytes(&change_key, (struct span){row->name, row->len}) +
		  hash_bytes(&change_key, mark);
	c->n++;
}

static void
say_too_many(struct certificates *c)
{
	uint64_t held_back;

	if (log_limit_pass(&c->log_too_many, clock_mono_ms(), &held_back))
		log_warn("track_certificates has more than %d certificates: "
			 "the others are not served",
		    IPC_ROWS_MAX);
}

static int
read_rows(struct forwarder *f, struct err *e)
{
	struct certificates *c = &f->certificates;
	struct sql_statement *s;
	int got = 0;

	if (c->list == NULL)
		c->list = calloc(IPC_ROWS_MAX, sizeof(c->list[0]));
	if (c->list == NULL)
		return err_errno(e, "no memory for certificates");
	s = host_execute(f->main, span_of(rows_text), NULL, 0, e);
	if (s == NULL && f->main->sql.failure != SQL_GONE)
		return -1;
	c->n = c->next = 0;
	c->hash = 1;
	while (s != NULL && (got = sql_fetch(s, e)) == 1) {
		if (c->n == IPC_ROWS_MAX) {
			say_too_many(c);
			sql_reset(s);
			break;
		}
		take_row(c, s->cells);
	}
	return got < 0 ? -1 : 0;
}

/* --- to the monitor ---------------------------------------------------- */

static int
give_row(struct forwarder *f, struct row_reader *reader,
    const struct certificate_row *row, struct err *e)
{
	struct certificates *c = &f->certificates;
	struct span name = {row->name, row->len};
	struct row_content content;
	bool later = false;
	int got = row_read(
	    reader, &f->library, &f->targets.main, row->id, &content, e);

	if (got < 0)
		return err_prefix(e, "a row of track_certificates");
	/* It went away meanwhile. */
	if (got == 0)
		c->postponed = true;
	else if (row_sender_give(&c->sender, name, &content, &later, e) != 0)
		return -1;
	c->postponed = c->postponed || later;
	return 0;
}

static int
give_rows(struct forwarder *f, const struct certificate_row *rows,
    const uint16_t *places, size_t n, struct err *e)
{
	struct row_reader reader = {.open = false};
	int failed = 0;

	for (size_t i = 0; i < n && failed == 0; i++)
		failed = give_row(f, &reader, &rows[places[i]], e);
	row_reader_close(&reader);
	return failed;
}

/* Names some rows and gives what is wanted of them. The last message has no
 * rows: until it comes, the monitor knows that more follows. */
static int
take_step(struct forwarder *f, struct err *e)
{
	struct certificates *c = &f->certificates;
	const struct certificate_row *rows = &c->list[c->next];
	struct writer w = writer_of(f->rows, IPC_RECORD_MAX - 16);
	struct ipc_certificate_rows part = {
	    .flags = c->next == 0 ? IPC_PART_FIRST : 0};
	uint16_t places[ROWS_A_TURN];
	struct ipc_wanted_row place;
	struct ipc_list wanted;
	struct cursor in;
	size_t n = 0;

	while (part.rows.count < ROWS_A_TURN && c->next < c->n) {
		const struct certificate_row *from = &c->list[c->next++];
		struct ipc_certificate_row row = {
		    .name = {from->name, from->len}};

		memcpy(row.mark, from->mark, sizeof(row.mark));
		(void)ipc_put(&w, &ipc_certificate_row_record, &row);
		part.rows.count++;
	}
	part.rows.records = writer_span(&w);
	if (part.rows.count == 0) {
		part.flags |= IPC_PART_LAST;
		c->running = false;
	}
	if (row_sender_name(&c->sender, &part, &wanted, e) != 0)
		return -1;
	in = cursor_of(wanted.records);
	for (size_t i = 0; i < wanted.count; i++) {
		ipc_next(&in, &ipc_wanted_row_record, &place);
		if (place.place < part.rows.count && n < ROWS_A_TURN)
			places[n++] = place.place;
	}
	return give_rows(f, rows, places, n, e);
}

static int
go_on(struct forwarder *f, struct err *e)
{
	struct certificates *c = &f->certificates;

	if (take_step(f, e) != 0) {
		c->running = false;
		return -1;
	}
	if (!c->running)
		c->told = c->postponed ? 0 : c->hash;
	return 0;
}

/* --- turns ------------------------------------------------------------- */

/* Reads the table, and begins to tell the monitor when that is needed. */
static int
begin(struct forwarder *f, bool table, struct err *e)
{
	struct certificates *c = &f->certificates;
	bool again;

	/* Not to be read for a while: what is served stays. */
	if (!table && f->main->sql.failure == SQL_DENIED)
		return 0;
	if (row_sender_is_up(&c->sender, f->config->spool.socket, &again, e) !=
		0 ||
	    read_rows(f, e) != 0)
		return -1;
	if (again)
		c->told = 0;
	c->running = c->hash != c->told;
	c->postponed = false;
	return 0;
}

static int
replicate(struct forwarder *f, struct err *e)
{
	struct certificates *c = &f->certificates;
	uint64_t now = clock_mono_ms();
	bool due = now >= c->at_ms, table;

	if (due || f->feed.challenges_due) {
		if (replicate_challenges(f, &table, e) != 0)
			return -1;
		if (due)
			c->at_ms = now + (table ? EVERY_MS : NO_TABLE_EVERY_MS);
		if (due && !c->running && begin(f, table, e) != 0)
			return -1;
	}
	return c->running ? go_on(f, e) : 0;
}

enum turn
forward_replicate_certificates(struct forwarder *f)
{
	struct certificates *c = &f->certificates;
	struct err e;

	if (!sql_is_open(&f->main->sql))
		return TURN_IDLE;
	if (replicate(f, &e) == 0)
		return c->running ? TURN_MORE : TURN_IDLE;
	forward_note_error(f, &c->log_failed, &e);
	c->at_ms = clock_mono_ms() + EVERY_MS;
	c->told = 0;
	return TURN_FAILED;
}
