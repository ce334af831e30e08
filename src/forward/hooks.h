/*
 * hooks.h - the webhooks that customers configured in Postal
 */
#ifndef FORWARD_HOOKS_H
#define FORWARD_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "forward/arena.h"
#include "forward/host.h"
#include "ipc/message.h"

struct hook {
	uint64_t id;
	uint32_t server_id;
	bool open, click; /* the events that it asks for */
	struct span url;  /* empty: Postal cannot deliver to it */
};

struct hooks {
	struct hook *list; /* ascending server_id, then id */
	size_t n;
	struct arena memory;
	uint64_t session; /* of main; 0: not read */
	uint64_t read_at_ms;
};

/* Reads them again when what is known is older than a second, or of another
 * connection. */
int hooks_refresh(
    struct hooks *h, struct host *main, uint64_t now_ms, struct err *e);
/* Makes the next hooks_refresh read. */
void hooks_forget(struct hooks *h);
/* Those of one server: *n elements from the result on. */
const struct hook *hooks_of(
    const struct hooks *h, uint32_t server_id, size_t *n);
void hooks_clear(struct hooks *h);

#endif
