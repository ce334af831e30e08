/*
 * config.h - tracker.conf as a struct
 *
 * The directive table in directives.c is the one place where a key, its type,
 * range, default and sentence of documentation stand; parsing, `config`,
 * `check` and the manual all walk it. Read by the monitor, the forwarder and
 * the commands; no other role sees a configuration file.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/err.h"

#define CONFIG_LISTEN_MAX 64
#define CONFIG_WORKERS_MAX 64
#define CONFIG_TRUSTED_MAX 256
#define CONFIG_TEXT_SIZE 256
#define CONFIG_PATH_SIZE 1024

struct config_endpoints {
	struct endpoint list[CONFIG_LISTEN_MAX];
	size_t n;
};

struct config_networks {
	struct network list[CONFIG_TRUSTED_MAX];
	size_t n;
};

enum config_choice {
	CONFIG_PROXY_NO,
	CONFIG_PROXY_YES,
	CONFIG_PROXY_HTTPS,  /* on [https] listen alone */
	CONFIG_SANDBOX_AUTO, /* required as root, else what is possible */
	CONFIG_SANDBOX_REQUIRED,
	CONFIG_SANDBOX_BEST_EFFORT,
	CONFIG_ACTION_TRAP,
	CONFIG_ACTION_KILL,
	CONFIG_DURABILITY_SYNC,
	CONFIG_DURABILITY_RELAXED,
	CONFIG_MODE_STANDALONE,
	CONFIG_MODE_MYSQL,
	CONFIG_ACCESS_OFF,
	CONFIG_ACCESS_TEXT,
	CONFIG_ACCESS_JSON,
	CONFIG_LEVEL_ERROR,
	CONFIG_LEVEL_WARN,
	CONFIG_LEVEL_NOTICE,
	CONFIG_LEVEL_INFO,
	CONFIG_LEVEL_DEBUG,
};

struct config_database {
	char host[CONFIG_TEXT_SIZE];
	uint64_t port;
	char socket[CONFIG_PATH_SIZE];
	char user[CONFIG_TEXT_SIZE];
	char password_file[CONFIG_PATH_SIZE];
	char database[CONFIG_TEXT_SIZE]; /* [main_db] */
	char prefix[CONFIG_TEXT_SIZE];	 /* [message_db] */
	char tls_ca[CONFIG_PATH_SIZE];
};

/* Durations in milliseconds, sizes in bytes. */
struct config {
	struct {
		struct config_endpoints listen;
		uint64_t workers; /* 0: one a core */
		char public_address[CONFIG_TEXT_SIZE];
	} http;
	struct {
		struct config_endpoints listen; /* none: HTTPS is off */
		char certificates[CONFIG_PATH_SIZE];
		char acme_challenges[CONFIG_PATH_SIZE];
		uint64_t keepers;
		uint64_t max_handshakes; /* of each worker */
		uint64_t handshake_timeout;
	} https;
	struct {
		enum config_choice proxy_protocol;
		struct config_networks trusted_proxies;
		uint64_t max_connections; /* of all workers together */
		uint64_t max_connections_per_address;
		uint64_t max_header_size;
		uint64_t header_timeout;
		uint64_t idle_timeout;
	} clients;
	struct {
		bool count_head;
	} tracking;
	struct {
		enum config_choice sandbox;
		enum config_choice action;
		char web_user[CONFIG_TEXT_SIZE];
		char keeper_user[CONFIG_TEXT_SIZE];
		char store_user[CONFIG_TEXT_SIZE];
		char binder[CONFIG_PATH_SIZE];
	} sandbox;
	struct {
		char directory[CONFIG_PATH_SIZE];
		char socket[CONFIG_PATH_SIZE];
		enum config_choice durability;
		uint64_t max_wait;
		uint64_t max_size;
		uint64_t retention;
	} spool;
	struct {
		enum config_choice mode;
	} postal;
	struct config_database main_db;
	struct config_database message_db;
	struct {
		uint64_t lookup_timeout;
		uint64_t retention;
	} links;
	struct {
		char user[CONFIG_TEXT_SIZE];
		uint64_t batch;
		uint64_t poll;
	} forwarder;
	struct {
		struct config_endpoints listen;
	} admin;
	struct {
		enum config_choice level;
		enum config_choice access;
		char access_file[CONFIG_PATH_SIZE];
	} log;
};

enum config_type {
	CONFIG_BOOL,	  /* yes, no */
	CONFIG_NUMBER,	  /* uint64_t, least..most */
	CONFIG_DURATION,  /* uint64_t ms, least..most */
	CONFIG_SIZE,	  /* uint64_t bytes, least..most */
	CONFIG_CHOICE,	  /* enum config_choice, one of `choices` */
	CONFIG_TEXT,	  /* char[CONFIG_TEXT_SIZE], least..most bytes */
	CONFIG_PATH,	  /* char[CONFIG_PATH_SIZE], least..most bytes;
			   * absolute, or empty when least is 0 */
	CONFIG_ENDPOINTS, /* struct config_endpoints, at most `most` */
	CONFIG_NETWORKS,  /* struct config_networks, at most `most` */
};

struct config_choice_name {
	const char *name;
	enum config_choice value;
};

struct config_directive {
	const char *section;
	const char *key;
	enum config_type type;
	size_t offset; /* in struct config */
	uint64_t least, most;
	const struct config_choice_name *choices; /* ends with a NULL name */
	const char *initial; /* the default, as it would be written */
	const char *doc;     /* one line for tracker.conf and the manual */
};

/* The table, in the order of tracker.conf. */
extern const struct config_directive config_directives[];
extern const size_t config_n_directives;

/* Where a value came from. */
#define CONFIG_DIRECTIVES_MAX 96
struct config_origins {
	struct {
		char file[CONFIG_PATH_SIZE]; /* "" : the default */
		unsigned int line;
	} of[CONFIG_DIRECTIVES_MAX]; /* index as in config_directives */
};

/* All that is wrong with the files, in order, each "file:line: what". */
#define CONFIG_ERRORS_MAX 32
struct config_errors {
	struct err list[CONFIG_ERRORS_MAX];
	size_t n; /* may be larger than the list: so many were found */
};

/* What tracker.conf holds when it is empty. */
void config_defaults(struct config *c);

/*
 * Reads path, then every *.conf of the directory path + ".d" in the order of
 * their names (bytewise, without those that begin with a dot); a later value
 * replaces an earlier one of the same key, keys that stand nowhere have their
 * default. path NULL: the packaged place, and the defaults when there is no
 * file. origins may be NULL. 0, or -1 with at least one error in errors; then
 * *c and *origins are as they were.
 */
int config_load(const char *path, struct config *c,
    struct config_origins *origins, struct config_errors *errors);

/* The same from memory, for tests and fuzzing; name stands in errors. */
int config_parse(struct span text, const char *name, struct config *c,
    struct config_origins *origins, struct config_errors *errors);

/* The value of a directive as it would be written; text of any length is cut
 * at size. CONFIG_VALUE_SIZE is enough for every value. */
#define CONFIG_VALUE_SIZE 16384
void config_format_value(const struct config *c,
    const struct config_directive *d, char *text, size_t size);

/* What may be written: "yes or no", "1s to 1h"; cut at size. For errors,
 * tracker.conf and the manual. */
#define CONFIG_RANGE_SIZE 160
void config_format_range(
    const struct config_directive *d, char *text, size_t size);

/* The name of a choice, for logs. */
const char *config_choice_text(
    const struct config_directive *d, enum config_choice value);

/* Where tracker.conf is when no -c is given. */
const char *config_default_path(void);
/* The settings of postal-tracker-acme, beside it. */
const char *config_acme_path(void);

#endif
