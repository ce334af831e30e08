/*
 * asker.c - the keeper's channels to web workers
 *
 * Runs in the keeper, the stronger side: a worker that breaks a rule is named,
 * parted from, and the monitor asked to replace it; the others do not notice.
 */
#include "keeper/process.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "keeper/sign.h"
#include "tls/tls.h"

/* Signatures for one worker before the next one's turn. */
#define MESSAGES_A_ROUND 4

_Static_assert(IPC_TO_SIGN_MAX == TLS_TO_SIGN_MAX &&
		   IPC_SIGNATURE_MAX == TLS_SIGNATURE_MAX,
    "what a message holds");

void
asker_end(struct asker *a)
{
	(void)loop_remove(&a->keeper->loop, &a->watch);
	fd_close(&a->channel.fd);
}

static void
part_from(struct asker *a, const struct ipc_message *m, unsigned int breach)
{
	struct keeper *k = a->keeper;
	struct ipc_replace body = {a->instance, (uint8_t)breach};

	log_err("replace peer=web[%u] message=%s reason=\"%s\"", a->index,
	    m == NULL ? "?" : m->name, ipc_breach_text(breach));
	(void)ipc_send(&k->role.monitor, k->scratch, IPC_REPLACE, &body, -1);
	asker_end(a);
}

static bool
send_answer(struct asker *a)
{
	enum ipc_result sent = ipc_send_record(
	    &a->channel, (struct span){a->answer, a->answer_len}, -1);

	if (sent == IPC_AGAIN)
		return false;
	a->answer_len = 0;
	if (sent == IPC_CLOSED)
		asker_end(a);
	return true;
}

static void
answer(struct asker *a, const struct ipc_signed *body)
{
	struct writer w = writer_of(a->answer, sizeof(a->answer));

	(void)ipc_encode(&w, IPC_SIGNED, body);
	a->answer_len = w.len;
	if (!send_answer(a) &&
	    loop_change(&a->keeper->loop, &a->watch, EPOLLOUT) != 0)
		asker_end(a);
}

/* 0, or the breach. */
static unsigned int
sign(struct asker *a, const struct ipc_sign *ask)
{
	struct keeper_key *key = keys_find(&a->keeper->keys, ask->pair);
	uint8_t bytes[TLS_SIGNATURE_MAX];
	struct ipc_signed body = {.ask = ask->ask};
	enum keeper_result result;
	uint64_t held_back;
	size_t len = 0;

	if (!bucket_take(&a->bucket, clock_mono_ms()))
		return IPC_BREACH_FLOOD;
	/* Also of a pair that was just dropped: no excuse for other bytes. */
	if (!keeper_is_key_exchange(ask->bytes))
		return IPC_BREACH_FORM;
	if (key != NULL) {
		result = keeper_sign(key, ask->hash, ask->bytes, bytes, &len);
		if (result == KEEPER_MALFORMED || result == KEEPER_NO_HASH)
			return IPC_BREACH_FORM;
		body.ok = result == KEEPER_SIGNED;
		body.signature = (struct span){bytes, body.ok ? len : 0};
		if (!body.ok && log_limit_pass(&a->keeper->log_sign,
				    clock_mono_ms(), &held_back))
			log_err("sign pair=%u error=\"the signature went wrong "
				"and was not given\" more=%" PRIu64,
			    ask->pair, held_back);
	}
	answer(a, &body);
	return 0;
}

static void
on_channel(struct loop_watch *watch, uint32_t events)
{
	struct asker *a = (struct asker *)watch;
	struct keeper *k = a->keeper;
	struct ipc_received in;
	unsigned int breach;

	(void)events;
	if (a->answer_len > 0) {
		if (!send_answer(a) || a->channel.fd < 0)
			return;
		if (loop_change(&k->loop, &a->watch, EPOLLIN) != 0) {
			asker_end(a);
			return;
		}
	}
	for (int i = 0;
	     i < MESSAGES_A_ROUND && a->channel.fd >= 0 && a->answer_len == 0;
	     i++) {
		switch (ipc_receive(&a->channel, k->buffer, &in)) {
		case IPC_AGAIN:
			return;
		case IPC_CLOSED:
			asker_end(a);
			return;
		case IPC_BREACH:
			part_from(a, in.message, in.breach);
			return;
		default:
			/* The table lets nothing through but SIGN. */
			breach = sign(a, &in.body.sign);
			if (breach == 0)
				break;
			part_from(a, in.message, breach);
			return;
		}
	}
}

void
asker_add(struct keeper *k, const struct ipc_channel_offer *offer, int fd)
{
	struct asker *a = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(k->askers) && a == NULL; i++)
		if (k->askers[i].channel.fd < 0)
			a = &k->askers[i];
	if (a == NULL) {
		log_err("channel peer=web[%u]: too many workers", offer->index);
		fd_close(&fd);
		return;
	}
	*a = (struct asker){.watch = {fd, on_channel},
	    .keeper = k,
	    .channel = {fd, IPC_KEEPER, IPC_WEB},
	    .index = offer->index,
	    .instance = offer->instance};
	bucket_init(&a->bucket, k->settings.signs_per_second, clock_mono_ms());
	if (loop_add(&k->loop, &a->watch, EPOLLIN) != 0) {
		log_err(
		    "channel peer=web[%u]: cannot be watched", offer->index);
		a->watch.fd = -1;
		fd_close(&a->channel.fd);
	}
}
