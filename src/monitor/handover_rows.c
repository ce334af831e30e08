/*
 * handover_rows.c - the rows of track_certificates that the forwarder names,
 * and their content
 *
 * Runs in the monitor. No byte of a memory file is read here, and none is
 * mapped.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "monitor/internal.h"
#include "monitor/names.h"

#define PLACES ((size_t)IPC_ROWS_MAX * 2)
/* All rows at once, as after a start; then a renewal a second. Each change
 * costs the keepers a signature and the workers a new set. */
#define CHANGES_AT_ONCE IPC_ROWS_MAX
#define CHANGE_EVERY_MS 1000
/* Of all pairs that live at a time, and of our descriptors, of which each has
 * two: the rest is for the directory. */
#define PAIRS_MOST ((size_t)IPC_PAIRS_MAX / 2)
#define DESCRIPTORS_SHARE 8
/* After a run that changed something. */
#define QUIET_MS 500

static const int all_seals =
    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

/* --- rows -------------------------------------------------------------- */

/* The place of a row, or where it would be. */
static size_t
find_row(const struct handover *h, struct span name, bool *there)
{
	char text[sizeof(PAIRS_OF_ROWS) + IPC_ROW_NAME_MAX];

	(void)snprintf(text, sizeof(text), PAIRS_OF_ROWS "%.*s", (int)name.len,
	    (const char *)name.p);
	return names_place(h->rows, h->n_rows, sizeof(h->rows[0]), text, there);
}

/* NULL: no memory, or too many. */
static struct handover_row *
row_of(struct handover *h, struct span name)
{
	bool there;
	size_t i = find_row(h, name, &there);
	char *copy;

	if (there)
		return &h->rows[i];
	if (h->rows == NULL)
		h->rows = calloc(PLACES, sizeof(h->rows[0]));
	if (h->rows == NULL || h->n_rows == PLACES)
		return NULL;
	copy = malloc(sizeof(PAIRS_OF_ROWS) + name.len);
	if (copy == NULL)
		return NULL;
	(void)snprintf(copy, sizeof(PAIRS_OF_ROWS) + name.len,
	    PAIRS_OF_ROWS "%.*s", (int)name.len, (const char *)name.p);
	memmove(
	    &h->rows[i + 1], &h->rows[i], (h->n_rows - i) * sizeof(h->rows[0]));
	h->rows[i] = (struct handover_row){.name = copy};
	h->n_rows++;
	return &h->rows[i];
}

void
handover_forget_rows(struct handover *h)
{
	for (size_t i = 0; i < h->n_rows; i++)
		free(h->rows[i].name);
	free(h->rows);
	h->rows = NULL;
	h->n_rows = 0;
}

/* Takes note of a part; the wanted ones are written to w. */
static unsigned int
take_part(struct handover *h, const struct ipc_list *rows, struct writer *w,
    uint16_t *wanted)
{
	struct cursor c = cursor_of(rows->records);
	struct ipc_certificate_row each;

	for (uint16_t i = 0; i < rows->count; i++) {
		struct ipc_wanted_row place = {i};
		struct handover_row *row;

		ipc_next(&c, &ipc_certificate_row_record, &each);
		/* Security: the name goes to the log, and to workers as one
		 * that is served. So neither "default" nor a wildcard. */
		if (!span_is_domain(each.name))
			return IPC_BREACH_FORM;
		row = row_of(h, each.name);
		if (row == NULL || h->n_named == IPC_ROWS_MAX)
			return IPC_BREACH_FLOOD;
		/* The first one counts. */
		if (row->named)
			continue;
		row->named = true;
		h->n_named++;
		if (row->known &&
		    memcmp(row->mark, each.mark, sizeof(row->mark)) == 0)
			continue;
		if (ipc_put(w, &ipc_wanted_row_record, &place) == 0)
			(*wanted)++;
	}
	return 0;
}

/* Those of an earlier run that never came to its end, and whose content never
 * came, take no place from others. */
static void
begin_naming(struct handover *h)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->n_rows; i++) {
		struct handover_row *row = &h->rows[i];

		row->named = false;
		if (row->known)
			h->rows[kept++] = *row;
		else
			free(row->name);
	}
	h->n_rows = kept;
	h->n_named = 0;
}

/* After the last part. */
static void
withdraw_others(struct monitor *m)
{
	struct handover *h = &m->handover;
	size_t kept = 0;

	for (size_t i = 0; i < h->n_rows; i++) {
		struct handover_row *row = &h->rows[i];

		if (row->named) {
			h->rows[kept++] = *row;
			continue;
		}
		if (row->known) {
			pairs_withdraw(m, row->name);
			h->changed = true;
		}
		free(row->name);
	}
	h->n_rows = kept;
}

unsigned int
handover_on_rows(struct monitor *m, const union ipc_body *body, int fd)
{
	const struct ipc_certificate_rows *part = &body->certificate_rows;
	struct handover *h = &m->handover;
	uint8_t places[IPC_ROWS_MAX * sizeof(uint16_t)];
	struct writer w = writer_of(places, sizeof(places));
	struct ipc_rows_wanted wanted = {.rows = {0, {NULL, 0}}};
	unsigned int breach = 0;

	(void)fd;
	/* A key is to come, and its row is known by its place. */
	if (h->half_fd >= 0)
		return IPC_BREACH_ORDER;
	if ((part->flags & IPC_PART_FIRST) != 0) {
		begin_naming(h);
		h->under_way = true;
		h->changed = false;
	}
	if (!h->under_way)
		return IPC_BREACH_ORDER;
	h->ignored = m->listeners.n_https == 0;
	if (!h->ignored)
		breach = take_part(h, &part->rows, &w, &wanted.rows.count);
	if (breach != 0)
		return breach;
	if ((part->flags & IPC_PART_LAST) != 0) {
		withdraw_others(m);
		h->under_way = false;
		if (h->changed) {
			h->quiet_until_ms = clock_mono_ms() + QUIET_MS;
			loop_wake_at(&m->loop, h->quiet_until_ms);
		}
	}
	wanted.rows.records = writer_span(&w);
	handover_answer(m, IPC_ROWS_WANTED, &wanted);
	return 0;
}

/* --- the content of a row ---------------------------------------------- */

/* How many bytes; -1: it is no memory file, or its bytes may change still. */
static off_t
size_of_sealed(int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & all_seals) != all_seals ||
	    fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return -1;
	return st.st_size;
}

unsigned int
handover_on_chain(struct monitor *m, const union ipc_body *body, int fd)
{
	const struct ipc_row_chain *chain = &body->row_chain;
	struct handover *h = &m->handover;
	bool there = false;

	if (size_of_sealed(fd) < 0) {
		fd_close(&fd);
		return IPC_BREACH_UNSEALED;
	}
	if (h->under_way && h->half_fd < 0)
		h->half_row = find_row(h, chain->name, &there);
	if (!there || !h->rows[h->half_row].named) {
		fd_close(&fd);
		return IPC_BREACH_ORDER;
	}
	h->half_fd = fd;
	memcpy(h->half_mark, chain->mark, sizeof(h->half_mark));
	return 0;
}

void
handover_allow(struct handover *h)
{
	h->allowed = CHANGES_AT_ONCE;
	h->allowed_at_ms = clock_mono_ms();
	h->pairs_most = (size_t)fd_raise_limit() / DESCRIPTORS_SHARE;
	if (h->pairs_most > PAIRS_MOST)
		h->pairs_most = PAIRS_MOST;
}

/* Why nothing may change now; NULL: it may. */
static const char *
reason_to_wait(struct monitor *m)
{
	struct handover *h = &m->handover;
	uint64_t more = (m->loop.now_ms - h->allowed_at_ms) / CHANGE_EVERY_MS;

	if (more > 0) {
		h->allowed = h->allowed + more > CHANGES_AT_ONCE
				 ? CHANGES_AT_ONCE
				 : h->allowed + (uint32_t)more;
		h->allowed_at_ms += more * CHANGE_EVERY_MS;
	}
	if (h->allowed == 0)
		return "too many changes at a time";
	if (pairs_count_of_rows(&m->pairs) >= h->pairs_most)
		return "too many pairs for the descriptors that this process "
		       "may open (LimitNOFILE=)";
	return NULL;
}

/* False: there is no room now. Takes both descriptors. */
static bool
offer(struct monitor *m, const char *name, int chain_fd, int key_fd)
{
	const char *why = NULL;

	if (size_of_sealed(chain_fd) > IPC_CHAIN_FILE_MAX)
		why = "certificate and intermediaries are longer than a chain "
		      "may be";
	else if (size_of_sealed(key_fd) > IPC_KEY_FILE_MAX)
		why = "the key is longer than a key may be";
	if (why != NULL) {
		pairs_say_refused(m, name, why, NULL);
		fd_close(&chain_fd);
		fd_close(&key_fd);
		return true;
	}
	if (!pairs_offer(m, name, chain_fd, key_fd))
		return false;
	pairs_feed(m);
	return true;
}

static void
say_later(struct monitor *m, const char *why)
{
	struct handover *h = &m->handover;
	char text[PAIRS_SHOWN];
	uint64_t held_back;

	if (log_limit_pass(&h->log_later, m->loop.now_ms, &held_back))
		log_warn("certificate name=%s is taken later: %s more=%" PRIu64,
		    pairs_shown(h->rows[h->half_row].name, text), why,
		    held_back);
}

/* The row whose chain and key are here. Takes both descriptors. NULL, or why
 * it is not taken now. */
static const char *
take_row(struct monitor *m, int chain_fd, int key_fd)
{
	struct handover *h = &m->handover;
	struct handover_row *row = &h->rows[h->half_row];
	const char *why = reason_to_wait(m);

	if (why != NULL) {
		fd_close(&chain_fd);
		fd_close(&key_fd);
		return why;
	}
	if (!offer(m, row->name, chain_fd, key_fd))
		return PAIRS_NO_ROOM;
	h->allowed--;
	h->changed = true;
	row->known = true;
	memcpy(row->mark, h->half_mark, sizeof(row->mark));
	return NULL;
}

unsigned int
handover_on_key(struct monitor *m, const union ipc_body *body, int fd)
{
	struct handover *h = &m->handover;
	struct ipc_row_taken taken = {IPC_ROW_OFFERED};
	unsigned int breach = 0;
	const char *why;

	(void)body;
	if (size_of_sealed(fd) < 0)
		breach = IPC_BREACH_UNSEALED;
	else if (h->half_fd < 0 || !h->under_way)
		breach = IPC_BREACH_ORDER;
	if (breach != 0) {
		fd_close(&fd);
		return breach;
	}
	why = take_row(m, h->half_fd, fd);
	h->half_fd = -1;
	if (why != NULL) {
		taken.status = IPC_ROW_LATER;
		say_later(m, why);
	}
	handover_answer(m, IPC_ROW_TAKEN, &taken);
	return 0;
}
