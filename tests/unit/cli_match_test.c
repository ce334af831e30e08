/*
 * cli_match_test.c - how long a keeper may take that `check` asks about pairs
 */
#include "tests/unit/test.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/match.h"

static uint8_t buffer[IPC_RECORD_MAX], scratch[IPC_RECORD_MAX];

/* A keeper that takes 10 ms for each pair; or hears it and says nothing. */
static void
serve(int fd, bool answers)
{
	const struct ipc_channel c = {fd, IPC_KEEPER, IPC_MONITOR};
	struct ipc_received in;

	while (ipc_receive(&c, buffer, &in) == IPC_OK) {
		const struct ipc_pair_result body = {
		    .pair = in.body.pair_key.pair, .ok = 1};

		fd_close(&in.fd);
		if (!answers || in.message->type != IPC_PAIR_KEY)
			continue;
		(void)usleep(10000);
		if (ipc_send(&c, scratch, IPC_PAIR_RESULT, &body, -1) != IPC_OK)
			break;
	}
	_exit(0);
}

/* Asks about so many pairs, after all that there is to wait but a second; how
 * many were answered. */
static int
ask_about(int pairs, bool answers, struct match *m)
{
	struct ipc_pair_result result;
	int ends[2], fd = memfd_create("pair", MFD_CLOEXEC), n = 0;
	struct err e;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_true(fd >= 0);
	*m = (struct match){.monitor = {ends[0], IPC_MONITOR, IPC_KEEPER},
	    .keeper = fork(),
	    .waited_ms = ASK_WITHIN_MS - 1000,
	    .buffer = malloc(IPC_RECORD_MAX),
	    .scratch = malloc(IPC_RECORD_MAX)};
	assert_true(m->keeper >= 0 && m->buffer != NULL && m->scratch != NULL);
	if (m->keeper == 0) {
		(void)close(ends[0]);
		serve(ends[1], answers);
	}
	(void)close(ends[1]);
	while (n < pairs && match_has_time(m) &&
	       match_pair(m, "a.example", fd, fd, &result, &e) == 0)
		n++;
	fd_close(&m->monitor.fd);
	if (m->keeper > 0)
		assert_int_equal(waitpid(m->keeper, NULL, 0), m->keeper);
	fd_close(&fd);
	free(m->buffer);
	free(m->scratch);
	return n;
}

/* There may be thousands. */
static void
test_many_pairs(void **state)
{
	struct match m;

	(void)state;
	assert_int_equal(ask_about(150, true, &m), 150);
	assert_true(match_has_time(&m));
}

static void
test_a_keeper_that_hangs(void **state)
{
	struct match m;

	(void)state;
	(void)alarm(60);
	assert_int_equal(ask_about(1, false, &m), 0);
	(void)alarm(0);
	assert_false(match_has_time(&m));
	assert_int_equal(m.keeper, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_many_pairs),
	    cmocka_unit_test(test_a_keeper_that_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
