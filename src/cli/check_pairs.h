/*
 * check_pairs.h - what the files of `check` about certificates share
 */
#ifndef CLI_CHECK_PAIRS_H
#define CLI_CHECK_PAIRS_H

#include "cli/certificates.h"
#include "cli/check.h"
#include "cli/match.h"
#include "monitor/certificates.h"
#include "tls/set.h"

/* Lines of pairs that are in order. */
#define CHECK_PAIRS_LINES 20

struct pair_look {
	char *name;
	char reason[ERR_TEXT_SIZE + 16]; /* why it is of no use; "": it is */
	const struct tls_identity *identity;
};

struct pairs_look {
	struct check *k;
	struct match match;
	bool has_keeper;
	struct certificates directory;
	struct pair_look *list;
	size_t n;
	struct tls_set *set;
	struct certificate_states states; /* of the running daemon */
	bool has_states;
	int64_t now;
	size_t n_good, n_faulty;
	uint8_t *pem; /* IPC_CHAIN_FILE_MAX */
};

/* check_pair.c: what is wrong with one pair, or who is served it. */
void check_pair(struct pairs_look *l, const struct pair_look *one);

/* check_rows.c: those of Postal's table; how many are served. */
size_t check_pairs_of_rows(struct pairs_look *l);

#endif
