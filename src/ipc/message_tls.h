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
	/* Of its directory, or of a row: IPC_NAME_OF_ROWS and its domain. A
	 * refusal speaks of the files of the one, the columns of the other. */
	struct span name;
};

/* monitor to a keeper, with the private key (PEM): the second half. */
struct ipc_pair_key {
	uint32_t pair;
};

/* What a chain shows of itself; texts by ipc_chain_text. */
enum ipc_chain {
	IPC_CHAIN_UNKNOWN = 0, /* it could not be read */
	IPC_CHAIN_COMPLETE,    /* issued by one another, the last by a root */
	IPC_CHAIN_SELF_ISSUED, /* one certificate, which no authority issued */
	IPC_CHAIN_LONE,	       /* one, whose issuer does not come with it */
	IPC_CHAIN_DISORDER,    /* one is not issued by the next */
	IPC_CHAIN_END,
};

/* a keeper to the monitor: the answer to PAIR_KEY. Of the chain, as far as it
 * could be read; else zero. */
struct ipc_pair_result {
	uint32_t pair;
	uint8_t ok;
	uint8_t chain;	 /* enum ipc_chain */
	uint8_t n_chain; /* certificates in it */
	uint16_t n_names;
	int64_t not_before, not_after; /* of the first; Unix seconds */
	struct span reason;	       /* why not; nothing of the key */
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

/* What became of a pair; names by ipc_certificate_state_name. */
enum ipc_certificate_state {
	IPC_CERTIFICATE_SERVED = 1,
	IPC_CERTIFICATE_KEPT,	 /* a newer one was refused: the one before it
				  * is served */
	IPC_CERTIFICATE_REFUSED, /* and there is none before it */
	IPC_CERTIFICATE_WAITING, /* no keeper has answered yet */
	IPC_CERTIFICATE_STATE_END,
};

/* The pair of a name. What describes the chain is of the one that is served,
 * else of the one that was refused, as far as that could be read. */
struct ipc_pair_state_row {
	struct span name;
	uint8_t state;	    /* enum ipc_certificate_state */
	uint8_t chain;	    /* enum ipc_chain */
	uint8_t n_chain;    /* certificates in it */
	uint16_t n_names;   /* of its first certificate */
	int64_t not_before; /* Unix seconds; 0: not known */
	int64_t not_after;
	struct span reason; /* why the newest was refused; else empty */
};

/* monitor to the store, in parts: all pairs by rising name, whenever one of
 * them changed. */
struct ipc_certificate_states {
	uint8_t flags;	      /* enum ipc_part_flags */
	struct ipc_list rows; /* struct ipc_pair_state_row */
};

/* a tool or admin: the pairs behind this name; answered by CERTIFICATES, which
 * is empty at the end. Admin gets no reasons. */
struct ipc_certificates_get {
	struct span after_name; /* empty: from the first */
};
struct ipc_certificates {
	struct ipc_list rows; /* struct ipc_pair_state_row */
};

/* "served"; "?" when it is none. */
const char *ipc_certificate_state_name(unsigned int state);
/* "complete", "intermediate missing"; "?" when it is none. */
const char *ipc_chain_text(unsigned int chain);

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
