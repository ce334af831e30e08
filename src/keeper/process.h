/*
 * process.h - what the files of the keeper's process share
 */
#ifndef KEEPER_PROCESS_H
#define KEEPER_PROCESS_H

#include "base/log.h"
#include "base/loop.h"
#include "keeper/bucket.h"
#include "keeper/key.h"
#include "role/role.h"

#define ASKERS_MAX 256
/* Of SIGNED: 13 bytes and the longest signature. */
#define ANSWER_MAX (16 + IPC_SIGNATURE_MAX)

/* --- keys.c: the keys, by number -------------------------------------- */

struct key {
	uint32_t id;
	struct keeper_key *key;
};

struct keys {
	struct key list[IPC_PAIRS_MAX]; /* by rising id */
	size_t n;
	/* The chain whose key has not come yet; 0: none. */
	uint32_t half;
	bool half_of_row; /* of track_certificates, not of a directory */
	int half_status;  /* 0, or -1 with the reason in half_error */
	struct err half_error;
	struct tls_certificate chain; /* borrows der */
	uint8_t *text, *der;
};

int keys_open(struct keys *p, struct err *e);
/* Wipes all keys. */
void keys_close(struct keys *p);

/* Reads the chain of a new pair. fd stays the caller's. What is wrong is said
 * when the key comes. -1: not now, or not this number. */
int keys_chain(struct keys *p, const struct ipc_pair_chain *chain, int fd);
/* Reads the key of the pair whose chain came before. KEYS_TAKEN, KEYS_BAD
 * with the reason, or KEYS_ORDER. */
enum keys_result { KEYS_TAKEN, KEYS_BAD, KEYS_ORDER };
enum keys_result keys_key(struct keys *p, uint32_t id, int fd, struct err *e);
/* What the chain that was read last shows, for the answer. */
void keys_describe(const struct keys *p, struct ipc_pair_result *result);
void keys_drop(struct keys *p, uint32_t id);
/* NULL: there is none of this number. */
struct keeper_key *keys_find(const struct keys *p, uint32_t id);

/* --- asker.c: the channels to web workers ------------------------------ */

struct keeper;

struct asker {
	struct loop_watch watch; /* first: the watch is the asker */
	struct keeper *keeper;
	struct ipc_channel channel; /* fd -1: the place is free */
	uint16_t index;
	uint64_t instance;
	struct bucket bucket;
	/* An answer that found no room; nothing is read before it is away. */
	uint8_t answer[ANSWER_MAX];
	size_t answer_len;
};

/* Owner: takes fd. */
void asker_add(struct keeper *k, const struct ipc_channel_offer *offer, int fd);
void asker_end(struct asker *a);

struct keeper {
	struct role role;
	struct loop loop;
	struct loop_watch monitor_watch;
	struct ipc_keeper_settings settings;
	bool stopping;
	struct log_limit log_sign;
	uint8_t *buffer, *scratch; /* IPC_RECORD_MAX bytes each */
	struct keys keys;
	struct asker askers[ASKERS_MAX];
};

#endif
