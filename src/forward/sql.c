/*
 * sql.c - a connection to the database
 *
 * Runs in the forwarder, behind its jail: connecting resolves names and opens
 * sockets, and nothing else.
 */
#include "forward/sql.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "forward/sql_internal.h"

/* Options with the same number in every library (enum mysql_option). */
enum {
	OPT_CONNECT_TIMEOUT = 0,
	OPT_CHARSET_NAME = 7,
	OPT_LOCAL_INFILE = 8,
	OPT_PROTOCOL = 9,
	OPT_READ_TIMEOUT = 11,
	OPT_WRITE_TIMEOUT = 12,
};
/* enum mysql_protocol_type, and MySQL's enum mysql_ssl_mode. */
enum { PROTOCOL_TCP = 1, PROTOCOL_SOCKET = 2 };
enum { SSL_MODE_PREFER = 2, SSL_MODE_IDENTITY = 5 };
/* Do not touch the handler of SIGPIPE around each call: we ignore it. */
#define IGNORE_SIGPIPE 4096UL
#define CHARSET "utf8mb4"
#define SERVER_TEXT_SIZE 300

/* --- failures ---------------------------------------------------------- */

/* What a server says may hold anything, an end of line for instance. */
static void
make_printable(const char *from, char *text, size_t size)
{
	size_t used = 0;

	for (; *from != '\0' && used < size - 1; from++)
		text[used++] = *from >= ' ' && *from <= '~' ? *from : '?';
	text[used] = '\0';
}

int
sql_fail(struct sql *c, unsigned int number, const char *text, const char *what,
    struct err *e)
{
	char shown[SERVER_TEXT_SIZE];

	c->number = number;
	c->failure = number == 0 ? SQL_OTHER : sql_classify(number);
	if (c->failure == SQL_LOST)
		c->broken = true;
	make_printable(text != NULL ? text : "", shown, sizeof(shown));
	return err_set(e, "%s: %s (error %u)", what,
	    shown[0] != '\0' ? shown : "no reason given", number);
}

int
sql_fail_here(struct sql *c, enum sql_failure failure)
{
	c->number = 0;
	c->failure = failure;
	return -1;
}

static int
fail_now(struct sql *c, const char *what, struct err *e)
{
	return sql_fail(c, c->library->call.mysql_errno(c->handle),
	    c->library->call.mysql_error(c->handle), what, e);
}

/* --- options ----------------------------------------------------------- */

struct option {
	int number; /* -1: this library has none, and needs none */
	const void *value;
};

static int
set_options(struct sql *c, const struct option *list, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].number < 0)
			continue;
		if (c->library->call.mysql_options(c->handle,
			(enum mysql_option)list[i].number, list[i].value) == 0)
			continue;
		(void)err_set(e, "%s does not know option %d",
		    c->library->soname, list[i].number);
		return sql_fail_here(c, SQL_OTHER);
	}
	return 0;
}

static int
set_common_options(struct sql *c, const struct sql_target *t, struct err *e)
{
	const unsigned int off = 0;
	const unsigned int protocol =
	    t->socket[0] != '\0' ? PROTOCOL_SOCKET : PROTOCOL_TCP;
	const struct option list[] = {
	    {OPT_CONNECT_TIMEOUT, &t->connect_timeout_s},
	    {OPT_READ_TIMEOUT, &t->io_timeout_s},
	    {OPT_WRITE_TIMEOUT, &t->io_timeout_s},
	    {OPT_LOCAL_INFILE, &off},
	    {OPT_CHARSET_NAME, CHARSET},
	    /* "localhost" would else mean a Unix socket of its choice. */
	    {OPT_PROTOCOL, &protocol},
	};

	if (set_options(c, list, ARRAY_LENGTH(list), e) != 0)
		return -1;
	/* Before Connector/C 3.3 there is none; then the jail, in which no
	 * plugin can be loaded, is what keeps the password from being sent as
	 * it is. MySQL's own library has to be told before it does that. */
	(void)c->library->call.mysql_options(c->handle,
	    (enum mysql_option)sql_library_options(c->library)->restricted_auth,
	    SQL_AUTH_PLUGINS);
	return 0;
}

static int
set_tls_options(struct sql *c, const struct sql_target *t, struct err *e)
{
	const struct sql_option_numbers *n = sql_library_options(c->library);
	bool local = t->socket[0] != '\0';
	bool required = !local && t->tls_ca[0] != '\0';
	const sql_bool on = 1, off = 0;
	const unsigned int mode =
	    required ? SSL_MODE_IDENTITY : SSL_MODE_PREFER;
	const struct option wanted[] = {
	    {n->ssl_ca, t->tls_ca},
	    {n->ssl_enforce, &on},
	    {n->ssl_verify, &on},
	    {n->ssl_mode, &mode},
	};
	/* Connector/C 3.4 would refuse a server whose certificate it cannot
	 * check, and use TLS without asking. */
	const struct option whatever[] = {
	    {n->ssl_verify, &off},
	    {n->ssl_mode, &mode},
	};

	if (required)
		return set_options(c, wanted, ARRAY_LENGTH(wanted), e);
	return set_options(c, whatever, ARRAY_LENGTH(whatever), e);
}

/* --- the session ------------------------------------------------------- */

/* Values of another session's settings in a row, for one that has none. */
static int
binlog_by_statement(struct sql *c, bool *by_statement)
{
	static const char text[] = "SELECT @@log_bin, @@binlog_format";
	struct sql_statement s = {.handle = NULL};
	struct err ignored;
	int64_t log_bin = 0;
	int got = -1;

	*by_statement = false;
	if (sql_prepare(c, span_of(text), &s, &ignored) == 0 &&
	    sql_execute(&s, NULL, 0, &ignored) == 0)
		got = sql_fetch(&s, &ignored);
	if (got == 1 && sql_cell_int64(&s.cells[0], &log_bin) == 0)
		*by_statement =
		    log_bin != 0 &&
		    span_equal_nocase(s.cells[1].text, span_of("STATEMENT"));
	sql_statement_clear(&s);
	/* A server that has no such variables has no such problem. */
	return c->broken ? -1 : 0;
}

static int
set_session(struct sql *c, const struct sql_target *t, struct err *e)
{
	bool by_statement = false;
	char text[320];

	(void)snprintf(text, sizeof(text),
	    "SET SESSION sql_mode = "
	    "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,"
	    "ERROR_FOR_DIVISION_BY_ZERO', time_zone = '+00:00', "
	    "innodb_lock_wait_timeout = %u, lock_wait_timeout = %u, "
	    "autocommit = 1",
	    t->lock_timeout_s, t->lock_timeout_s);
	if (sql_query_text(c, text, e) != 0)
		return -1;
	if (binlog_by_statement(c, &by_statement) != 0)
		return err_set(e, "the connection broke at once");
	if (by_statement)
		return sql_query_text(c,
		    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		    e);
	return sql_query_text(
	    c, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", e);
}

/* --- connecting -------------------------------------------------------- */

void
sql_init(struct sql *c, const struct sql_library *library)
{
	*c = (struct sql){.library = library};
}

static void
name_target(const struct sql_target *t, char *text, size_t size)
{
	if (t->socket[0] != '\0')
		(void)snprintf(text, size, "database at %.150s", t->socket);
	else
		(void)snprintf(
		    text, size, "database at %.100s port %u", t->host, t->port);
}

static int
start_connection(struct sql *c, const struct sql_target *t, struct err *e)
{
	bool local = t->socket[0] != '\0';
	char what[192];

	if (set_common_options(c, t, e) != 0 || set_tls_options(c, t, e) != 0)
		return -1;
	name_target(t, what, sizeof(what));
	if (c->library->call.mysql_real_connect(c->handle,
		local ? NULL : t->host, t->user, t->password,
		t->database[0] != '\0' ? t->database : NULL,
		local ? 0 : t->port, local ? t->socket : NULL,
		IGNORE_SIGPIPE) == NULL)
		return fail_now(c, what, e);
	/* Trust, but look: no library may have gone on without TLS. */
	if (!local && t->tls_ca[0] != '\0' && sql_cipher(c)[0] == '\0') {
		(void)err_set(e,
		    "%s: tls_ca is set, but the connection is not encrypted",
		    what);
		return sql_fail_here(c, SQL_LOST);
	}
	if (set_session(c, t, e) != 0)
		return err_prefix(e, "%s", what);
	return 0;
}

int
sql_connect(struct sql *c, const struct sql_target *t, struct err *e)
{
	sql_close(c);
	c->failure = SQL_OK;
	c->number = 0;
	assert(t->connect_timeout_s > 0 && t->io_timeout_s > 0 &&
	       t->lock_timeout_s > 0);
	c->handle = c->library->call.mysql_init(NULL);
	if (c->handle == NULL) {
		(void)err_set(e, "no memory for a database connection");
		return sql_fail_here(c, SQL_LOST);
	}
	c->broken = false;
	c->serial++;
	if (start_connection(c, t, e) != 0) {
		sql_close(c);
		return -1;
	}
	c->failure = SQL_OK;
	c->number = 0;
	return 0;
}

void
sql_close(struct sql *c)
{
	if (c == NULL || c->handle == NULL)
		return;
	c->library->call.mysql_close(c->handle);
	c->handle = NULL;
}

bool
sql_is_open(const struct sql *c)
{
	return c->handle != NULL && !c->broken;
}

int
sql_begin_call(struct sql *c, struct err *e)
{
	c->failure = SQL_OK;
	c->number = 0;
	if (sql_is_open(c))
		return 0;
	(void)err_set(e, "not connected to the database");
	return sql_fail_here(c, SQL_LOST);
}

int
sql_ping(struct sql *c, struct err *e)
{
	if (sql_begin_call(c, e) != 0)
		return -1;
	if (c->library->call.mysql_ping(c->handle) != 0)
		return fail_now(c, "asking whether the database is there", e);
	return 0;
}

const char *
sql_server_version(const struct sql *c)
{
	return c->handle != NULL
		   ? c->library->call.mysql_get_server_info(c->handle)
		   : "";
}

const char *
sql_cipher(const struct sql *c)
{
	const char *cipher = NULL;

	if (c->handle != NULL)
		cipher = c->library->call.mysql_get_ssl_cipher(c->handle);
	return cipher != NULL ? cipher : "";
}

int
sql_query_text(struct sql *c, const char *text, struct err *e)
{
	char what[64];
	MYSQL_RES *rows;

	if (sql_begin_call(c, e) != 0)
		return -1;
	(void)snprintf(what, sizeof(what), "%.40s", text);
	if (c->library->call.mysql_real_query(c->handle, text, strlen(text)) !=
	    0)
		return fail_now(c, what, e);
	if (c->library->call.mysql_field_count(c->handle) == 0)
		return 0;
	rows = c->library->call.mysql_store_result(c->handle);
	if (rows == NULL)
		return fail_now(c, what, e);
	c->library->call.mysql_free_result(rows);
	return 0;
}
