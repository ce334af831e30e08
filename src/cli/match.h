/*
 * match.h - whether a chain and a private key belong together
 */
#ifndef CLI_MATCH_H
#define CLI_MATCH_H

#include "cli/internal.h"

/* A keeper of our own. */
struct match {
	const struct config *config;
	struct ipc_channel monitor; /* fd -1: none runs */
	pid_t keeper;
	uint32_t last; /* number of a pair */
	uint64_t waited_ms;
	uint8_t *buffer, *scratch;
};

/*
 * Starts the role that has the private keys, as sandboxed as the daemon's, for
 * the time of this command. -1 with the reason.
 *
 * Security: so no byte of a key comes into the process of the command, and a
 * file that is made to break its reader meets the keeper's jail.
 */
int match_open(struct match *m, const struct config *c, struct err *e);
void match_close(struct match *m);

/* false: the keepers took so long that no more pairs are asked about. */
bool match_has_time(const struct match *m);

/*
 * Asks about one pair. result->reason borrows memory of m until the next
 * call. -1: the keeper did not answer; another one is started for the next
 * pair. Owner: the caller, of both descriptors.
 */
int match_pair(struct match *m, const char *name, int chain_fd, int key_fd,
    struct ipc_pair_result *result, struct err *e);

#endif
