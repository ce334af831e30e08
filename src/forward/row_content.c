/*
 * row_content.c - chain and key of rows of track_certificates
 *
 * Runs in the forwarder. A key is here from the answer of the database until
 * it is written to its memory file.
 */
#include "forward/row_content.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

/* What freed memory is overwritten with; any byte but 0, which means not to. */
#define PERTURB 0x5a
/* Several times what the libraries use of it. */
#define STACK_WIPED 65536

static const char row_text[] =
    "SELECT " ROW_MARK ", LEFT(IFNULL(certificate, ''), 131073),"
    " LEFT(IFNULL(intermediaries, ''), 131073),"
    " LEFT(IFNULL(`key`, ''), 131073)"
    " FROM track_certificates WHERE id = ?";

/* --- memory files ------------------------------------------------------ */

/* One byte more than may be is enough to be refused for its size, and no more
 * is needed. */
static int
write_all(int fd, struct span s, size_t *room)
{
	if (s.len > *room)
		s.len = *room;
	*room -= s.len;
	while (s.len > 0) {
		ssize_t n = write(fd, s.p, s.len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			s.p += n;
			s.len -= (size_t)n;
		}
	}
	return 0;
}

int
row_memory_file(struct span a, struct span b, struct err *e)
{
	size_t room = ROW_FILE_MAX;
	int fd =
	    memfd_create("postal-tracker-row", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && write_all(fd, a, &room) == 0 &&
	    (b.len == 0 || (write_all(fd, span_of("\n"), &room) == 0 &&
			       write_all(fd, b, &room) == 0)) &&
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return fd;
	(void)err_errno(e, "no memory file for a certificate");
	fd_close(&fd);
	return -1;
}

/* --- reading ----------------------------------------------------------- */

static int
open_reader(struct row_reader *r, const struct sql_library *library,
    const struct sql_target *t, struct err *e)
{
	if (r->open)
		return 0;
	/* Of the C library: each free overwrites. */
	(void)mallopt(M_PERTURB, PERTURB);
	r->open = true;
	sql_init(&r->sql, library);
	if (sql_connect(&r->sql, t, e) != 0 ||
	    sql_prepare(&r->sql, span_of(row_text), &r->statement, e) != 0)
		return -1;
	sql_keep_secret(&r->statement);
	return 0;
}

static int
take(const struct sql_cell *cells, struct row_content *content, struct err *e)
{
	if (cells[0].null || cells[0].text.len != sizeof(content->mark))
		return err_set(e, "a row of track_certificates has no mark");
	memcpy(content->mark, cells[0].text.p, sizeof(content->mark));
	content->key_fd =
	    row_memory_file(cells[3].text, (struct span){NULL, 0}, e);
	if (content->key_fd < 0)
		return -1;
	content->chain_fd = row_memory_file(cells[1].text, cells[2].text, e);
	if (content->chain_fd < 0) {
		fd_close(&content->key_fd);
		return -1;
	}
	return 1;
}

int
row_read(struct row_reader *r, const struct sql_library *library,
    const struct sql_target *t, int64_t id, struct row_content *content,
    struct err *e)
{
	struct sql_value value = sql_int64(id);
	int got;

	*content = (struct row_content){.chain_fd = -1, .key_fd = -1};
	if (open_reader(r, library, t, e) != 0 ||
	    sql_execute(&r->statement, &value, 1, e) != 0)
		return -1;
	got = sql_fetch(&r->statement, e);
	return got == 1 ? take(r->statement.cells, content, e) : got;
}

/* What the functions that were called left there. */
static void __attribute__((noinline)) wipe_stack(void)
{
	uint8_t below[STACK_WIPED];

	explicit_bzero(below, sizeof(below));
}

void
row_reader_close(struct row_reader *r)
{
	if (!r->open)
		return;
	sql_statement_clear(&r->statement);
	sql_close(&r->sql);
	(void)mallopt(M_PERTURB, 0);
	wipe_stack();
	r->open = false;
}
