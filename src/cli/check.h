/*
 * check.h - what the files of `postal-tracker check` share
 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include <stdbool.h>

#include "cli/internal.h"
#include "config/config.h"
#include "ipc/message.h"

/* The longest line; a longer one is cut. */
#define CHECK_LINE_SIZE 4096

struct check {
	const struct config *config;
	bool json;   /* --json: an object a line */
	bool failed; /* there was a FAIL */
	/* A connection to [main_db] and [message_db] could be had. */
	bool mysql_answers;
};

/*
 * Prints a line; verdict: "ok", "warn" or "FAIL". Control characters are
 * shown as `?`. The text is `subject: sentence; remedy`: what it is about
 * ("[section] key", or words before the first colon), what is so, and what to
 * do about it; --json cuts it at the first ": " and, when not ok, the first
 * "; ".
 */
void check_say(struct check *k, const char *verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Loopback, private, shared and link-local networks: where proxies are, and
 * hardly any reader of mail. Sources: RFC 1122, 1918, 3927, 6598, 4193, 4291. */
bool check_is_private(const struct addr *a);

/* check_kernel.c: what locks the roles up, and the users they run as. */
void check_kernel(struct check *k);
void check_users(struct check *k);
/* A user that a process runs as; key: "[sandbox] web_user". */
void check_user(struct check *k, const char *key, const char *name);

/* check_limits.c: descriptors for [clients] max_connections: as this command
 * would start the daemon, and as the running one has them. */
void check_limits(struct check *k);
void check_limits_of_daemon(struct check *k);

/* check_listen.c: each address of [http], [https] and [admin] listen. */
void check_listeners(struct check *k);

/* check_spool.c: the spool directory, its file system and store.sock. */
void check_spool(struct check *k);

/* check_clock.c: this machine's clock by itself. */
void check_clock(struct check *k);

/* check_clients.c: whether visitors' addresses arrive, as the running daemon
 * sees them. */
void check_clients(struct check *k, struct ask *a);
void check_proxy_headers(struct check *k, const struct ipc_status *s);

/* check_mysql.c: all that the forwarder needs of Postal's databases. Nothing
 * in stand-alone mode. */
void check_mysql(struct check *k);

/* check_forwarder.c: what the daemon's store says of the forwarder. */
void check_forwarder(struct check *k, const struct ipc_status *s);

/* check_log.c: where the access log goes. */
void check_log(struct check *k);

/* check_certificates.c: each pair of [https] certificates, and who is served
 * it. */
void check_certificates(struct check *k);

/* check_domains.c: Postal's tracking domains. */
void check_domains(struct check *k);

/* check_acme.c: the directory of challenges. */
void check_acme(struct check *k);

#endif
