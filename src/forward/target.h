/*
 * target.h - [main_db] and [message_db] as the two places to connect to
 */
#ifndef FORWARD_TARGET_H
#define FORWARD_TARGET_H

#include <stdbool.h>

#include "base/err.h"
#include "config/config.h"
#include "forward/secret.h"
#include "forward/sql.h"

/* Bounds of every wait, in seconds; the caller may change them. */
#define TARGET_CONNECT_TIMEOUT_S 5
#define TARGET_IO_TIMEOUT_S 20
#define TARGET_LOCK_TIMEOUT_S 2

/* What systemd's LoadCredential= names the passwords. */
#define TARGET_MAIN_CREDENTIAL "main_db_password"
#define TARGET_MESSAGE_CREDENTIAL "message_db_password"

struct targets {
	/* Strings of the configuration and the secrets, which have to live
	 * as long. message.database is "": names are given in full. */
	struct sql_target main, message;
	const char *prefix; /* of the message databases: "postal" */
	/* One server: one ledger, and transactions over both can be made. */
	bool same_server;
	/* And the same login: one connection serves both. */
	bool same_connection;
	struct secret main_secret, message_secret;
};

/*
 * Reads nothing: hosts, ports, sockets, users and CA files with each empty
 * key of [message_db] taken from [main_db] as its line in tracker.conf says;
 * passwords are "" and same_connection as if they were equal.
 */
void targets_resolve(const struct config *c, struct targets *t);

/*
 * targets_resolve, then the passwords: of [main_db] from password_file or
 * the credential main_db_password; of [message_db] from its password_file,
 * the credential message_db_password, or as of [main_db]. Owner: the caller,
 * targets_clear, also after a failure. The error names section and file.
 */
int targets_open(const struct config *c, struct targets *t, struct err *e);

/* Wipes the passwords. */
void targets_clear(struct targets *t);

#endif
