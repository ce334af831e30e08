/*
 * target.h - what a request to the admin listener asks for
 *
 * Pure. Paths are compared byte for byte; a query is looked at only where it
 * means something.
 */
#ifndef ADMIN_TARGET_H
#define ADMIN_TARGET_H

#include "base/span.h"
#include "ipc/message.h"

enum admin_route {
	ADMIN_OTHER,
	ADMIN_HEALTH,	  /* /health */
	ADMIN_READY,	  /* /ready */
	ADMIN_METRICS,	  /* /metrics */
	ADMIN_PERMISSION, /* /tls-permission?domain=<name> */
};

struct admin_target {
	enum admin_route route;
	/* Of ADMIN_PERMISSION, in lower case and without a last dot; empty
	 * when what stands there cannot be the name of a host. */
	size_t name_len;
	uint8_t name[IPC_DOMAIN_MAX];
};

/* Never fails. */
struct admin_target admin_target_decode(struct span target);

#endif
