/*
 * check_mysql.h - what the files of `check` about MySQL share
 */
#ifndef CLI_CHECK_MYSQL_H
#define CLI_CHECK_MYSQL_H

#include "cli/check.h"
#include "forward/databases.h"

struct check_mysql {
	struct check *k;
	struct databases d;
	bool main_up, message_up; /* connected */
	bool servers;		  /* d.servers were read */
};

/* check_schema.c: tables, grants and the ledger; what is connected. */
void check_schema(struct check_mysql *m);

/* check_tracking.c: what Postal thinks of the DNS of its tracking domains. */
void check_tracking_domains(struct check_mysql *m);

/* check_message.c: the message database of each mail server. */
void check_message_databases(struct check_mysql *m);

#endif
