/*
 * check_mysql.c - `postal-tracker check`: library, passwords, connections
 *
 * Changes nothing on any server, and never prints a password.
 */
#include "cli/check_mysql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "config/user.h"

/* Events carry the time of this machine, messages that of the database. */
#define CLOCK_MOST_US 2000000

/* --- this machine ------------------------------------------------------ */

static bool
open_library(struct check_mysql *m)
{
	char version[80];
	struct err e;

	if (databases_open_library(&m->d, version, sizeof(version), &e) != 0) {
		check_say(m->k, "FAIL", "MySQL client library: %s", e.text);
		return false;
	}
	check_say(m->k, "ok", "MySQL client library: %s", version);
	return true;
}

/* Whoever owns the file can change what others may do with it. */
static void
check_password_owner(
    struct check_mysql *m, const char *section, const char *path)
{
	struct config_user user = {.uid = 0};
	struct stat st;
	struct err ignored;

	(void)config_user_find(m->k->config->forwarder.user, &user, &ignored);
	if (stat(path, &st) != 0)
		return;
	if (st.st_uid != 0 && st.st_uid != user.uid && st.st_uid != geteuid())
		check_say(m->k, "warn",
		    "%s password_file %s belongs to uid %d, who can read and "
		    "change it; run: chown root %s",
		    section, path, (int)st.st_uid, path);
	else
		check_say(m->k, "ok",
		    "%s password_file %s: only owner and group can get at it",
		    section, path);
}

static void
check_passwords(struct check_mysql *m)
{
	const struct config *c = m->k->config;

	if (c->main_db.password_file[0] != '\0')
		check_password_owner(m, "[main_db]", c->main_db.password_file);
	else if (m->d.targets.main.password[0] == '\0')
		check_say(m->k, "warn",
		    "[main_db] password_file is empty: no password is used "
		    "here; name a file, unless systemd gives a password to "
		    "the service (LoadCredential=" TARGET_MAIN_CREDENTIAL
		    ":...), which cannot be seen from here");
	if (c->message_db.password_file[0] != '\0')
		check_password_owner(
		    m, "[message_db]", c->message_db.password_file);
}

/* The forwarder reads it again at each connection, as its own user. */
static bool
check_ca(struct check_mysql *m, const struct database_host *h)
{
	const char *path = h->target.tls_ca;
	struct config_user user;
	struct stat st;
	struct err e;

	if (path[0] == '\0' || h->target.socket[0] != '\0')
		return true;
	if (access(path, R_OK) != 0 || stat(path, &st) != 0) {
		check_say(m->k, "FAIL",
		    "%s tls_ca %s: %s; name a file with the certificate "
		    "of the authority",
		    h->section, path, strerror(errno));
		return false;
	}
	if ((st.st_mode & S_IROTH) == 0 &&
	    config_user_find(m->k->config->forwarder.user, &user, &e) == 0 &&
	    user.uid != st.st_uid && user.gid != st.st_gid)
		check_say(m->k, "FAIL",
		    "%s tls_ca %s: the forwarder (uid %d) cannot read it; it "
		    "holds no secret, run: chmod a+r %s",
		    h->section, path, (int)user.uid, path);
	return true;
}

/* --- connecting -------------------------------------------------------- */

static const struct {
	unsigned int number;
	const char *remedy;
} remedies[] = {
    {1040, "raise max_connections of the server"},
    {1045, "the password in password_file is not that of the account, or "
	   "there is no such account; ALTER USER sets a password"},
    {1129, "after what is wrong was mended, run: mariadb-admin flush-hosts "
	   "(or mysqladmin)"},
    {1130, "no account of that name may come from this machine; CREATE USER "
	   "with this machine's address, or '%', behind the @"},
    {1203, "raise max_user_connections of the server or the account"},
    {1226, "raise the limit of this account with ALTER USER"},
    {1698, "the account logs in by another way (unix_socket); give it a "
	   "password with ALTER USER, or take an account of its own"},
    {1820, "set a new password with ALTER USER"},
    {1862, "set a new password with ALTER USER"},
    {2002, "is the server running, does it listen there (bind-address, port, "
	   "socket), does a firewall stand between?"},
    {2003, "is the server running, does it listen there (bind-address, port, "
	   "socket), does a firewall stand between?"},
    {2005, "the name cannot be looked up; correct `host`, or the name "
	   "service of this machine"},
    {2013, "does a MySQL server listen there, and does a firewall stand "
	   "between?"},
    {2059, "choose mysql_native_password, ed25519 or caching_sha2_password "
	   "for the account with ALTER USER"},
    {2061, "the account needs an encrypted connection to log in; set tls_ca"},
    {3118, "unlock the account: ALTER USER ... ACCOUNT UNLOCK"},
    {3159, "the server takes encrypted connections only; set tls_ca"},
    {4151, "unlock the account: ALTER USER ... ACCOUNT UNLOCK"},
    {5010, "choose mysql_native_password, ed25519 or caching_sha2_password "
	   "for the account with ALTER USER"},
    {5012, "choose mysql_native_password, ed25519 or caching_sha2_password "
	   "for the account with ALTER USER"},
};

static void
say_not_connected(
    struct check_mysql *m, const struct database_host *h, const struct err *e)
{
	const char *remedy = "see the log of the database server";

	if (h->target.tls_ca[0] != '\0' &&
	    (h->sql.number == 2026 || h->sql.number == 0)) {
		check_say(m->k, "FAIL",
		    "%s %s; the server has to offer TLS (ssl_cert, ssl_key), "
		    "with a certificate that comes from an authority in %s "
		    "and names %s",
		    h->section, e->text, h->target.tls_ca, h->target.host);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(remedies); i++)
		if (remedies[i].number == h->sql.number)
			remedy = remedies[i].remedy;
	check_say(m->k, "FAIL", "%s %s as user %s; %s", h->section, e->text,
	    h->target.user, remedy);
}

static bool
is_this_machine(const struct sql_target *t)
{
	return t->socket[0] != '\0' || strcmp(t->host, "localhost") == 0 ||
	       strncmp(t->host, "127.", 4) == 0 || strcmp(t->host, "::1") == 0;
}

static void
check_tls(struct check_mysql *m, const struct database_host *h)
{
	const char *cipher = sql_cipher(&h->sql);

	if (h->target.socket[0] != '\0')
		check_say(m->k, "ok",
		    "%s TLS: not needed, the connection stays on this machine",
		    h->section);
	else if (h->target.tls_ca[0] != '\0')
		check_say(m->k, "ok", "%s TLS: %s, certificate checked",
		    h->section, cipher);
	else if (is_this_machine(&h->target))
		check_say(m->k, "ok",
		    "%s TLS: %s; the connection stays on "
		    "this machine",
		    h->section, cipher[0] != '\0' ? cipher : "off");
	else
		check_say(m->k, "warn",
		    "%s TLS: %s; others on the way can read or change what "
		    "is sent: set tls_ca",
		    h->section,
		    cipher[0] != '\0' ? "the server's certificate is not "
					"checked"
				      : "off");
}

/* --- the server -------------------------------------------------------- */

/* The forwarder's statements are made for MariaDB 10.3 and MySQL 5.7. Connector/C hides the "5.5.5-" of MariaDB, MySQL's does not. */
static void
check_version(struct check_mysql *m, const struct database_host *h)
{
	const char *version = sql_server_version(&h->sql);
	bool mariadb = strstr(version, "MariaDB") != NULL;
	unsigned long major, minor;
	char *end;

	if (mariadb && strncmp(version, "5.5.5-", 6) == 0)
		version += 6;
	major = strtoul(version, &end, 10);
	minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	if (major * 100 + minor < (mariadb ? 1003 : 507))
		check_say(m->k, "warn",
		    "%s server %s is older than MariaDB 10.3 and MySQL 5.7; "
		    "upgrade it, the forwarder is not made for it",
		    h->section, version);
	else
		check_say(m->k, "ok", "%s server %s at %s, account %s",
		    h->section, version, h->place, h->account);
}

/* A proxy between may have kept the session's settings for itself. */
static void
check_session(struct check_mysql *m, struct database_host *h)
{
	static const char text[] =
	    "SELECT @@sql_mode LIKE '%STRICT_ALL_TABLES%', @@autocommit,"
	    " CAST(@@read_only AS CHAR) NOT IN ('0', 'OFF')";
	int64_t values[3] = {1, 1, 0};
	struct sql_statement s;
	struct err e = {.text = ""};

	if (database_query(h, text, NULL, 0, &s, &e) != 0 ||
	    sql_fetch(&s, &e) != 1) {
		check_say(m->k, "FAIL",
		    "%s session: %s; see the log of the database server",
		    h->section, e.text);
		sql_statement_clear(&s);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
		(void)sql_cell_int64(&s.cells[i], &values[i]);
	sql_statement_clear(&s);
	if (values[0] != 1 || values[1] != 1)
		check_say(m->k, "FAIL",
		    "%s session: strict sql_mode and autocommit were asked "
		    "for and are not there; a proxy between must hand SET on",
		    h->section);
	else
		check_say(
		    m->k, "ok", "%s session: strict sql_mode", h->section);
	if (values[2] != 0)
		check_say(m->k, "FAIL",
		    "%s server takes no writes (read_only), so events "
		    "wait; connect to the primary, or SET GLOBAL read_only = 0",
		    h->section);
}

static void
check_server_clock(struct check_mysql *m, struct database_host *h)
{
	static const char text[] =
	    "SELECT CAST(UNIX_TIMESTAMP(UTC_TIMESTAMP(6)) * 1000000 AS SIGNED)";
	struct sql_statement s;
	struct err e = {.text = ""};
	int64_t before = clock_wall_us(), there = 0, apart, size;
	bool known;

	known = database_query(h, text, NULL, 0, &s, &e) == 0 &&
		sql_fetch(&s, &e) == 1 &&
		sql_cell_int64(&s.cells[0], &there) == 0;
	sql_statement_clear(&s);
	if (!known) {
		check_say(m->k, "FAIL",
		    "%s clock: %s; see the log of the database server",
		    h->section, e.text);
		return;
	}
	apart = there - (before + (clock_wall_us() - before) / 2);
	size = apart < 0 ? -apart : apart;
	if (size > CLOCK_MOST_US)
		check_say(m->k, "warn",
		    "%s clock: the server's is %" PRId64 ".%" PRId64
		    " s %s; set both by NTP, or opens seem to come before "
		    "their mail",
		    h->section, size / 1000000, size / 100000 % 10,
		    apart > 0 ? "ahead" : "behind");
	else
		check_say(
		    m->k, "ok", "%s clock: less than 2 s apart", h->section);
}

static bool
check_host(struct check_mysql *m, struct database_host *h)
{
	struct err e;

	if (!check_ca(m, h))
		return false;
	if (database_connect(&m->d, h, &e) != 0) {
		say_not_connected(m, h, &e);
		return false;
	}
	check_version(m, h);
	check_tls(m, h);
	check_session(m, h);
	check_server_clock(m, h);
	return true;
}

/* --- all of it --------------------------------------------------------- */

static void
check_databases(struct check_mysql *m)
{
	struct err e = {.code = 0};
	bool opened = databases_open(&m->d, m->k->config, &e) == 0;
	bool library = open_library(m);

	if (!opened) {
		if (e.code == EACCES && geteuid() != 0)
			check_say(m->k, "warn",
			    "%s; not root: MySQL cannot be checked, run this "
			    "as "
			    "root",
			    e.text);
		else
			check_say(m->k, "FAIL", "%s%s", e.text,
			    e.code == ENOENT
				? "; write the password to the first line of "
				  "this file, which only root can read"
				: "");
		return;
	}
	check_passwords(m);
	if (!library)
		return;
	m->main_up = check_host(m, m->d.main);
	m->message_up = m->main_up;
	if (m->d.message != m->d.main)
		m->message_up = check_host(m, m->d.message);
	else if (m->main_up)
		check_say(m->k, "ok",
		    "[message_db] the same server and login as [main_db]");
	m->k->mysql_answers = m->main_up && m->message_up;
	check_schema(m);
	check_message_databases(m);
}

void
check_mysql(struct check *k)
{
	struct check_mysql *m;

	if (k->config->postal.mode != CONFIG_MODE_MYSQL)
		return;
	check_user(k, "[forwarder] user", k->config->forwarder.user);
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		check_say(k, "FAIL", "MySQL: no memory");
		return;
	}
	m->k = k;
	check_databases(m);
	databases_clear(&m->d);
	free(m);
}
