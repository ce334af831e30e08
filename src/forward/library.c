/*
 * library.c - the MySQL client library, opened when the forwarder starts
 *
 * Runs in the forwarder alone, before its jail. dlopen finds the library
 * where the system's linker looks and nowhere else.
 */
#include "forward/library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/library.h"

static const struct {
	const char *soname;
	enum sql_flavour flavour;
} sonames[] = {
    {"libmariadb.so.3", SQL_MARIADB},
    {"libmysqlclient.so.24", SQL_MYSQL_8},
    {"libmysqlclient.so.23", SQL_MYSQL_8},
    {"libmysqlclient.so.22", SQL_MYSQL_8},
    {"libmysqlclient.so.21", SQL_MYSQL_8},
    {"libmysqlclient.so.20", SQL_MYSQL_5},
};

#define NOTE_TEXT                                                            \
	"[{\"feature\":\"mysql\",\"description\":\"Writes opens and clicks " \
	"into Postal's database\",\"priority\":\"recommended\",\"soname\":[" \
	"\"libmariadb.so.3\",\"libmysqlclient.so.24\","                      \
	"\"libmysqlclient.so.23\",\"libmysqlclient.so.22\","                 \
	"\"libmysqlclient.so.21\",\"libmysqlclient.so.20\"]}]"

LIBRARY_NOTE(NOTE_TEXT);

/* --- opening ----------------------------------------------------------- */

static const struct library_symbol symbols[] = {
#define SQL_SYMBOL(result, name, parameters) \
	{#name, offsetof(struct sql_library, call.name)},
    SQL_FUNCTIONS(SQL_SYMBOL)
#undef SQL_SYMBOL
};

static int
open_first(struct sql_library *l, struct err *e)
{
	char why[256] = "";

	for (size_t i = 0; i < ARRAY_LENGTH(sonames); i++) {
		l->handle = dlopen(sonames[i].soname, RTLD_NOW | RTLD_LOCAL);
		l->soname = sonames[i].soname;
		l->flavour = sonames[i].flavour;
		if (l->handle != NULL)
			return 0;
		/* The next dlopen frees the text of this one. */
		if (why[0] == '\0')
			(void)snprintf(why, sizeof(why), "%s", dlerror());
	}
	return err_set(e,
	    "there is no MySQL client library; install libmariadb3 (Debian, "
	    "Ubuntu), mariadb-connector-c (Fedora, RHEL) or libmariadb3 "
	    "(SUSE) (%.200s)",
	    why);
}

/* MYSQL_CLIENT_AUTHENTICATION_PLUGIN of both vendors. */
#define AUTHENTICATION_PLUGIN 2

/* One that is missing is no error: the server may never ask for it. */
static void
load_plugins(struct sql_library *l, MYSQL *any)
{
	static const char names[] = SQL_AUTH_PLUGINS;
	const char *p = names;

	while (*p != '\0') {
		size_t len = strcspn(p, ",");
		char name[64];

		(void)snprintf(name, sizeof(name), "%.*s", (int)len, p);
		(void)l->call.mysql_client_find_plugin(
		    any, name, AUTHENTICATION_PLUGIN);
		p += len + (p[len] == ',');
	}
}

int
sql_library_open(struct sql_library *l, struct err *e)
{
	MYSQL *any = NULL;

	memset(l, 0, sizeof(*l));
	if (open_first(l, e) != 0 || library_find(l->handle, l->soname, symbols,
					 ARRAY_LENGTH(symbols), l, e) != 0)
		return -1;
	if (l->call.mysql_server_init(0, NULL, NULL) != 0 ||
	    (any = l->call.mysql_init(NULL)) == NULL)
		return err_set(e, "%s cannot initialize itself", l->soname);
	load_plugins(l, any);
	l->call.mysql_close(any);
	return 0;
}

const char *
sql_library_version(const struct sql_library *l, char *text, size_t size)
{
	(void)snprintf(
	    text, size, "%s %.40s", l->soname, l->call.mysql_get_client_info());
	return text;
}

const struct sql_option_numbers *
sql_library_options(const struct sql_library *l)
{
	/* Positions in enum mysql_option; MySQL 8 took six options out. */
	static const struct sql_option_numbers numbers[] = {
	    [SQL_MARIADB] = {27, 21, 38, -1, 7026},
	    [SQL_MYSQL_5] = {27, -1, -1, 42, -1},
	    [SQL_MYSQL_8] = {21, -1, -1, 35, -1},
	};

	return &numbers[l->flavour];
}
