/*
 * cli_domains_test.c - when a certificate is due, what the ACME client noted,
 * and what is read of directories and stores without end
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "cli/domains.h"

#define DAY INT64_C(86400)

static void
test_due(void **state)
{
	/* A DNS name among the subject's alternative names. */
	static const uint8_t names[] = {
	    0x82, 9, 'a', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'};
	static const struct {
		int64_t life, left;
		bool due;
	} rows[] = {{90, 31, false}, {90, 30, false}, {90, 29, true},
	    {90, -1, true}, {6, 3, false}, {6, 2, false}, {6, 1, true},
	    {398, 40, false}, {398, 30, false}, {398, 29, true},
	    {45, 16, false}, {45, 14, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct tls_identity identity = {
		    .certificate = {.names = {names, sizeof(names)},
			.n_names = 1,
			.not_before = 1700000000,
			.not_after = 1700000000 + rows[i].life * DAY}};
		struct domains_certificate one = {.identity = &identity};
		int64_t now =
		    identity.certificate.not_after - rows[i].left * DAY;

		if (domains_lasts(&one, "a.example", now) == rows[i].due)
			fail_msg("row %zu", i);
		assert_false(domains_lasts(&one, "b.example", now));
	}
	assert_false(domains_lasts(NULL, "a.example", 1700000000));
}

/* Postal renews its own when 31 to 21 days are left. */
static void
test_rows(void **state)
{
	const int64_t now = 1700000000;
	struct certificate_state rows[] = {
	    {.name = "track_certificates/a.example",
		.state = IPC_CERTIFICATE_SERVED,
		.not_before = now - 70 * DAY,
		.not_after = now + 20 * DAY},
	    {.name = "b.example",
		.state = IPC_CERTIFICATE_SERVED,
		.not_after = now + DAY},
	    {.name = "track_certificates/c.example",
		.state = IPC_CERTIFICATE_REFUSED,
		.not_after = now + DAY},
	    {.name = "track_certificates/d.example",
		.state = IPC_CERTIFICATE_SERVED,
		.not_before = now + 1,
		.not_after = now + DAY},
	};
	const struct certificate_states all = {
	    .list = rows, .n = ARRAY_LENGTH(rows)};
	struct certificate_state *a = &rows[0];

	(void)state;
	assert_ptr_equal(domains_find_row(&all, "a.example", now), a);
	assert_null(domains_find_row(&all, "b.example", now));
	assert_null(domains_find_row(&all, "c.example", now));
	assert_null(domains_find_row(&all, "d.example", now));
	assert_false(domains_row_is_due(a, now));
	assert_false(domains_row_is_due(a, now + 6 * DAY));
	assert_true(domains_row_is_due(a, now + 7 * DAY));
	a->state = IPC_CERTIFICATE_KEPT;
	assert_ptr_equal(
	    domains_find_row(&all, "a.example", now + 20 * DAY - 1), a);
	assert_null(domains_find_row(&all, "a.example", now + 20 * DAY));
}

static void
write_state(const char *directory, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_authority(void **state)
{
	static const struct {
		const char *text, *authority;
	} rows[] = {{"", DOMAINS_AUTHORITY},
	    {"ACME_URL=https://a.example/dir\n", "https://a.example/dir"},
	    {" ACME_URL=\"https://a.example/dir\" \r\n",
		"https://a.example/dir"},
	    {"ACME_URL='https://a.example/dir'", "https://a.example/dir"},
	    {"ACME_URL=https://a.example/dir\nACME_URL=https://b.example\n",
		"https://b.example"},
	    {"ACME_URL=https://a.example/dir\nACME_URL=\n", DOMAINS_AUTHORITY},
	    {"#ACME_URL=https://a.example\nACME_URLS=x\nXACME_URL=y\n",
		DOMAINS_AUTHORITY}};
	char directory[] = "/tmp/domains-test.XXXXXX", path[64], command[64];
	char authority[DOMAINS_AUTHORITY_SIZE];

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/acme.conf", directory);
	assert_int_equal(unsetenv("ACME_URL"), 0);
	domains_read_authority(path, authority);
	assert_string_equal(authority, DOMAINS_AUTHORITY);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		write_state(directory, "acme.conf", rows[i].text);
		domains_read_authority(path, authority);
		assert_string_equal(authority, rows[i].authority);
	}
	write_state(directory, "acme.conf", "ACME_URL=https://a.example\n");
	assert_int_equal(setenv("ACME_URL", "https://c.example", 1), 0);
	domains_read_authority(path, authority);
	assert_string_equal(authority, "https://c.example");
	assert_int_equal(unsetenv("ACME_URL"), 0);
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

static void
test_notes(void **state)
{
	char directory[] = "/tmp/domains-test.XXXXXX", command[64], link[64];
	static const char authority[] = "https://c.example";
	struct domains_acme a;

	(void)state;
	assert_non_null(mkdtemp(directory));
	write_state(directory, "good.example",
	    "failures=3\ntried=1700000000\nnext=1700014400\nerror=a=b c\n");
	domains_read_acme(&a, directory, authority, "good.example");
	assert_true(a.known);
	assert_int_equal(a.failures, 3);
	assert_int_equal(a.tried, 1700000000);
	assert_int_equal(a.next, 1700014400);
	assert_string_equal(a.error, "a=b c");

	/* Nothing of a file that is not of this form. */
	write_state(directory, "bad.example", "failures=3\nroot:x:0:0\n");
	write_state(directory, "sign.example", "next=-1\n");
	write_state(directory, "empty.example", "");
	write_state(directory, "far.example", "next=99999999999999\n");
	/* Nor of another authority. */
	write_state(directory, "other.example",
	    "failures=3\ntried=1\nnext=2\nurl=https://c.example.\n");
	write_state(directory, "same.example",
	    "failures=3\ntried=1\nnext=2\nurl=https://c.example\n");
	domains_read_acme(&a, directory, authority, "same.example");
	assert_true(a.known);
	assert_int_equal(a.failures, 3);
	(void)snprintf(link, sizeof(link), "%s/link.example", directory);
	assert_int_equal(symlink("good.example", link), 0);
	(void)snprintf(link, sizeof(link), "%s/fifo.example", directory);
	assert_int_equal(mkfifo(link, 0600), 0);
	static const char *const unknown[] = {"bad.example", "sign.example",
	    "empty.example", "far.example", "link.example", "fifo.example",
	    "missing.example", "other.example"};
	for (size_t i = 0; i < ARRAY_LENGTH(unknown); i++) {
		domains_read_acme(&a, directory, authority, unknown[i]);
		if (a.known || a.next != 0 || a.failures != 0)
			fail_msg("%s", unknown[i]);
	}
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

/* The opening of a device does something already. */
static void
test_only_files_are_opened(void **state)
{
	char directory[] = "/tmp/domains-test.XXXXXX", path[64], command[64];
	struct domains_certificates all;
	char event[1024];
	struct err e;
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/a.example", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(
	    path, sizeof(path), "%s/a.example/fullchain.pem", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(watch >= 0 && inotify_add_watch(watch, path, IN_OPEN) >= 0);
	assert_int_equal(domains_read_certificates(&all, directory, &e), 0);
	assert_int_equal(all.n, 1);
	assert_string_not_equal(all.list[0].error, "");
	assert_int_equal(read(watch, event, sizeof(event)), -1);
	domains_clear_certificates(&all);
	(void)close(watch);
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

/* --- without end ------------------------------------------------------- */

/* A directory that is full of what somebody else put there. */
static void
test_a_full_directory(void **state)
{
	char directory[] = "/tmp/domains-test.XXXXXX", command[200];
	char wanted[200];
	struct domains_certificates all;
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(command, sizeof(command),
	    "cd %s && seq -f x%%05g 16000 | xargs touch", directory);
	assert_int_equal(system(command), 0);
	/* With "." and ".." it is two more. */
	assert_int_equal(domains_read_certificates(&all, directory, &e), -1);
	(void)snprintf(wanted, sizeof(wanted),
	    "[https] certificates %s holds more than 16000 entries", directory);
	assert_string_equal(e.text, wanted);
	domains_clear_certificates(&all);
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

/* One that is too long, of which the first part is read, and links to it. */
static void
test_long_certificates(void **state)
{
	char directory[] = "/tmp/domains-test.XXXXXX", command[300];
	char wanted[200];
	struct domains_certificates all;
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(command, sizeof(command),
	    "cd %s && mkdir one && truncate -s 1M one/fullchain.pem && "
	    "for i in $(seq 127); do ln -s one $i; done",
	    directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(domains_read_certificates(&all, directory, &e), 0);
	assert_int_equal(all.n, 128);
	domains_clear_certificates(&all);
	(void)snprintf(
	    command, sizeof(command), "cd %s && ln -s one 128", directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(domains_read_certificates(&all, directory, &e), -1);
	(void)snprintf(wanted, sizeof(wanted),
	    "[https] certificates %s: the certificates have more than 32 MB "
	    "together; remove what is not used",
	    directory);
	assert_string_equal(e.text, wanted);
	domains_clear_certificates(&all);
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

static uint8_t buffer[IPC_RECORD_MAX], scratch[IPC_RECORD_MAX];

/* Answers so many pages of a thousand names, each twice; then empty ones. */
static void
serve(int fd, unsigned int pages)
{
	static uint8_t bytes[32 * 1024];
	const struct ipc_channel c = {fd, IPC_STORE, IPC_TOOL};
	struct ipc_received in;

	for (unsigned int page = 0; ipc_receive(&c, buffer, &in) == IPC_OK;
	     page++) {
		struct writer w = writer_of(bytes, sizeof(bytes));
		struct ipc_domains body = {.rows = {0, {NULL, 0}}};

		for (unsigned int i = 0; page < pages && i < 1000; i++) {
			char name[16];
			struct ipc_domain_row row = {.server_id = 1 + i % 2};

			(void)snprintf(
			    name, sizeof(name), "N%08u", page * 500 + i / 2);
			row.name = span_of(name);
			(void)ipc_put(&w, &ipc_domain_row_record, &row);
			body.rows.count++;
		}
		body.rows.records = writer_span(&w);
		if (ipc_send(&c, scratch, IPC_DOMAINS, &body, -1) != IPC_OK)
			break;
	}
	_exit(0);
}

static int
read_names(unsigned int pages, struct domains_names *all, struct err *e)
{
	struct ask a = {.buffer = malloc(IPC_RECORD_MAX),
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
	result = domains_read_names(&a, all, e);
	(void)close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	free(a.buffer);
	free(a.scratch);
	return result;
}

static void
test_names(void **state)
{
	struct domains_names all;
	struct err e = {0};

	(void)state;
	assert_int_equal(read_names(0, &all, &e), 0);
	assert_int_equal(all.n, 0);
	assert_int_equal(read_names(3, &all, &e), 0);
	assert_int_equal(all.n, 1500);
	assert_string_equal(all.list[0].name, "n00000000");
	assert_string_equal(all.list[1499].name, "n00001499");
	domains_clear_names(&all);
	/* All that may be. */
	assert_int_equal(read_names(DOMAINS_MOST / 1000, &all, &e), 0);
	assert_int_equal(all.n, DOMAINS_MOST / 2);
	domains_clear_names(&all);
}

static void
test_names_without_end(void **state)
{
	struct domains_names all;
	struct err e = {0};

	(void)state;
	/* Instead of all memory of the machine. */
	(void)alarm(60);
	assert_int_equal(read_names(UINT32_MAX, &all, &e), -1);
	(void)alarm(0);
	assert_string_equal(
	    e.text, "the store names more than 100000 tracking domains");
	/* Each was there twice. */
	assert_int_equal(all.n, DOMAINS_MOST / 2);
	domains_clear_names(&all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_due),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_a_full_directory),
	    cmocka_unit_test(test_long_certificates),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_names_without_end),
	    cmocka_unit_test(test_authority),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_only_files_are_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
