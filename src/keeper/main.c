/*
 * main.c - the keeper: the only role that has private keys
 *
 * A user of its own, an empty root, no files, no network. It has a channel to
 * the monitor, which gives it keys, and one to each web worker, which gets
 * signatures of key exchanges and nothing else.
 */
#include "keeper/keeper.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "keeper/process.h"

/* In the order of the descriptors that the monitor passes. */
#define EMPTY_ROOT_FD (ROLE_FIRST_FD + 0)
#define DESCRIPTORS (ASKERS_MAX + 32)
/* A thousand keys of RSA with 4096 bits, and all else, fit into it. */
#define HEAP_SIZE ((size_t)32 * 1024 * 1024)

static struct keeper keeper;

/* --- memory ------------------------------------------------------------ */

/*
 * Makes the heap one piece from the start, which is kept out of core dumps
 * and, as far as the limit goes, out of swap. Best effort: cores are off, and
 * the process cannot be dumped by others.
 */
static void
guard_heap(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct rlimit limit = {0};
	uint8_t *piece, *first, *end;
	size_t size;

	(void)mallopt(M_MMAP_THRESHOLD, (int)HEAP_SIZE);
	(void)mallopt(M_TRIM_THRESHOLD, (int)HEAP_SIZE * 2);
	(void)mallopt(M_TOP_PAD, (int)HEAP_SIZE);
	/* More than what may be left of the first piece: so it grows now. */
	piece = malloc(HEAP_SIZE / 2);
	end = sbrk(0);
	/* Not so with another malloc, as a sanitizer's. */
	if (piece == NULL || piece > end ||
	    (size_t)(end - piece) < HEAP_SIZE / 2 ||
	    (size_t)(end - piece) > HEAP_SIZE * 3)
		goto out;
	first = piece - (uintptr_t)piece % page;
	size = (size_t)(end - first);
	(void)madvise(first, size, MADV_DONTDUMP);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < size)
		size = (size_t)limit.rlim_cur / page * page;
	(void)mlock2(first, size, MLOCK_ONFAULT);
out:
	free(piece);
}

/* --- the monitor ------------------------------------------------------- */

static void
stop_for(const char *reason)
{
	log_err("stop reason=\"%s\"", reason);
	keys_close(&keeper.keys);
	exit(EX_PROTOCOL);
}

static void
on_channel_offer(struct keeper *k, const union ipc_body *body, int fd)
{
	if (body->channel.role != IPC_WEB)
		stop_for("the monitor offers a channel to whom it may not");
	asker_add(k, &body->channel, fd);
}

static void
on_chain(struct keeper *k, const union ipc_body *body, int fd)
{
	if (keys_chain(&k->keys, &body->pair_chain, fd) != 0)
		stop_for("the monitor sent a message out of order");
	fd_close(&fd);
}

static void
on_key(struct keeper *k, const union ipc_body *body, int fd)
{
	struct ipc_pair_result result = {.pair = body->pair_key.pair};
	struct err e = {0};

	switch (keys_key(&k->keys, result.pair, fd, &e)) {
	case KEYS_TAKEN:
		result.ok = 1;
		break;
	case KEYS_BAD:
		result.reason = span_of(e.text);
		break;
	default:
		stop_for("the monitor sent a message out of order");
	}
	keys_describe(&k->keys, &result);
	fd_close(&fd);
	if (ipc_send(&k->role.monitor, k->scratch, IPC_PAIR_RESULT, &result,
		-1) != IPC_OK)
		stop_for("the monitor does not read");
}

static void
on_drop(struct keeper *k, const union ipc_body *body, int fd)
{
	(void)fd;
	keys_drop(&k->keys, body->pair_drop.pair);
}

static void
on_ping(struct keeper *k, const union ipc_body *body, int fd)
{
	(void)body;
	(void)fd;
	role_answer(&k->role);
}

static void
on_stop(struct keeper *k, const union ipc_body *body, int fd)
{
	(void)body;
	(void)fd;
	k->stopping = true;
}

static const struct {
	enum ipc_type type;
	void (*handle)(struct keeper *k, const union ipc_body *body, int fd);
} handlers[] = {
    {IPC_CHANNEL, on_channel_offer},
    {IPC_PAIR_CHAIN, on_chain},
    {IPC_PAIR_KEY, on_key},
    {IPC_PAIR_DROP, on_drop},
    {IPC_PING, on_ping},
    {IPC_STOP, on_stop},
};

static bool
handle(struct keeper *k, const struct ipc_received *in)
{
	for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++) {
		if (handlers[i].type != in->message->type)
			continue;
		handlers[i].handle(k, &in->body, in->fd);
		return true;
	}
	return false;
}

/* One message a round: a key may take a while, and workers wait. */
static void
on_monitor(struct loop_watch *watch, uint32_t events)
{
	struct keeper *k = &keeper;
	struct ipc_received in;

	(void)watch;
	(void)events;
	switch (ipc_receive(&k->role.monitor, k->buffer, &in)) {
	case IPC_AGAIN:
		break;
	case IPC_CLOSED:
		k->stopping = true;
		break;
	case IPC_BREACH:
		stop_for("the monitor sent a message that is not in the table");
		break;
	default:
		if (!handle(k, &in))
			stop_for("the monitor sent a message out of order");
	}
}

/* --- the whole --------------------------------------------------------- */

static void
after_round(void *owner)
{
	struct keeper *k = owner;

	if (k->stopping)
		loop_stop(&k->loop);
}

static int
start(struct keeper *k, const char *argv0, struct err *e)
{
	struct role_needs needs = {
	    .root_fd = EMPTY_ROOT_FD, .descriptors = DESCRIPTORS};

	guard_heap();
	if (role_take(&k->role, IPC_KEEPER, argv0, IPC_KEEPER_SETTINGS, e) != 0)
		return -1;
	k->settings = k->role.settings.keeper_settings;
	k->buffer = k->role.buffer;
	k->scratch = malloc(IPC_RECORD_MAX);
	if (k->scratch == NULL)
		return err_errno(e, "no memory");
	for (size_t i = 0; i < ARRAY_LENGTH(k->askers); i++)
		k->askers[i].channel.fd = k->askers[i].watch.fd = -1;
	if (keeper_key_init(e) != 0 || keys_open(&k->keys, e) != 0 ||
	    loop_open(&k->loop, k, e) != 0 ||
	    role_restrict(&k->role, &needs, e) != 0)
		return -1;
	k->monitor_watch = (struct loop_watch){k->role.monitor.fd, on_monitor};
	if (loop_add(&k->loop, &k->monitor_watch, EPOLLIN) != 0)
		return err_errno(e, "cannot watch the monitor");
	k->loop.after_round = after_round;
	return role_ready(&k->role, false, e);
}

int
keeper_main(const char *argv0)
{
	struct err e;

	if (start(&keeper, argv0, &e) != 0 || loop_run(&keeper.loop, &e) != 0)
		role_fatal(&e);
	keys_close(&keeper.keys);
	return EX_OK;
}
