/*
 * cli_certificates_test.c - the pairs that a store names, also one that was
 * taken over
 */
#include "tests/unit/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/certificates.h"

static uint8_t buffer[IPC_RECORD_MAX], scratch[IPC_RECORD_MAX];

#define REFUSES 0xfffffffe
#define SLOW 0xfffffffd

/* Answers so many pages of ten rows, then empty ones; or refuses. */
static void
serve(int fd, unsigned int pages)
{
	const struct ipc_channel c = {fd, IPC_STORE, IPC_TOOL};
	const struct ipc_refusal refusal = {
	    span_of("no: \x1b[2J\xc2\x9b \xc3\xa9\n")};
	struct ipc_received in;

	if (pages == REFUSES && ipc_receive(&c, buffer, &in) == IPC_OK) {
		(void)ipc_send(&c, scratch, IPC_REFUSAL, &refusal, -1);
		_exit(0);
	}
	for (unsigned int page = 0; ipc_receive(&c, buffer, &in) == IPC_OK;
	     page++) {
		uint8_t bytes[1024];
		struct writer w = writer_of(bytes, sizeof(bytes));
		struct ipc_certificates body = {.rows = {0, {NULL, 0}}};

		for (unsigned int i = 0; page < pages && i < 10; i++) {
			char name[16];
			struct ipc_pair_state_row row = {
			    .state = IPC_CERTIFICATE_SERVED};

			(void)snprintf(
			    name, sizeof(name), "%09u", page * 10 + i);
			row.name = span_of(name);
			(void)ipc_put(&w, &ipc_pair_state_row_record, &row);
			body.rows.count++;
		}
		body.rows.records = writer_span(&w);
		if (pages == SLOW)
			(void)usleep(20000);
		if (ipc_send(&c, scratch, IPC_CERTIFICATES, &body, -1) !=
		    IPC_OK)
			break;
	}
	_exit(0);
}

/* waited_ms: for answers before these. */
static int
read_after(uint64_t waited_ms, unsigned int pages, size_t *n, struct err *e)
{
	struct certificate_states all;
	struct ask a = {.waited_ms = waited_ms,
	    .buffer = malloc(IPC_RECORD_MAX),
	    .scratch = malloc(IPC_RECORD_MAX)};
	int ends[2], result;
	pid_t child;

	assert_non_null(a.buffer);
	assert_non_null(a.scratch);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)close(ends[0]);
		serve(ends[1], pages);
	}
	(void)close(ends[1]);
	a.channel = (struct ipc_channel){ends[0], IPC_TOOL, IPC_STORE};
	result = certificate_states_read(&a, &all, e);
	*n = all.n;
	certificate_states_clear(&all);
	(void)close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	free(a.buffer);
	free(a.scratch);
	return result;
}

static int
read_from(unsigned int pages, size_t *n, struct err *e)
{
	return read_after(0, pages, n, e);
}

static void
test_pages(void **state)
{
	struct err e = {0};
	size_t n;

	(void)state;
	assert_int_equal(read_from(0, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(read_from(3, &n, &e), 0);
	assert_int_equal(n, 30);
}

static void
test_pages_without_end(void **state)
{
	struct err e = {0};
	size_t n;

	(void)state;
	/* Instead of all memory of the machine. */
	(void)alarm(60);
	assert_int_equal(read_from(UINT32_MAX, &n, &e), -1);
	(void)alarm(0);
	assert_string_equal(
	    e.text, "the store names more certificates than there can be");
}

/* Each page in good time, and all of them too long. */
static void
test_pages_that_take_long(void **state)
{
	struct err e = {0};
	size_t n;

	(void)state;
	(void)alarm(60);
	assert_int_equal(read_after(ASK_WITHIN_MS - 300, SLOW, &n, &e), -1);
	assert_string_equal(e.text,
	    "the store takes too long; all its answers together had 60 s, see "
	    "its log");
	/* Fewer on a busy machine. */
	assert_true(n <= 150);
	/* Not even one that is there already. */
	assert_int_equal(read_after(ASK_WITHIN_MS, 3, &n, &e), -1);
	assert_int_equal(n, 0);
	(void)alarm(0);
}

static void
test_time_that_is_given_back(void **state)
{
	uint64_t waited = 500;

	(void)state;
	ask_give_back(&waited, 200);
	assert_int_equal(waited, 300);
	ask_give_back(&waited, 301);
	assert_int_equal(waited, 0);
}

static void
test_words_of_a_store(void **state)
{
	struct err e = {0};
	size_t n;

	(void)state;
	assert_int_equal(read_from(REFUSES, &n, &e), -1);
	assert_string_equal(e.text, "no: ?[2J? \xc3\xa9?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pages),
	    cmocka_unit_test(test_pages_without_end),
	    cmocka_unit_test(test_pages_that_take_long),
	    cmocka_unit_test(test_time_that_is_given_back),
	    cmocka_unit_test(test_words_of_a_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
