/*
 * forward_row_content_test.c - memory files for certificates and keys
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "forward/row_content.h"

static uint8_t large[2 * ROW_FILE_MAX], back[2 * ROW_FILE_MAX];

/* How many bytes there are, read into back. */
static size_t
make_and_read(struct span a, struct span b)
{
	struct err e;
	int fd = row_memory_file(a, b, &e);
	ssize_t n;

	assert_true(fd >= 0);
	n = pread(fd, back, sizeof(back), 0);
	fd_close(&fd);
	assert_true(n >= 0);
	return (size_t)n;
}

static void
test_bytes(void **state)
{
	const struct span none = {NULL, 0};

	(void)state;
	assert_int_equal(make_and_read(none, none), 0);
	assert_int_equal(make_and_read(span_of("key"), none), 3);
	assert_memory_equal(back, "key", 3);
	assert_int_equal(make_and_read(span_of("leaf"), span_of("chain")), 10);
	assert_memory_equal(back, "leaf\nchain", 10);
	assert_int_equal(make_and_read(none, span_of("chain")), 6);
}

/* One byte too many arrives, so that it is refused; not more. */
static void
test_cut(void **state)
{
	const struct span text = {large, 65535}, all = {large, sizeof(large)};

	(void)state;
	memset(large, 'x', sizeof(large));
	/* What fits into the columns fits. */
	assert_int_equal(make_and_read(text, text), IPC_CHAIN_FILE_MAX - 1);
	assert_int_equal(make_and_read(all, text), ROW_FILE_MAX);
	assert_int_equal(make_and_read(text, all), ROW_FILE_MAX);
	assert_int_equal(ROW_FILE_MAX, IPC_CHAIN_FILE_MAX + 1);
}

static void
test_sealed(void **state)
{
	struct err e;
	int fd = row_memory_file(span_of("key"), (struct span){NULL, 0}, &e);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
	    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fd_close(&fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
