/*
 * forward_target_test.c - password files, and where to connect to
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "forward/secret.h"
#include "forward/target.h"

static char directory[64];
static char path[128];

static int
make_directory(void **state)
{
	(void)state;
	(void)snprintf(directory, sizeof(directory), "/tmp/secret-test-XXXXXX");
	return mkdtemp(directory) == NULL ? -1 : 0;
}

static int
remove_directory(void **state)
{
	static const char *const names[] = {
	    "pw", "pw2", "fifo", TARGET_MAIN_CREDENTIAL};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", directory, names[i]);
		(void)unlink(path);
	}
	return rmdir(directory);
}

static const char *
write_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	(void)unlink(path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* --- password files ---------------------------------------------------- */

static const struct {
	const char *bytes;
	size_t len; /* 0: a C string */
	mode_t mode;
	const char *password; /* NULL: refused */
	const char *why;
} files[] = {
    {"secret\n", 0, 0600, "secret", NULL},
    {"secret", 0, 0400, "secret", NULL},
    {"secret\n", 0, 0640, "secret", NULL},
    {"secret\r\nmore\n", 0, 0600, "secret", NULL},
    {"two words \n", 0, 0600, "two words ", NULL},
    {"a\rb\n", 0, 0600, "a\rb", NULL},
    {"one\ntwo\n", 0, 0600, "one", NULL},
    {"secret\n", 0, 0604, NULL, "run: chmod o-rwx"},
    {"secret\n", 0, 0602, NULL, "run: chmod o-rwx"},
    {"secret\n", 0, 0644, NULL, "mode 0644"},
    {"sec\0ret\n", 8, 0600, NULL, "holds a NUL byte"},
    {"secret\nx\0", 9, 0600, NULL, "holds a NUL byte"},
    {"\nsecret\n", 0, 0600, NULL, "its first line is empty"},
    {"\r\n", 0, 0600, NULL, "its first line is empty"},
    {"", 0, 0600, NULL, "its first line is empty"},
};

static void
test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		size_t len =
		    files[i].len > 0 ? files[i].len : strlen(files[i].bytes);
		const char *file =
		    write_file("pw", files[i].bytes, len, files[i].mode);
		struct secret s;
		struct err e = {0};
		int result = secret_read(&s, file, &e);

		if (result != (files[i].password == NULL ? -1 : 0))
			fail_msg("row %zu: %d %s", i, result, e.text);
		if (result == 0) {
			assert_string_equal(secret_text(&s), files[i].password);
		} else {
			assert_non_null(strstr(e.text, files[i].why));
			assert_non_null(strstr(e.text, file));
			assert_null(strstr(e.text, "secret\n"));
			assert_null(s.text);
		}
		secret_clear(&s);
		assert_null(s.text);
	}
}

static void
test_sizes(void **state)
{
	static uint8_t bytes[SECRET_FILE_MOST + 1];
	struct secret s;
	struct err e = {0};

	(void)state;
	memset(bytes, 'p', sizeof(bytes));
	assert_int_equal(
	    secret_read(
		&s, write_file("pw", bytes, SECRET_FILE_MOST, 0600), &e),
	    0);
	assert_int_equal(strlen(secret_text(&s)), SECRET_FILE_MOST);
	secret_clear(&s);
	assert_int_equal(
	    secret_read(
		&s, write_file("pw", bytes, SECRET_FILE_MOST + 1, 0600), &e),
	    -1);
	assert_non_null(strstr(e.text, "larger than 4096 bytes"));
}

static void
test_what_is_no_file(void **state)
{
	struct secret s;
	struct err e = {0};

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/fifo", directory);
	assert_int_equal(secret_read(&s, path, &e), -1);
	assert_int_equal(e.code, ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(secret_read(&s, path, &e), -1);
	assert_non_null(strstr(e.text, "is not a regular file"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(secret_read(&s, directory, &e), -1);
	assert_non_null(strstr(e.text, "is not a regular file"));
}

/* The pages are gone after secret_clear, and were wiped before. */
static void
test_clearing(void **state)
{
	struct secret s = {NULL, 0};
	struct err e = {0};
	unsigned char in_core;
	void *pages;

	(void)state;
	secret_clear(&s);
	assert_string_equal(secret_text(&s), "");
	assert_int_equal(
	    secret_read(&s, write_file("pw", "abc\n", 4, 0600), &e), 0);
	pages = s.text;
	assert_int_equal(mincore(pages, 1, &in_core), 0);
	secret_clear(&s);
	assert_int_equal(mincore(pages, 1, &in_core), -1);
	assert_int_equal(errno, ENOMEM);
}

static void
test_credentials(void **state)
{
	struct secret s;
	struct err e = {0};

	(void)state;
	(void)write_file(TARGET_MAIN_CREDENTIAL, "from systemd", 12, 0400);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(secret_find(&s, "", TARGET_MAIN_CREDENTIAL, &e), 0);
	assert_null(s.text);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
	assert_int_equal(secret_find(&s, "", TARGET_MAIN_CREDENTIAL, &e), 0);
	assert_string_equal(secret_text(&s), "from systemd");
	secret_clear(&s);
	assert_int_equal(secret_find(&s, "", "other", &e), 0);
	assert_null(s.text);
	/* A path that is set is not silently replaced. */
	assert_int_equal(
	    secret_find(&s, "/nonexistent", TARGET_MAIN_CREDENTIAL, &e), -1);
	assert_int_equal(chmod(path, 0404), 0);
	assert_int_equal(secret_find(&s, "", TARGET_MAIN_CREDENTIAL, &e), -1);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

/* --- targets ----------------------------------------------------------- */

static struct config config;
static struct config_errors errors;
static struct targets targets;

static void
load(const char *text)
{
	if (config_parse(span_of(text), "test", &config, NULL, &errors) != 0)
		fail_msg("%s", errors.list[0].text);
}

static const struct {
	const char *text;
	/* What is expected of message. */
	const char *host;
	unsigned int port;
	const char *socket, *user, *tls_ca;
	bool same_server, same_connection;
} rows[] = {
    {"", "127.0.0.1", 3306, "", "postal", "", true, true},
    {"[main_db]\nhost = db\nport = 3307\nuser = u\ntls_ca = /ca\n", "db", 3307,
	"", "u", "/ca", true, true},
    {"[main_db]\nhost = db\n[message_db]\nhost = other\n", "other", 3306, "",
	"postal", "", false, false},
    {"[main_db]\nhost = db\n[message_db]\nport = 3310\n", "db", 3310, "",
	"postal", "", false, false},
    {"[message_db]\nuser = m\n", "127.0.0.1", 3306, "", "m", "", true, false},
    {"[main_db]\nsocket = /s\n", "127.0.0.1", 3306, "/s", "postal", "", true,
	true},
    /* A host of its own: the other's socket is not used. */
    {"[main_db]\nsocket = /s\n[message_db]\nhost = other\n", "other", 3306, "",
	"postal", "", false, false},
    {"[main_db]\nsocket = /s\n[message_db]\nsocket = /t\n", "127.0.0.1", 3306,
	"/t", "postal", "", false, false},
    {"[message_db]\nsocket = /t\n", "127.0.0.1", 3306, "/t", "postal", "",
	false, false},
    {"[main_db]\nsocket = /s\n[message_db]\nhost = h\nsocket = /t\n", "h", 3306,
	"/t", "postal", "", false, false},
    {"[main_db]\ntls_ca = /a\n[message_db]\ntls_ca = /b\n", "127.0.0.1", 3306,
	"", "postal", "/b", true, false},
    /* Over one socket TLS does not matter, nor do hosts. */
    {"[main_db]\nsocket = /s\ntls_ca = /a\n[message_db]\ntls_ca = /b\n",
	"127.0.0.1", 3306, "/s", "postal", "/b", true, true},
    {"[main_db]\nsocket = /s\n[message_db]\nhost = h\nsocket = /s\n", "h", 3306,
	"/s", "postal", "", true, true},
};

static void
test_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct sql_target *m = &targets.message;

		load(rows[i].text);
		targets_resolve(&config, &targets);
		if (strcmp(m->host, rows[i].host) != 0 ||
		    m->port != rows[i].port ||
		    strcmp(m->socket, rows[i].socket) != 0 ||
		    strcmp(m->user, rows[i].user) != 0 ||
		    strcmp(m->tls_ca, rows[i].tls_ca) != 0 ||
		    targets.same_server != rows[i].same_server ||
		    targets.same_connection != rows[i].same_connection)
			fail_msg("row %zu: %s:%u %s %s %s %d %d", i, m->host,
			    m->port, m->socket, m->user, m->tls_ca,
			    targets.same_server, targets.same_connection);
		assert_string_equal(m->database, "");
		assert_string_equal(targets.main.database, "postal");
		assert_string_equal(targets.prefix, "postal");
	}
}

static void
test_passwords(void **state)
{
	char text[512];
	struct err e = {0};

	(void)state;
	(void)write_file("pw", "main\n", 5, 0600);
	(void)snprintf(
	    text, sizeof(text), "[main_db]\npassword_file = %s\n", path);
	load(text);
	assert_int_equal(targets_open(&config, &targets, &e), 0);
	assert_string_equal(targets.main.password, "main");
	assert_string_equal(targets.message.password, "main");
	assert_true(targets.same_connection);
	targets_clear(&targets);
	/* Another password is another login. */
	assert_int_equal(unlink(path), 0);
	(void)write_file("pw2", "message\n", 8, 0600);
	(void)snprintf(
	    text, sizeof(text), "[message_db]\npassword_file = %s\n", path);
	load(text);
	assert_int_equal(targets_open(&config, &targets, &e), 0);
	assert_string_equal(targets.main.password, "");
	assert_string_equal(targets.message.password, "message");
	assert_true(targets.same_server);
	assert_false(targets.same_connection);
	targets_clear(&targets);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(targets_open(&config, &targets, &e), -1);
	assert_non_null(strstr(e.text, "[message_db]: password file /tmp/"));
	targets_clear(&targets);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_what_is_no_file),
	    cmocka_unit_test(test_clearing),
	    cmocka_unit_test(test_credentials),
	    cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_passwords),
	};

	/* What the umask takes away is not what is tested. */
	(void)umask(0);
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
