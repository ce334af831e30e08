/*
 * base_test.c - spans, cursors, UTF-8, JSON, hash, errors, log, descriptors
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/span.h"
#include "base/utf8.h"

/* --- span.h ------------------------------------------------------------ */

static void
test_cursor_stops_at_the_end(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct cursor c = cursor_of((struct span){bytes, sizeof(bytes)});

	(void)state;
	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_u16(&c), 0x0302);
	assert_int_equal(cursor_u32(&c), 0x07060504);
	assert_int_equal(cursor_end(&c), -1);
	/* Two are left: what does not fit gives zero and stays wrong. */
	assert_int_equal(cursor_u64(&c), 0);
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_bytes(&c, SIZE_MAX).len, 0);
	assert_int_equal(cursor_end(&c), -1);
	c = cursor_of((struct span){bytes, 8});
	assert_true(cursor_u64(&c) == UINT64_C(0x0807060504030201));
	assert_int_equal(cursor_end(&c), 0);
	c = cursor_of((struct span){NULL, 0});
	assert_int_equal(cursor_bytes(&c, 0).len, 0);
	assert_int_equal(cursor_end(&c), 0);
}

static void
test_writer_refuses_what_does_not_fit(void **state)
{
	uint8_t bytes[16];
	struct writer w = writer_of(bytes, 15);

	(void)state;
	writer_u8(&w, 1);
	writer_u16(&w, 0x0302);
	writer_u32(&w, 0x07060504);
	writer_u64(&w, UINT64_C(0x0f0e0d0c0b0a0908));
	assert_false(w.full);
	assert_int_equal(writer_span(&w).len, 15);
	for (uint8_t i = 0; i < 15; i++)
		assert_int_equal(bytes[i], i + 1);
	writer_u8(&w, 1);
	assert_true(w.full);
	assert_int_equal(w.len, 15);
	w = writer_of(bytes, 3);
	writer_u32(&w, 1);
	/* Nothing is written behind a gap. */
	writer_u8(&w, 1);
	assert_int_equal(w.len, 0);
}

static void
test_span_text(void **state)
{
	char text[4];

	(void)state;
	assert_true(span_equal_nocase(span_of("aZ-0"), span_of("Az-0")));
	/* Only letters have a case: @ and ` differ by the same bit. */
	assert_false(span_equal_nocase(span_of("@"), span_of("`")));
	assert_false(span_equal(span_of("ab"), span_of("abc")));
	assert_true(span_starts(span_of("abc"), span_of("ab")));
	assert_false(span_starts(span_of("a"), span_of("ab")));
	assert_true(
	    span_equal(span_trim(span_of(" \t a b\t ")), span_of("a b")));
	assert_int_equal(span_trim(span_of(" \t ")).len, 0);
	assert_int_equal(span_to_text(span_of("abc"), text, sizeof(text)), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(span_to_text(span_of("abcd"), text, sizeof(text)), -1);
	assert_int_equal(span_to_text((struct span){(const uint8_t *)"a\0b", 3},
			     text, sizeof(text)),
	    -1);
}

/* --- utf8.h ------------------------------------------------------------ */

#define R "\xef\xbf\xbd"

static const struct {
	const char *in, *out;
} repairs[] = {
    {"", ""},
    {"plain", "plain"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac"
					     "\xf0\x9f\x98\x80"},
    {"a\xff"
     "b",
	"a" R "b"},
    /* Overlong forms, surrogates, above U+10FFFF: each byte its own. */
    {"\xc0\xaf", R R},
    {"\xe0\x80\xaf", R R R},
    {"\xed\xa0\x80", R R R},
    {"\xf4\x90\x80\x80", R R R R},
    {"\xf5", R},
    /* A beginning that is cut off is one. */
    {"\xe2\x82", R},
    {"\xf0\x9f\x98"
     "x",
	R "x"},
    {"\xe2\x82\xe2\x82\xac", R "\xe2\x82\xac"},
};

static void
test_span_words(void **state)
{
	static const char *const domains[] = {
	    "a.b", "click.example.org", "x-1_.example"};
	static const char *const others[] = {"", "localhost", ".a.b", "a.b.",
	    "a..b", ".", "A.b", "*.example.org", "a b.c", "a/b.c",
	    "\xc3\xa9.b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(domains); i++)
		assert_true(span_is_domain(span_of(domains[i])));
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		assert_false(span_is_domain(span_of(others[i])));
	assert_true(span_is_base64url(span_of("aZ09-_")));
	assert_true(span_is_base64url(span_of("")));
	assert_false(span_is_base64url(span_of("a.b")));
	assert_false(span_is_base64url(span_of("../a")));
	assert_false(span_is_base64url((struct span){(const uint8_t *)"a", 2}));
}

static void
test_json_escape(void **state)
{
	static const struct {
		const char *in, *out;
		size_t taken;
	} cases[] = {
	    {"a", "a", 1},
	    {"\"x", "\\\"", 1},
	    {"\\", "\\\\", 1},
	    {"\n", "\\u000A", 1},
	    {"\x7f", "\\u007F", 1},
	    /* A control of C1, and the first that is none. */
	    {"\xc2\x9b", "\\u009B", 2},
	    {"\xc2\xa0", "\xc2\xa0", 2},
	    {"\xe2\x82\xac!", "\xe2\x82\xac", 3},
	    {"\xff!", "\xef\xbf\xbd", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint8_t out[JSON_ESCAPED_MAX];
		size_t len;

		assert_int_equal(json_escape(span_of(cases[i].in), out, &len),
		    cases[i].taken);
		assert_true(
		    span_equal((struct span){out, len}, span_of(cases[i].out)));
	}
}

static void
test_utf8_repair(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(repairs); i++) {
		uint8_t out[64];
		size_t n = utf8_repair(
		    span_of(repairs[i].in), 255, out, sizeof(out) - 1);

		out[n] = '\0';
		assert_string_equal((char *)out, repairs[i].out);
	}
}

static void
test_utf8_cut(void **state)
{
	uint8_t out[8];

	(void)state;
	assert_int_equal(utf8_repair(span_of("abcdef"), 3, out, 8), 3);
	/* Characters are counted, not bytes, and never cut in two. */
	assert_int_equal(
	    utf8_repair(span_of("\xc3\xa9\xc3\xa9x"), 2, out, 8), 4);
	assert_int_equal(
	    utf8_repair(span_of("\xc3\xa9\xc3\xa9"), 9, out, 3), 2);
	assert_int_equal(utf8_repair(span_of("\xff"), 9, out, 2), 0);
}

/* --- hash.h ------------------------------------------------------------ */

static void
test_hash(void **state)
{
	/* The worked example in appendix A of the paper. */
	struct hash_key key = {
	    UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	uint8_t bytes[15];

	(void)state;
	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	assert_true(hash_bytes(&key, (struct span){bytes, sizeof(bytes)}) ==
		    UINT64_C(0xa129ca6149be45e5));
	key.k1++;
	assert_false(hash_bytes(&key, (struct span){bytes, sizeof(bytes)}) ==
		     UINT64_C(0xa129ca6149be45e5));
}

/* --- err.h, log.h ------------------------------------------------------ */

static void
test_err(void **state)
{
	char name[ERR_TEXT_SIZE];
	struct err e;

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_errno(&e, "cannot open %s", "x"), -1);
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(e.text, "cannot open x: No such file or directory");
	assert_int_equal(err_prefix(&e, "line %d", 3), -1);
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(
	    e.text, "line 3: cannot open x: No such file or directory");
	assert_int_equal(err_set(&e, "other"), -1);
	assert_int_equal(e.code, 0);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)err_set(&e, "%s%s", name, name);
	assert_int_equal(strlen(e.text), ERR_TEXT_SIZE - 1);
	/* Both cut: still a text, and it begins with the prefix. */
	(void)err_prefix(&e, "y%s", name);
	assert_true(strnlen(e.text, ERR_TEXT_SIZE) < ERR_TEXT_SIZE);
	assert_memory_equal(e.text, "yxx", 3);
}

static void
test_log_escape(void **state)
{
	char text[64], small[24];
	struct span bytes = {(const uint8_t *)"a\"\\\n\x1b\0\xff ~", 9};

	(void)state;
	assert_string_equal(log_escape(bytes, text, sizeof(text)),
	    "\"a\\x22\\x5c\\x0a\\x1b\\x00\\xff ~\"");
	assert_string_equal(log_escape(span_of("abcdefghijklmnopqrstuvwxyz"),
				small, sizeof(small)),
	    "\"abcdefghijklmno...\"");
	assert_string_equal(log_escape(bytes, small, 8), "");
}

static void
test_log_limit(void **state)
{
	struct log_limit limit = {0, 0};
	uint64_t held_back = 7;

	(void)state;
	assert_true(log_limit_pass(&limit, 1000, &held_back));
	assert_int_equal(held_back, 0);
	for (int i = 0; i < 5; i++)
		assert_false(log_limit_pass(
		    &limit, 999 + LOG_LIMIT_INTERVAL_MS, &held_back));
	assert_true(
	    log_limit_pass(&limit, 1000 + LOG_LIMIT_INTERVAL_MS, &held_back));
	assert_int_equal(held_back, 5);
}

/* Runs write_lines with stderr in a pipe; what it wrote is in text. */
static void
capture(void (*write_lines)(void), char *text, size_t size)
{
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
	write_lines();
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	(void)close(saved);
	(void)close(pipe_fds[1]);
	n = read(pipe_fds[0], text, size - 1);
	(void)close(pipe_fds[0]);
	text[n < 0 ? 0 : n] = '\0';
}

static void
write_three(void)
{
	char name[2048];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_open("web[2]", LOG_LEVEL_WARN);
	log_warn("verb key=%d", 1);
	log_info("not at this level");
	log_set_level(LOG_LEVEL_INFO);
	log_info("now");
	log_err("%s", name);
}

/* As the error of another program might be. */
static void
write_what_nobody_escaped(void)
{
	log_open("web[2]", LOG_LEVEL_WARN);
	log_warn("verb cause=\"a\n<3>web[2]: forged\x1b[2J\x7f\"");
}

static void
test_a_record_is_one_line(void **state)
{
	char text[4096];

	(void)state;
	capture(write_what_nobody_escaped, text, sizeof(text));
	assert_string_equal(
	    text, "<4>web[2]: verb cause=\"a?<3>web[2]: forged?[2J?\"\n");
}

static void
test_log_records(void **state)
{
	char text[4096];
	char *third;

	(void)state;
	capture(write_three, text, sizeof(text));
	assert_memory_equal(
	    text, "<4>web[2]: verb key=1\n<6>web[2]: now\n<3>web[2]: xxx", 50);
	/* Cut, and still one line. */
	third = strstr(text, "<3>");
	assert_non_null(third);
	assert_in_range(strlen(third), 1000, 1024);
	assert_ptr_equal(strchr(third, '\n'), third + strlen(third) - 1);
}

/* --- fd.h -------------------------------------------------------------- */

static void
test_fd(void **state)
{
	struct err e;
	int pair[2] = {-1, -1}, none = -1, high = -1;
	char byte = 'x';

	(void)state;
	fd_close(&none);
	assert_int_equal(none, -1);
	assert_int_equal(fd_seqpacket_pair(pair, &e), 0);
	assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(recv(pair[0], &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_set_cloexec(pair[0], 0), 0);
	assert_int_equal(fcntl(pair[0], F_GETFD), 0);
	high = fd_dup_above(pair[1], 100);
	assert_in_range(high, 100, 1000000);
	errno = EBUSY;
	fd_close(&pair[1]);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(pair[1], -1);
	assert_true(fd_wait(pair[0], POLLOUT, clock_mono_ms() + 1000));
	/* Nothing to read: it waits to the end, and not at all after it. */
	assert_false(fd_wait(pair[0], POLLIN, clock_mono_ms() + 1));
	assert_false(fd_wait(pair[0], POLLOUT, clock_mono_ms() - 1));
	fd_close(&high);
	assert_true(fd_wait(pair[0], POLLIN, clock_mono_ms() + 1000));
	assert_int_equal(recv(pair[0], &byte, 1, 0), 0);
	fd_close(&pair[0]);
	assert_in_range(fd_raise_limit(), 16, INT32_MAX);
}

static void
test_array(void **state)
{
	uint32_t *list = NULL, *grown;
	unsigned int moves = 0;

	(void)state;
	for (uint32_t n = 0; n < 10000; n++) {
		grown = array_with_room(list, n, sizeof(*list));
		assert_non_null(grown);
		/* Under sanitizers each byte behind the room is watched. */
		moves += grown != list;
		list = grown;
		list[n] = n;
	}
	for (uint32_t n = 0; n < 10000; n++)
		assert_int_equal(list[n], n);
	/* 64, 128, ... 16384; fewer where realloc stays in place. */
	assert_true(moves <= 9);
	free(list);
	assert_null(array_with_room(NULL, (size_t)1 << 61, 8));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cursor_stops_at_the_end),
	    cmocka_unit_test(test_writer_refuses_what_does_not_fit),
	    cmocka_unit_test(test_span_text),
	    cmocka_unit_test(test_span_words),
	    cmocka_unit_test(test_json_escape),
	    cmocka_unit_test(test_utf8_repair),
	    cmocka_unit_test(test_utf8_cut),
	    cmocka_unit_test(test_hash),
	    cmocka_unit_test(test_err),
	    cmocka_unit_test(test_log_escape),
	    cmocka_unit_test(test_log_limit),
	    cmocka_unit_test(test_log_records),
	    cmocka_unit_test(test_a_record_is_one_line),
	    cmocka_unit_test(test_fd),
	    cmocka_unit_test(test_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
