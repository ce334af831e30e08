/*
 * library.h - the MySQL client library, opened when the forwarder starts
 *
 * It brings libssl, libcrypto and zlib along, so no other process maps it:
 * the binary is not linked with it, and its functions are reached through
 * the table here. Headers of one vendor and the library of another go
 * together: what is used is the same in both, but for the options' numbers,
 * which the flavour decides. Only files of forward/ include this.
 */
#ifndef FORWARD_LIBRARY_H
#define FORWARD_LIBRARY_H

#include <mysql.h>
#include <stdbool.h>

#include "base/err.h"

/* MySQL's headers have lost my_bool; it was a char, and is a bool. */
#if defined(MARIADB_BASE_VERSION) || defined(MARIADB_VERSION_ID) || \
    MYSQL_VERSION_ID < 80000
typedef my_bool sql_bool;
#else
typedef bool sql_bool;
#endif

enum sql_flavour {
	SQL_MARIADB, /* libmariadb.so.3 */
	SQL_MYSQL_5, /* libmysqlclient.so.20 */
	SQL_MYSQL_8, /* libmysqlclient.so.21 and later */
};

/* Every function that is called, by the name it has there. The shape is
 * (result, name, parameters). */
#define SQL_FUNCTIONS(X)                                                      \
	X(int, mysql_server_init, (int, char **, char **))                    \
	X(MYSQL *, mysql_init, (MYSQL *))                                     \
	X(int, mysql_options, (MYSQL *, enum mysql_option, const void *))     \
	X(MYSQL *, mysql_real_connect,                                        \
	    (MYSQL *, const char *, const char *, const char *, const char *, \
		unsigned int, const char *, unsigned long))                   \
	X(void, mysql_close, (MYSQL *))                                       \
	X(int, mysql_real_query, (MYSQL *, const char *, unsigned long))      \
	X(unsigned int, mysql_field_count, (MYSQL *))                         \
	X(MYSQL_RES *, mysql_store_result, (MYSQL *))                         \
	X(void, mysql_free_result, (MYSQL_RES *))                             \
	X(unsigned int, mysql_errno, (MYSQL *))                               \
	X(const char *, mysql_error, (MYSQL *))                               \
	X(int, mysql_ping, (MYSQL *))                                         \
	X(const char *, mysql_get_client_info, (void))                        \
	X(const char *, mysql_get_server_info, (MYSQL *))                     \
	X(const char *, mysql_get_ssl_cipher, (MYSQL *))                      \
	X(struct st_mysql_client_plugin *, mysql_client_find_plugin,          \
	    (MYSQL *, const char *, int))                                     \
	X(MYSQL_STMT *, mysql_stmt_init, (MYSQL *))                           \
	X(int, mysql_stmt_prepare,                                            \
	    (MYSQL_STMT *, const char *, unsigned long))                      \
	X(unsigned long, mysql_stmt_param_count, (MYSQL_STMT *))              \
	X(unsigned int, mysql_stmt_field_count, (MYSQL_STMT *))               \
	X(sql_bool, mysql_stmt_bind_param, (MYSQL_STMT *, MYSQL_BIND *))      \
	X(int, mysql_stmt_execute, (MYSQL_STMT *))                            \
	X(sql_bool, mysql_stmt_bind_result, (MYSQL_STMT *, MYSQL_BIND *))     \
	X(int, mysql_stmt_store_result, (MYSQL_STMT *))                       \
	X(int, mysql_stmt_fetch, (MYSQL_STMT *))                              \
	X(int, mysql_stmt_fetch_column,                                       \
	    (MYSQL_STMT *, MYSQL_BIND *, unsigned int, unsigned long))        \
	X(sql_bool, mysql_stmt_free_result, (MYSQL_STMT *))                   \
	X(sql_bool, mysql_stmt_close, (MYSQL_STMT *))                         \
	X(unsigned long long, mysql_stmt_affected_rows, (MYSQL_STMT *))       \
	X(unsigned long long, mysql_stmt_insert_id, (MYSQL_STMT *))           \
	X(unsigned int, mysql_stmt_errno, (MYSQL_STMT *))                     \
	X(const char *, mysql_stmt_error, (MYSQL_STMT *))

struct sql_library {
	void *handle;	    /* NULL: not opened */
	const char *soname; /* the one that was found */
	enum sql_flavour flavour;
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration. */
#define SQL_POINTER(result, name, parameters) result(*name) parameters;
	struct {
		SQL_FUNCTIONS(SQL_POINTER)
	} call;
#undef SQL_POINTER
};

/*
 * Opens the library, finds every function, lets it initialize itself, and
 * has it load the plugins for logging in that it would look for later, in a
 * jail where it can load nothing. Call it before the jail, as root or not. It
 * is never closed: libssl and libcrypto leave handlers behind.
 * -1 when there is none; the error names the packages.
 */
int sql_library_open(struct sql_library *l, struct err *e);

/* "libmariadb.so.3 3.3.19". text is cut at size. Returns text. */
const char *sql_library_version(
    const struct sql_library *l, char *text, size_t size);

/* Numbers of options that are not the same everywhere; -1: it has none. */
struct sql_option_numbers {
	int ssl_ca;
	int ssl_verify; /* whether to check certificate and name */
	int ssl_enforce;
	int ssl_mode;	     /* MySQL's way to say both */
	int restricted_auth; /* the only ways to log in */
};
const struct sql_option_numbers *sql_library_options(
    const struct sql_library *l);

/* The ways to log in that a server may ask for: none that would send the
 * password as it is. */
#define SQL_AUTH_PLUGINS                                              \
	"mysql_native_password,client_ed25519,caching_sha2_password," \
	"sha256_password,parsec"

#endif
