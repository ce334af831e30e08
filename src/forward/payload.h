/*
 * payload.h - the text of a webhook: the payload column of webhook_requests
 *
 * Pure. Postal reads the column as YAML, and a text that it cannot read
 * stays in its table for ever, locked. So the writer is strict: whatever the
 * input holds, the output is YAML 1.1 that every version of Postal reads back
 * as the same values, in one line:
 *
 *   --- {"message": {"id": 5, "token": "...", ...}, "ip_address": "...", ...}
 *
 * Members stand in the order of Postal 3.x. Keys and strings are in double
 * quotes, numbers and null bare. Escaped as \" \\ \uXXXX: quote, backslash,
 * C0 and C1 controls, DEL, U+00A0, U+2028, U+2029, U+FEFF, U+FFFE, U+FFFF.
 * All else is raw UTF-8: above U+FFFF because the reader refuses surrogate
 * pairs. Bytes that are not UTF-8 become U+FFFD (base/utf8.h). String keys
 * give the same JSON body as Postal's symbol keys.
 */
#ifndef FORWARD_PAYLOAD_H
#define FORWARD_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "ipc/message.h"

/* Bytes of a TEXT column; writers of this size are never too small. */
#define FORWARD_PAYLOAD_MAX 65535
/* Characters of a user agent; fewer when the rest leaves less space. */
#define FORWARD_PAYLOAD_AGENT_CHARS 1024

/* The row of messages as it is now. A span with p NULL is NULL; one with p
 * but without length is "". */
struct forward_message {
	int64_t id;
	struct span token;
	struct span scope; /* "outgoing" or "incoming": direction */
	struct span message_id;
	struct span rcpt_to;
	struct span mail_from;
	struct span subject;
	struct span timestamp; /* decimal text, as the column gives it */
	bool inspected, spam;  /* NULL is false */
	struct span tag;
};

struct forward_payload {
	enum ipc_event_kind kind;
	struct forward_message message;
	struct span url;	/* of a click: links.url */
	struct span token;	/* of a click: links.token, as stored */
	struct span ip;		/* text */
	struct span user_agent; /* p NULL: no header; empty stays "" */
};

enum forward_payload_result {
	FORWARD_PAYLOAD_OK,
	FORWARD_PAYLOAD_LONG,	/* does not fit, even without a user agent */
	FORWARD_PAYLOAD_NUMBER, /* message.timestamp is not a decimal number */
};

/*
 * Appends the payload to w: at most FORWARD_PAYLOAD_MAX bytes, no newline.
 * With any result but OK nothing was appended, and the webhook has to be
 * skipped and counted. A timestamp of NULL is written as 0.0.
 */
enum forward_payload_result forward_payload_write(
    const struct forward_payload *p, struct writer *w);

#endif
