/*
 * sql.c - `postal-tracker sql`: what an administrator of the database runs
 * for the forwarder
 *
 * Prints and changes nothing. What is printed is read by people, and by the
 * command-line clients of MariaDB 10.3 and MySQL 5.7 and later.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "cli/internal.h"
#include "forward/databases.h"
#include "forward/ledger.h"

static void
print_grant(const struct grant *g, const char *database, const char *account)
{
	char text[2048];
	struct writer w = writer_of(text, sizeof(text));

	grant_write(&w, g, database, account);
	(void)printf("%.*s;\n", (int)w.len, text);
}

static void
print_grants(enum grant_place place, const char *database, const char *account)
{
	for (size_t i = 0; i < n_grants; i++)
		if (grants[i].place == place)
			print_grant(&grants[i], database, account);
}

static void
print_head(const struct database_host *h, const char *what, bool connected)
{
	(void)printf("-- %s %s: %s.\n", h->section, h->place, what);
	(void)printf("-- Run this there as an administrator. The account %s\n"
		     "-- may be another one, or have another host behind the "
		     "@: replace it everywhere.\n",
	    h->account);
	if (!connected)
		(void)printf("-- If there is no such account yet, with a "
			     "password of your own:\n"
			     "-- CREATE USER %s IDENTIFIED BY '...';\n",
		    h->account);
	(void)printf("\n");
}

static void
print_ledger(const struct database_host *h)
{
	(void)printf("-- Which events are in the tables of Postal already.\n");
	for (size_t i = 0; i < ledger_n_create; i++)
		(void)printf("%s;\n", ledger_create[i]);
	print_grants(GRANT_LEDGER, "`" LEDGER_DATABASE "`", h->account);
	(void)printf("\n");
}

/* Only who has a grant on it is told that a table is not there; so the
 * statement looks for it. */
static void
print_postal1(const struct databases *d, const char *plain)
{
	char text[4096];

	(void)printf("-- Certificates and ACME challenges of Postal 1.x; where "
		     "that table is not there, this\n-- does nothing.\n");
	for (size_t i = 0; i < n_grants; i++) {
		struct writer w = writer_of(text, sizeof(text));

		if (grants[i].place != GRANT_POSTAL1)
			continue;
		grant_write_where_there(
		    &w, &grants[i], plain, d->main_name, d->main->account);
		(void)printf("%.*s;\n", (int)w.len, text);
	}
}

static void
print_main(const struct databases *d, const char *plain)
{
	(void)printf("-- The main database of Postal.\n");
	print_grants(GRANT_MAIN, d->main_name, d->main->account);
	print_postal1(d, plain);
	(void)printf("\n");
}

/* --- message databases ------------------------------------------------- */

/* A name that may hold % and _, which stand for others in such a grant. */
static void
print_pattern(const char *prefix)
{
	(void)printf("`");
	for (const char *p = prefix; *p != '\0'; p++)
		(void)printf("%s%c",
		    *p == '%' || *p == '_' || *p == '\\' ? "\\"
		    : *p == '`'				 ? "`"
							 : "",
		    *p);
	(void)printf("-server-%%`.*");
}

static void
print_alternatives(const struct databases *d)
{
	const char *account = d->message->account;

	(void)printf(
	    "\n"
	    "-- A mail server that is added later needs these statements too: "
	    "run\n"
	    "-- `postal-tracker sql` again. Until then its events are set "
	    "aside, and are not lost.\n"
	    "-- A statement for a database that is gone fails; with --force "
	    "the client goes on.\n"
	    "-- One grant for all of them, also later ones, is possible. Its "
	    "price: the account\n"
	    "-- can read all mail (the raw-* tables) and change every "
	    "column.\n"
	    "-- GRANT SELECT, INSERT, UPDATE ON ");
	print_pattern(d->targets.prefix);
	(void)printf(" TO %s;\n", account);
}

/* Certainly gone, which the server only says to those who have a grant: a
 * GRANT on a table that is not there would end the whole script. */
static bool
is_gone(struct database_host *h, const char *name)
{
	struct err ignored;

	for (size_t i = 0; i < n_grants; i++)
		if (grants[i].place == GRANT_MESSAGE && sql_is_open(&h->sql) &&
		    grant_test(&h->sql, &grants[i], name, &ignored) ==
			GRANT_NO_TABLE)
			return true;
	return false;
}

static int
print_message(struct databases *d, struct err *e)
{
	char name[SQL_QUOTED_SIZE];

	for (size_t i = 0; i < d->n_servers; i++) {
		if (databases_name(d, d->servers[i], name, e) != 0)
			return -1;
		if (is_gone(d->message, name))
			(void)printf(
			    "-- %s is not there, or not complete.\n", name);
		else
			print_grants(GRANT_MESSAGE, name, d->message->account);
	}
	return 0;
}

/* Without a look at the servers: how to have them afterwards. */
static void
print_unknown(void)
{
	(void)printf("-- The mail servers could not be read with this account "
		     "now. Run what is above,\n"
		     "-- then `postal-tracker sql` again: it will print the "
		     "grants for each of them.\n");
}

/* --- the command ------------------------------------------------------- */

struct sql_command {
	struct databases d;
	bool main_up, message_up, servers;
};

static void
complain(const char *section, const struct err *e, bool *failed)
{
	(void)fprintf(stderr, "postal-tracker sql: %s%s%s\n", section,
	    section[0] != '\0' ? ": " : "", e->text);
	*failed = true;
}

/* What can be found out; what cannot is said. True when all of it was. */
static bool
look(struct sql_command *s, const struct config *c)
{
	struct databases *d = &s->d;
	bool failed = false;
	char version[80];
	struct err e;

	if (databases_open(d, c, &e) != 0 ||
	    databases_open_library(d, version, sizeof(version), &e) != 0) {
		complain("", &e, &failed);
		return false;
	}
	if (database_connect(d, d->main, &e) != 0)
		complain(d->main->section, &e, &failed);
	else
		s->main_up = true;
	s->message_up = s->main_up;
	if (d->message != d->main) {
		s->message_up = database_connect(d, d->message, &e) == 0;
		if (!s->message_up)
			complain(d->message->section, &e, &failed);
	}
	if (s->main_up && databases_read_servers(d, &e) != 0)
		complain(d->main->section, &e, &failed);
	else
		s->servers = s->main_up;
	return !failed;
}

static int
print_all(struct sql_command *s, const struct config *c)
{
	struct databases *d = &s->d;
	struct err e;
	bool failed = false;

	print_head(d->main,
	    d->main == d->message ? "all databases of Postal"
				  : "the main database of Postal",
	    s->main_up);
	print_ledger(d->main);
	print_main(d, c->main_db.database);
	if (d->message != d->main) {
		print_head(d->message, "the message databases of Postal",
		    s->message_up);
		print_ledger(d->message);
	}
	(void)printf("-- The message databases of Postal.\n");
	if (!s->servers)
		print_unknown();
	else if (print_message(d, &e) != 0)
		complain("", &e, &failed);
	print_alternatives(d);
	return failed ? -1 : 0;
}

int
command_sql(int argc, char **argv)
{
	static struct sql_command s;
	struct options o;
	struct config *c;
	bool failed;

	if (options_parse(&o, argc, argv, OPTION_CONFIG) != 0)
		return EX_USAGE;
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	failed = !look(&s, c);
	failed = print_all(&s, c) != 0 || failed;
	databases_clear(&s.d);
	free(c);
	return failed ? EX_UNAVAILABLE : EX_OK;
}
