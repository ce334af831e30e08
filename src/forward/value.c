/*
 * value.c - the values that go into Postal's tables
 *
 * Pure; run by the forwarder.
 */
#include "forward/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "base/uuid.h"

#define US_PER_SECOND 1000000
/* decimal(18,6): twelve digits of seconds. */
#define TIME_MOST_US UINT64_C(999999999999999999)

static void
hash_half(const struct hash_key *key, uint8_t half, uint64_t seq,
    uint64_t webhook_id, struct writer *out)
{
	uint8_t bytes[1 + 2 * sizeof(uint64_t)];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u8(&w, half);
	writer_u64(&w, seq);
	writer_u64(&w, webhook_id);
	writer_u64(out, hash_bytes(key, writer_span(&w)));
}

void
forward_uuid(const uint8_t node[IPC_NODE_SIZE], uint64_t seq,
    uint64_t webhook_id, char text[FORWARD_UUID_SIZE])
{
	struct cursor c = cursor_of((struct span){node, IPC_NODE_SIZE});
	struct hash_key key = {0};
	uint8_t id[16];
	struct writer w = writer_of(id, sizeof(id));

	key.k0 = cursor_u64(&c);
	key.k1 = cursor_u64(&c);
	hash_half(&key, 0, seq, webhook_id, &w);
	hash_half(&key, 1, seq, webhook_id, &w);
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x80);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	uuid_format(id, text);
}

void
forward_time_format(int64_t us, char text[FORWARD_TIME_SIZE])
{
	const char *sign = us < 0 ? "-" : "";
	uint64_t size = us < 0 ? -(uint64_t)us : (uint64_t)us;

	if (size > TIME_MOST_US)
		size = TIME_MOST_US;
	(void)snprintf(text, FORWARD_TIME_SIZE, "%s%" PRIu64 ".%06u", sign,
	    size / US_PER_SECOND, (unsigned)(size % US_PER_SECOND));
}

void
forward_ip_format(const uint8_t ip[16], char text[ADDR_TEXT_SIZE])
{
	struct addr a;

	memcpy(a.ip, ip, sizeof(a.ip));
	addr_format(&a, text);
}

struct span
forward_user_agent(struct span agent, uint8_t out[FORWARD_AGENT_SIZE])
{
	if (agent.p == NULL || agent.len == 0)
		return (struct span){NULL, 0};
	return (struct span){out,
	    utf8_repair(agent, FORWARD_AGENT_CHARS, out, FORWARD_AGENT_SIZE)};
}

size_t
forward_narrow(uint8_t *text, size_t len)
{
	static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};
	size_t out = 0;

	for (size_t i = 0; i < len;) {
		if (text[i] < 0xf0 || len - i < 4) {
			text[out++] = text[i++];
			continue;
		}
		for (size_t j = 0; j < sizeof(replacement); j++)
			text[out++] = replacement[j];
		i += 4;
	}
	return out;
}

const char *
forward_event_name(enum ipc_event_kind kind)
{
	return kind == IPC_EVENT_CLICK ? "MessageLinkClicked" : "MessageLoaded";
}

const char *
forward_spam_status(bool inspected, bool spam)
{
	if (!inspected)
		return "NotChecked";
	return spam ? "Spam" : "NotSpam";
}
