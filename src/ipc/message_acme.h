/*
 * message_acme.h - the messages of ACME challenges and tracking domains
 *
 * A part of message.h.
 */
#ifndef IPC_MESSAGE_ACME_H
#define IPC_MESSAGE_ACME_H

#include "ipc/message.h"

#define IPC_CHALLENGE_TOKEN_MAX 128
/* A key authorization is a token, a dot and 43 characters. */
#define IPC_CHALLENGE_TEXT_MAX 1024

/* a web worker to the store: what lies under this token? */
struct ipc_challenge {
	uint64_t ask;
	/* Characters of base64url; empty: the path cannot be a challenge's,
	 * and all that is asked is whether challenges are answered here. */
	struct span token;
};

enum ipc_challenge_status {
	IPC_CHALLENGE_FOUND = 1,
	IPC_CHALLENGE_NONE,
	IPC_CHALLENGE_OFF, /* [https] acme_challenges is not set */
};
struct ipc_challenged {
	uint64_t ask;
	uint8_t status; /* enum ipc_challenge_status */
	struct span text;
};

/* a tool: Postal's tracking domains, in order of name and server, behind
 * these two; answered by DOMAINS, which is empty at the end. */
struct ipc_domains_get {
	uint32_t after_server;
	struct span after_name; /* empty: from the first */
};
struct ipc_domains {
	struct ipc_list rows; /* struct ipc_domain_row */
};

#endif
