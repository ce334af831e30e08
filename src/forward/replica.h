/*
 * replica.h - what the files of the replication share
 */
#ifndef FORWARD_REPLICA_H
#define FORWARD_REPLICA_H

#include "forward/forwarder.h"

/* replica_read.c: links of one message database, to the store. Each reads one
 * page at most; -1: the database's failure, or the store's. */

/* Newer links than the replica has. *full: there may be more. */
int replica_read_newer(
    struct forwarder *f, struct mail_server *server, bool *full, struct err *e);
/* Older links, downwards; sets server->complete at the end. */
int replica_read_older(
    struct forwarder *f, struct mail_server *server, struct err *e);
/* Ids that were missing. */
int replica_read_gaps(
    struct forwarder *f, struct mail_server *server, struct err *e);
/* Moves the lower end to what [links] retention says now. */
int replica_move_retention(
    struct forwarder *f, struct mail_server *server, struct err *e);

/* replicate_links.c: how long it is since nothing was left to read. */
void replica_note_lag(struct forwarder *f, bool more);

#endif
