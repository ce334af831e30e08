/*
 * replica.h - what the forwarder says of Postal's servers, links and domains,
 * in replica.db
 *
 * Writing; looking up is links.h. All writing happens between
 * replica_begin and replica_commit, in small pieces, so that a look-up never
 * waits long. The number of links is kept with each change: nobody counts ten
 * million rows.
 */
#ifndef STORE_REPLICA_H
#define STORE_REPLICA_H

#include "store/links.h"

enum database_result replica_begin(struct links_db *l, struct err *e);
enum database_result replica_commit(struct links_db *l, struct err *e);
void replica_rollback(struct links_db *l);

/* A server that is gone is kept, for its events that are still on their way;
 * its progress is forgotten, so that its links are swept away. */
enum database_result replica_put_server(struct links_db *l, uint32_t id,
    struct span token, bool gone, struct err *e);
/* Adds a link or replaces the one of this server, token and id. */
enum database_result replica_put_link(struct links_db *l, uint32_t server_id,
    const struct ipc_known_link_row *link, struct err *e);
enum database_result replica_put_progress(
    struct links_db *l, const struct ipc_replica_row *progress, struct err *e);
enum database_result replica_each_progress(struct links_db *l,
    void (*visit)(void *owner, const struct ipc_replica_row *progress),
    void *owner, struct err *e);
enum database_result replica_clear_domains(struct links_db *l, struct err *e);
enum database_result replica_put_domain(
    struct links_db *l, const struct ipc_domain_row *domain, struct err *e);

/* Domains behind (name, server_id) in this order, until visit returns false.
 * The row is borrowed. Nothing is visited while there is no replica. */
enum database_result replica_each_domain(struct links_db *l,
    const struct ipc_domains_get *after,
    bool (*visit)(void *owner, const struct ipc_domain_row *domain),
    void *owner, struct err *e);

/* Whether there is a domain of this name, without case; DATABASE_FAILED while
 * there is no replica. */
enum database_result replica_has_domain(
    struct links_db *l, struct span name, bool *has, struct err *e);

enum database_result replica_clear_challenges(
    struct links_db *l, struct err *e);
/* In the order of Postal's table: of two with the same token, the first. */
enum database_result replica_put_challenge(
    struct links_db *l, const struct ipc_challenge_row *row, struct err *e);
/* Without case, an exact one first; empty: there is none. Lent until
 * replica_end_challenge. */
struct span replica_find_challenge(struct links_db *l, struct span token);
void replica_end_challenge(struct links_db *l);
bool replica_has_challenges(struct links_db *l);

/* A place in the order of the primary key of links; zeroed: before all. */
struct replica_place {
	uint32_t server_id;
	uint64_t link_id;
	uint8_t len;
	uint8_t token[IPC_TOKEN_MAX];
};

/*
 * Looks at the next `most` links behind *place, moves it on and deletes those
 * that is_old says; stops earlier when REPLICA_SWEEP_MAX were. *end: the last
 * link was seen, and *place is zeroed.
 */
#define REPLICA_SWEEP_MAX 128
enum database_result replica_sweep(struct links_db *l,
    struct replica_place *place, unsigned int most,
    bool (*is_old)(void *owner, uint32_t server_id, uint64_t link_id),
    void *owner, bool *end, struct err *e);

#endif
