/*
 * ipc_channel_test.c - records and descriptors over real socket pairs
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "ipc/channel.h"

static uint8_t buffer[IPC_RECORD_MAX], scratch[IPC_RECORD_MAX];
static struct ipc_channel monitor, store;

static int
set_up(void **state)
{
	struct err e;
	int pair[2];

	(void)state;
	assert_int_equal(fd_seqpacket_pair(pair, &e), 0);
	monitor = (struct ipc_channel){pair[0], IPC_MONITOR, IPC_STORE};
	store = (struct ipc_channel){pair[1], IPC_STORE, IPC_MONITOR};
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fd_close(&monitor.fd);
	fd_close(&store.fd);
	return 0;
}

static int
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

/* A record with any number of descriptors, as only a hijacked peer sends. */
static void
send_raw(int fd, const void *bytes, size_t len, size_t n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control;
	char copy[64] = {0};
	struct iovec part = {copy, len};
	struct msghdr mh = {.msg_iov = &part, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	memcpy(copy, bytes, len);
	if (n_fds > 0) {
		struct cmsghdr *cm = &control.align;

		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (size_t i = 0; i < n_fds; i++) {
			int out = STDOUT_FILENO;

			memcpy(
			    CMSG_DATA(cm) + i * sizeof(int), &out, sizeof(out));
		}
	}
	assert_int_equal(sendmsg(fd, &mh, 0), (ssize_t)len);
}

static const struct ipc_channel_offer offer = {IPC_WEB, 3, 77};
static const uint8_t stop_bytes[] = {
    IPC_STOP, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

static void
test_message_and_descriptor(void **state)
{
	struct ipc_received in;

	(void)state;
	assert_int_equal(ipc_receive(&store, buffer, &in), IPC_AGAIN);
	assert_int_equal(
	    ipc_send(&monitor, scratch, IPC_CHANNEL, &offer, STDOUT_FILENO),
	    IPC_OK);
	assert_int_equal(ipc_receive(&store, buffer, &in), IPC_OK);
	assert_int_equal(in.message->type, IPC_CHANNEL);
	assert_int_equal(in.body.channel.instance, 77);
	assert_true(in.fd >= 0);
	assert_int_equal(fcntl(in.fd, F_GETFD), FD_CLOEXEC);
	fd_close(&in.fd);
}

static void
expect_breach(unsigned int why)
{
	struct ipc_received in;

	assert_int_equal(ipc_receive(&store, buffer, &in), IPC_BREACH);
	assert_int_equal(in.breach, why);
	assert_int_equal(in.fd, -1);
}

static void
test_descriptors_that_do_not_belong(void **state)
{
	int before = open_descriptors();
	struct writer w = writer_of(scratch, sizeof(scratch));

	(void)state;
	assert_int_equal(ipc_encode(&w, IPC_CHANNEL, &offer), 0);
	send_raw(monitor.fd, stop_bytes, sizeof(stop_bytes), 1);
	expect_breach(IPC_BREACH_DESCRIPTORS);
	send_raw(monitor.fd, scratch, w.len, 0);
	expect_breach(IPC_BREACH_DESCRIPTORS);
	send_raw(monitor.fd, scratch, w.len, 2);
	expect_breach(IPC_BREACH_DESCRIPTORS);
	send_raw(monitor.fd, scratch, w.len, 16);
	expect_breach(IPC_BREACH_DESCRIPTORS);
	send_raw(monitor.fd, "\xff\xff", 2, 3);
	expect_breach(IPC_BREACH_TYPE);
	assert_int_equal(open_descriptors(), before);
}

static void
test_sizes(void **state)
{
	static uint8_t big[IPC_RECORD_MAX + 1];
	int space = 1 << 20;

	(void)state;
	send_raw(monitor.fd, "\x05", 1, 0);
	expect_breach(IPC_BREACH_TYPE);
	send_raw(monitor.fd, "\x05\0x", 3, 0);
	expect_breach(IPC_BREACH_SIZE);
	assert_int_equal(setsockopt(monitor.fd, SOL_SOCKET, SO_SNDBUF, &space,
			     sizeof(space)),
	    0);
	assert_int_equal(
	    send(monitor.fd, big, sizeof(big), 0), (ssize_t)sizeof(big));
	expect_breach(IPC_BREACH_SIZE);
}

static void
test_closed_and_full(void **state)
{
	static uint8_t record[65536] = {IPC_EVENTS, 0};
	enum ipc_result sent = IPC_OK;
	struct ipc_received in;

	(void)state;
	for (int i = 0; i < 1000 && sent == IPC_OK; i++)
		sent = ipc_send_record(
		    &monitor, (struct span){record, sizeof(record)}, -1);
	assert_int_equal(sent, IPC_AGAIN);
	fd_close(&store.fd);
	assert_int_equal(ipc_receive(&monitor, buffer, &in), IPC_CLOSED);
	assert_int_equal(ipc_send_record(&monitor,
			     (struct span){stop_bytes, sizeof(stop_bytes)}, -1),
	    IPC_CLOSED);
}

/* What a peer said before it closed is read, even when it closed without
 * reading what we had sent (the kernel then reports a reset first). */
static void
test_last_words(void **state)
{
	static const struct ipc_stop stop = {0};
	struct ipc_received in;

	(void)state;
	assert_int_equal(send(store.fd, "never read", 10, MSG_NOSIGNAL), 10);
	assert_int_equal(
	    ipc_send(&monitor, scratch, IPC_STOP, &stop, -1), IPC_OK);
	fd_close(&monitor.fd);
	assert_int_equal(ipc_receive(&store, buffer, &in), IPC_OK);
	assert_int_equal(in.message->type, IPC_STOP);
	assert_int_equal(ipc_receive(&store, buffer, &in), IPC_CLOSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_message_and_descriptor, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_descriptors_that_do_not_belong, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		test_closed_and_full, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_last_words, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
