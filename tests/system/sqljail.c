/*
 * sqljail.c - the forwarder's way to the database, for tests
 *
 * usage: sqljail CONFIGURATION
 *
 * Opens the client library, reads the passwords, enters the forwarder's jail,
 * and then does what the lines on stdin say, each with one line of answer:
 *
 *     connect main | connect message     "ok VERSION CIPHER" or a failure
 *     text SQL          sql_query_text
 *     query SQL         prepared, without values; the rows
 *     echo TEXT         SELECT ? of a text, a number, a decimal, a NULL
 *     many N TABLE      one INSERT of N rows (id, note)
 *     long N            SELECT of a text of N bytes between short ones
 *     stale main        a statement that outlives its connection
 *     wait SECONDS      bound of connecting and of silence, from now on
 *     try CALL [PATH]   a system call that the jail has an opinion on
 *     quit
 *
 * A failure is "failed KIND NUMBER TEXT".
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/config.h"
#include "forward/jail.h"
#include "forward/library.h"
#include "forward/resolver.h"
#include "forward/sql.h"
#include "forward/target.h"

static struct {
	struct config config;
	struct config_errors errors;
	struct targets targets;
	struct sql_library library;
	struct sql sql;
} all;

static void
say_failure(const struct err *e)
{
	(void)printf("failed %s %u %s\n", sql_failure_name(all.sql.failure),
	    all.sql.number, e->text);
}

/* --- asking the database ----------------------------------------------- */

static void
do_connect(const char *which)
{
	const struct sql_target *t = strcmp(which, "message") == 0
					 ? &all.targets.message
					 : &all.targets.main;
	struct err e = {0};

	if (sql_connect(&all.sql, t, &e) != 0)
		say_failure(&e);
	else
		(void)printf("ok %s %s\n", sql_server_version(&all.sql),
		    sql_cipher(&all.sql));
}

static void
do_text(const char *text)
{
	struct err e = {0};

	if (sql_query_text(&all.sql, text, &e) != 0)
		say_failure(&e);
	else
		(void)printf("ok\n");
}

/* "a|NULL|3;b|..." */
static int
print_rows(struct sql_statement *s, struct err *e)
{
	int got;

	(void)printf("ok ");
	while ((got = sql_fetch(s, e)) == 1) {
		for (size_t i = 0; i < s->n_columns; i++)
			(void)printf("%s%.*s", i == 0 ? "" : "|",
			    s->cells[i].null ? 4 : (int)s->cells[i].text.len,
			    s->cells[i].null
				? "NULL"
				: (const char *)s->cells[i].text.p);
		(void)printf(";");
	}
	(void)printf(" affected=%lld id=%lld\n",
	    (long long)sql_affected_rows(s), (long long)sql_insert_id(s));
	return got;
}

static void
run(const char *text, const struct sql_value *values, size_t n)
{
	struct sql_statement s = {.handle = NULL};
	struct err e = {0};

	if (sql_prepare(&all.sql, span_of(text), &s, &e) != 0 ||
	    sql_execute(&s, values, n, &e) != 0 || print_rows(&s, &e) != 0)
		say_failure(&e);
	sql_statement_clear(&s);
}

static void
do_query(const char *text)
{
	run(text, NULL, 0);
}

static void
do_echo(const char *text)
{
	const struct sql_value values[] = {sql_text(span_of(text)),
	    sql_int64(INT64_MIN), sql_uint64(UINT64_MAX),
	    sql_decimal(span_of("1700000000.123456")), sql_null(),
	    sql_text((struct span){NULL, 0}), sql_text(span_of(""))};

	run("SELECT ?, ?, ?, ?, ?, ?, ?", values, ARRAY_LENGTH(values));
}

static void
do_many(const char *arguments)
{
	size_t n = strtoul(arguments, NULL, 10), used;
	const char *table = strchr(arguments, ' ');
	char *text = calloc(n + 1, 8);
	struct sql_value *values = calloc(2 * n + 1, sizeof(*values));

	if (text == NULL || values == NULL || table == NULL || n == 0)
		exit(EX_OSERR);
	text = realloc(text, 8 * n + 200);
	used = (size_t)sprintf(
	    text, "INSERT INTO %s (id, note) VALUES ", table + 1);
	for (size_t i = 0; i < n; i++) {
		used +=
		    (size_t)sprintf(text + used, "%s(?,?)", i == 0 ? "" : ",");
		values[2 * i] = sql_int64((int64_t)i + 1);
		values[2 * i + 1] = sql_text(span_of("a note"));
	}
	run(text, values, 2 * n);
	free(text);
	free(values);
}

/* Short, long, short: buffers grow in between and are used again. */
static void
do_long(const char *arguments)
{
	struct sql_statement s = {.handle = NULL};
	struct err e = {0};
	char text[256];
	int got;

	(void)snprintf(text, sizeof(text),
	    "SELECT 'a', 1 UNION ALL SELECT REPEAT('b', %.10s), 2 UNION ALL "
	    "SELECT 'c', 3",
	    arguments);
	if (sql_prepare(&all.sql, span_of(text), &s, &e) != 0 ||
	    sql_execute(&s, NULL, 0, &e) != 0) {
		say_failure(&e);
		sql_statement_clear(&s);
		return;
	}
	while ((got = sql_fetch(&s, &e)) == 1) {
		struct span v = s.cells[0].text;
		bool same = true;
		int64_t number = 0;

		for (size_t i = 1; i < v.len; i++)
			same = same && v.p[i] == v.p[0];
		(void)sql_cell_int64(&s.cells[1], &number);
		(void)printf(
		    "%c*%zu=%d,%d ", v.p[0], v.len, (int)number, same ? 1 : 0);
	}
	if (got != 0)
		say_failure(&e);
	else
		(void)printf("\n");
	sql_statement_clear(&s);
}

/* --- trying the jail --------------------------------------------------- */

static long
try_listen(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0)
		return -1;
	return listen(fd, 1);
}

/* Connects to a TCP port of 127.0.0.1. */
static long
try_port(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)atoi(port)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static long
try_map_code(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return (long)mmap(
	    NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
}

static long
try_call(const char *call, const char *path)
{
	char *arguments[] = {NULL};

	if (strcmp(call, "read") == 0)
		return open(path, O_RDONLY | O_CLOEXEC);
	if (strcmp(call, "write") == 0)
		return open(path, O_WRONLY | O_CLOEXEC);
	if (strcmp(call, "create") == 0)
		return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (strcmp(call, "execve") == 0)
		return execve(path, arguments, arguments);
	if (strcmp(call, "fork") == 0)
		return fork();
	if (strcmp(call, "listen") == 0)
		return try_listen();
	if (strcmp(call, "accept") == 0)
		return accept(0, NULL, NULL);
	if (strcmp(call, "raw") == 0)
		return socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	if (strcmp(call, "packet") == 0)
		return socket(AF_PACKET, SOCK_DGRAM, 0);
	if (strcmp(call, "port") == 0)
		return try_port(path);
	if (strcmp(call, "kill") == 0)
		return kill(getppid(), 0);
	if (strcmp(call, "ptrace") == 0)
		return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
	if (strcmp(call, "code") == 0)
		return try_map_code(path);
	if (strcmp(call, "mprotect") == 0)
		return mprotect(&all, 4096, PROT_READ | PROT_EXEC);
	if (strcmp(call, "unlink") == 0)
		return unlink(path);
	exit(EX_USAGE);
}

static void
do_try(char *arguments)
{
	char *path = strchr(arguments, ' ');

	if (path != NULL)
		*path++ = '\0';
	errno = 0;
	if (try_call(arguments, path) >= 0)
		(void)printf("done\n");
	else
		(void)printf("refused %s\n", strerrorname_np(errno));
}

static void
do_stale(const char *which)
{
	struct sql_statement s = {.handle = NULL};
	struct err e = {0};

	(void)which;
	if (sql_prepare(&all.sql, span_of("SELECT 1"), &s, &e) != 0 ||
	    sql_execute(&s, NULL, 0, &e) != 0 ||
	    sql_connect(&all.sql, &all.targets.main, &e) != 0 ||
	    sql_execute(&s, NULL, 0, &e) != 0)
		say_failure(&e);
	else
		(void)printf("ok\n");
	sql_statement_clear(&s);
}

static void
do_wait(const char *seconds)
{
	all.targets.main.connect_timeout_s = (unsigned int)atoi(seconds);
	all.targets.main.io_timeout_s = (unsigned int)atoi(seconds);
	(void)printf("ok\n");
}

/* --- the whole --------------------------------------------------------- */

static void
do_line(char *line)
{
	char *rest = strchr(line, ' ');

	line[strcspn(line, "\n")] = '\0';
	if (rest != NULL)
		*rest++ = '\0';
	if (strcmp(line, "quit") == 0)
		exit(EX_OK);
	else if (rest == NULL)
		exit(EX_USAGE);
	else if (strcmp(line, "connect") == 0)
		do_connect(rest);
	else if (strcmp(line, "text") == 0)
		do_text(rest);
	else if (strcmp(line, "query") == 0)
		do_query(rest);
	else if (strcmp(line, "echo") == 0)
		do_echo(rest);
	else if (strcmp(line, "many") == 0)
		do_many(rest);
	else if (strcmp(line, "long") == 0)
		do_long(rest);
	else if (strcmp(line, "stale") == 0)
		do_stale(rest);
	else if (strcmp(line, "wait") == 0)
		do_wait(rest);
	else if (strcmp(line, "try") == 0)
		do_try(rest);
	else
		exit(EX_USAGE);
}

static int
prepare(const char *path, struct err *e)
{
	struct forward_jail jail;
	char version[64];

	if (config_load(path, &all.config, NULL, &all.errors) != 0) {
		*e = all.errors.list[0];
		return -1;
	}
	if (fd_close_from(3) != 0 || sql_library_open(&all.library, e) != 0 ||
	    targets_open(&all.config, &all.targets, e) != 0)
		return -1;
	resolver_prepare();
	tzset();
	if (forward_enter_jail(&all.config, &all.targets, &jail, e) != 0)
		return -1;
	sql_init(&all.sql, &all.library);
	(void)printf("jailed uid=%d fallback=%d library=%s missing=%s\n",
	    (int)getuid(), jail.user.fallback,
	    sql_library_version(&all.library, version, sizeof(version)),
	    jail.missing);
	return 0;
}

int
main(int argc, char **argv)
{
	static char line[70000];
	struct err e = {0};

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	log_open("sqljail", LOG_LEVEL_INFO);
	if (argc != 2)
		return EX_USAGE;
	if (prepare(argv[1], &e) != 0) {
		(void)printf("not started: %s\n", e.text);
		return EX_CONFIG;
	}
	while (fgets(line, sizeof(line), stdin) != NULL)
		do_line(line);
	sql_close(&all.sql);
	targets_clear(&all.targets);
	return EX_OK;
}
