/*
 * value.h - the values that go into Postal's tables
 *
 * Pure. What an event of the spool becomes in `loads`, `clicks`, `messages`
 * and `webhook_requests`, so that Postal's readers find what they would have
 * found had Postal written it, and a strict-mode server takes every value,
 * whatever a visitor sent.
 */
#ifndef FORWARD_VALUE_H
#define FORWARD_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/span.h"
#include "base/uuid.h"
#include "ipc/message.h"

/* "xxxxxxxx-xxxx-8xxx-yxxx-xxxxxxxxxxxx" and a NUL. */
#define FORWARD_UUID_SIZE UUID_TEXT_SIZE
/* "-999999999999.999999" and a NUL. */
#define FORWARD_TIME_SIZE 21
/* Characters that varchar(255) takes, and the most bytes that they have. */
#define FORWARD_AGENT_CHARS 255
#define FORWARD_AGENT_SIZE (4 * FORWARD_AGENT_CHARS)

/*
 * webhook_requests.uuid of one event and one row of webhooks: the same for
 * the same three, so that an event written again after a lost answer is seen
 * to be the same. A version 8 UUID (RFC 9562, section 5.8), lower case; its
 * 122 free bits come from SipHash-2-4 with the node (16 random bytes of the
 * spool) as key:
 *
 *   first 8 bytes:  hash of 00, seq, webhook id   (numbers little-endian)
 *   last 8 bytes:   hash of 01, seq, webhook id
 *
 * It tells nothing about the node or the number of events.
 */
void forward_uuid(const uint8_t node[IPC_NODE_SIZE], uint64_t seq,
    uint64_t webhook_id, char text[FORWARD_UUID_SIZE]);

/*
 * Microseconds since 1970 as decimal(18,6): "1712345678.123456", always six
 * digits behind the point. What the column cannot hold, as only a broken
 * clock gives it, becomes the nearest value that it can.
 */
void forward_time_format(int64_t us, char text[FORWARD_TIME_SIZE]);

/* ip_address: canonical text, mapped IPv4 as IPv4. */
void forward_ip_format(const uint8_t ip[16], char text[ADDR_TEXT_SIZE]);

/*
 * user_agent of loads and clicks: repaired to valid UTF-8 and cut between
 * characters, in out. p is NULL for SQL NULL: the header was missing
 * (agent.p is NULL) or empty. White space alone stays as it is.
 */
struct span forward_user_agent(
    struct span agent, uint8_t out[FORWARD_AGENT_SIZE]);

/*
 * For a database whose character set is MySQL's old "utf8", of at most three
 * bytes: characters above U+FFFF become U+FFFD, in place. text is valid UTF-8;
 * the result is the new length.
 */
size_t forward_narrow(uint8_t *text, size_t len);

/* "MessageLoaded" of an open, "MessageLinkClicked" of a click. */
const char *forward_event_name(enum ipc_event_kind kind);

/* spam_status of a message; NULL in a column counts as false. */
const char *forward_spam_status(bool inspected, bool spam);

#endif
