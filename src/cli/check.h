/*
 * check.h - what the files of `postal-tracker check` share
 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include <stdbool.h>

#include "config/config.h"
#include "ipc/message.h"

/* The longest line; a longer one is cut. */
#define CHECK_LINE_SIZE 4096

struct check {
	const struct config *config;
	const struct config_origins *origins;
	bool failed; /* there was a FAIL */
};

/* Prints a line; verdict: "ok", "warn" or "FAIL". The text names what it is
 * about, and the remedy. Control characters are shown as `?`. */
void check_say(struct check *k, const char *verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A user that a process runs as; key: "[sandbox] web_user". */
void check_user(struct check *k, const char *key, const char *name);

/* check_mysql.c: all that the forwarder needs of Postal's databases. Nothing
 * in stand-alone mode. */
void check_mysql(struct check *k);

/* check_forwarder.c: what the daemon's store says of the forwarder. */
void check_forwarder(struct check *k, const struct ipc_status *s);

/* check_certificates.c: each pair of [https] certificates, and who is served
 * it. */
void check_certificates(struct check *k);

/* check_domains.c: Postal's tracking domains. */
void check_domains(struct check *k);

/* check_acme.c: the directory of challenges. */
void check_acme(struct check *k);

#endif
