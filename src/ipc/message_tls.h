/*
 * message_tls.h - the messages about certificates, keys and signatures
 *
 * A part of message.h. The monitor names each pair of a chain and a key by a
 * number that it never uses again. It gives both to the keepers, and the chain
 * to the web workers once every keeper has taken the pair; a worker asks any
 * keeper for signatures by that number.
 */
#ifndef IPC_MESSAGE_TLS_H
#define IPC_MESSAGE_TLS_H

#include "ipc/message.h"

/* The longest files that are taken; their descriptors have to be sealed. */
#define IPC_CHAIN_FILE_MAX 131072
#define IPC_KEY_FILE_MAX 16384
/* So many pairs may live at a time, old ones that end beside new ones. */
#define IPC_PAIRS_MAX 4096
/* What is signed in a key exchange: two randoms, and a point of P-256. */
#define IPC_TO_SIGN_MAX 133
#define IPC_SIGNATURE_MAX 512

/* In PARAMS of a keeper. Its descriptors: monitor, chroot. */
struct ipc_keeper_settings {
	uint16_t index;
	uint32_t signs_per_second; /* of each channel; also its burst */
};

/* monitor to a keeper, with the chain (PEM): a new pair, first half. Its
 * PAIR_KEY is the next message. */
struct ipc_pair_chain {
	uint32_t pair;
	struct span name; /* of its directory, for the log */
};

/* monitor to a keeper, with the private key (PEM): the second half. */
struct ipc_pair_key {
	uint32_t pair;
};

/* a keeper to the monitor: the answer to PAIR_KEY. */
struct ipc_pair_result {
	uint32_t pair;
	uint8_t ok;
	struct span reason; /* why not; nothing of the key */
};

/* monitor to keepers and web workers: forget it. */
struct ipc_pair_drop {
	uint32_t pair;
};

enum ipc_certificate_kind {
	IPC_CERTIFICATE_NAMED,	 /* for all names in it, and that of its
				  * directory */
	IPC_CERTIFICATE_DEFAULT, /* and for names that are unknown */
	IPC_CERTIFICATE_OF_ROW,	 /* of Postal's table: for its domain, when no
				  * other pair is */
};

/* monitor to web, with the chain (PEM): a pair that keepers can sign with. */
struct ipc_certificate {
	uint32_t pair;
	uint8_t kind;	  /* enum ipc_certificate_kind */
	struct span name; /* of its directory, or the row's domain */
};

/* monitor to web: from now on serve exactly the pairs that were sent and not
 * dropped. */
struct ipc_certificates_done {
	uint8_t unused;
};

/* a web worker to a keeper: sign this key exchange. */
struct ipc_sign {
	uint64_t ask; /* comes back with the answer */
	uint32_t pair;
	uint8_t hash; /* enum tls_hash */
	struct span bytes;
};

/* a keeper to a web worker: the answer to SIGN. */
struct ipc_signed {
	uint64_t ask;
	uint8_t ok; /* 0: there is no such pair, or it went wrong */
	struct span signature;
};

#endif
