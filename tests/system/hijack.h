/*
 * hijack.h - a role of the real binary, with a test in the monitor's place
 *
 * What peer.c, keeper_peer.c and web_peer.c begin with: they start a role,
 * give it channels to those that the test plays, and misbehave as one of them.
 * Whatever goes wrong ends the program with a line on stderr.
 */
#ifndef HIJACK_H
#define HIJACK_H

#include <sys/types.h>

#include "ipc/channel.h"
#include "monitor/spawn.h"

/* The good worker and the bad one, as the monitor names them. */
#define GOOD 1001
#define BAD 2002

_Noreturn void stop_with(const char *what);

/*
 * Starts the role that spawn describes, of this binary, and waits until it is
 * ready.
 *
 * Owner: the descriptors of spawn stay the caller's.
 */
void start_role(const char *tracker, const struct spawn *spawn, pid_t *pid,
    struct ipc_channel *monitor);

/* Asks it to stop; it has to end with 0. */
void stop_role(pid_t pid, const struct ipc_channel *monitor);

/* Hands the role a channel to a peer of this role and instance; its other
 * end, which is the caller's. */
struct ipc_channel offer_channel(
    const struct ipc_channel *monitor, unsigned int role, uint64_t instance);

/* The next message, within 10 s. What in points into is good until the next
 * call. */
enum ipc_result receive(const struct ipc_channel *c, struct ipc_received *in);

/* The next message of one type; others before it are passed over. */
struct ipc_received expect(const struct ipc_channel *c, enum ipc_type type);

/* The role has to ask for the bad worker's replacement, for this breach. */
void expect_accusation(const struct ipc_channel *monitor, unsigned int reason);

/* fd: a descriptor to go with it, or -1. */
void send_message(
    const struct ipc_channel *c, enum ipc_type type, const void *body, int fd);

/* A record as it is, be it a message or not. */
void send_bytes(const struct ipc_channel *c, const void *bytes, size_t len);

#endif
