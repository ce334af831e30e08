/*
 * payload.c - the text of a webhook: the payload column of webhook_requests
 *
 * Pure; run by the forwarder. User agent, URL and all text of the message
 * come from strangers.
 */
#include "forward/payload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/utf8.h"
#include "forward/value.h"

/* The longest form of a character: \uXXXX. */
#define ESCAPE_SIZE 6
/* Behind the last character of the user agent. */
#define ENDING "\"}"
/* MySQL's decimal has no more digits. A float of so many is still finite,
 * which JSON demands. */
#define DECIMAL_DIGITS_MAX 65

/* Code points that a YAML reader refuses, folds or drops when they are raw. */
static const struct {
	uint32_t least, most;
} escaped[] = {
    {0x0000, 0x001f},
    {'"', '"'},
    {'\\', '\\'},
    {0x007f, 0x00a0},
    {0x2028, 0x2029},
    {0xfeff, 0xfeff},
    {0xfffe, 0xffff},
};

/* The strings between id and timestamp, in their order. */
static const struct member {
	const char *key;
	size_t offset; /* of a span in struct forward_message */
} message_strings[] = {
    {"token", offsetof(struct forward_message, token)},
    {"direction", offsetof(struct forward_message, scope)},
    {"message_id", offsetof(struct forward_message, message_id)},
    {"to", offsetof(struct forward_message, rcpt_to)},
    {"from", offsetof(struct forward_message, mail_from)},
    {"subject", offsetof(struct forward_message, subject)},
};

/* c: the bytes of one character, from utf8_take. */
static uint32_t
code_point(struct span c)
{
	static const uint8_t first_mask[] = {0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = c.p[0] & first_mask[c.len - 1];

	for (size_t i = 1; i < c.len; i++)
		code = code << 6 | (c.p[i] & 0x3f);
	return code;
}

static void
put_char(struct writer *w, struct span c)
{
	uint32_t code = code_point(c);
	bool escape = false;
	char text[ESCAPE_SIZE + 1];

	for (size_t i = 0; i < ARRAY_LENGTH(escaped); i++)
		if (code >= escaped[i].least && code <= escaped[i].most)
			escape = true;
	if (!escape) {
		writer_bytes(w, c);
	} else if (code == '"' || code == '\\') {
		writer_u8(w, '\\');
		writer_bytes(w, c);
	} else {
		(void)snprintf(
		    text, sizeof(text), "\\u%04x", (unsigned)(code & 0xffff));
		writer_text(w, text);
	}
}

static void
put_string(struct writer *w, struct span text)
{
	if (text.p == NULL) {
		writer_text(w, "null");
		return;
	}
	writer_u8(w, '"');
	while (text.len > 0 && !w->full)
		put_char(w, utf8_take(&text));
	writer_u8(w, '"');
}

/* key is one of ours: nothing in it to escape. */
static void
put_key(struct writer *w, const char *key)
{
	writer_u8(w, '"');
	writer_text(w, key);
	writer_text(w, "\": ");
}

static void
put_member(struct writer *w, const char *key, struct span text)
{
	writer_text(w, ", ");
	put_key(w, key);
	put_string(w, text);
}

/* How many digits a begins with. */
static size_t
digits(struct span a)
{
	size_t n = 0;

	while (n < a.len && a.p[n] >= '0' && a.p[n] <= '9')
		n++;
	return n;
}

/*
 * "1700000000.100000" as 1700000000.1: a reader of YAML 1.1 or JSON has to
 * see a float, so one digit behind the point stays, and no exponent is made.
 */
static int
put_decimal(struct writer *w, struct span text)
{
	bool negative = text.len > 0 && text.p[0] == '-';
	struct span whole, fraction;

	if (text.p == NULL)
		text = span_of("0.0");
	if (negative)
		text = (struct span){text.p + 1, text.len - 1};
	whole = (struct span){text.p, digits(text)};
	fraction = (struct span){text.p + whole.len, text.len - whole.len};
	if (fraction.len > 0 && fraction.p[0] == '.')
		fraction = (struct span){fraction.p + 1, fraction.len - 1};
	else if (fraction.len > 0)
		return -1;
	if (whole.len == 0 || digits(fraction) != fraction.len ||
	    whole.len + fraction.len > DECIMAL_DIGITS_MAX)
		return -1;
	while (whole.len > 1 && whole.p[0] == '0')
		whole = (struct span){whole.p + 1, whole.len - 1};
	while (fraction.len > 0 && fraction.p[fraction.len - 1] == '0')
		fraction.len--;
	writer_text(w, negative ? "-" : "");
	writer_bytes(w, whole);
	writer_u8(w, '.');
	writer_bytes(w, fraction.len > 0 ? fraction : span_of("0"));
	return 0;
}

static int
put_message(struct writer *w, const struct forward_message *m)
{
	char id[sizeof("-9223372036854775808")];

	(void)snprintf(id, sizeof(id), "%" PRId64, m->id);
	writer_u8(w, '{');
	put_key(w, "id");
	writer_text(w, id);
	for (size_t i = 0; i < ARRAY_LENGTH(message_strings); i++) {
		const struct member *row = &message_strings[i];
		struct span text;

		memcpy(&text, (const uint8_t *)m + row->offset, sizeof(text));
		put_member(w, row->key, text);
	}
	writer_text(w, ", ");
	put_key(w, "timestamp");
	if (put_decimal(w, m->timestamp) != 0)
		return -1;
	put_member(w, "spam_status",
	    span_of(forward_spam_status(m->inspected, m->spam)));
	put_member(w, "tag", m->tag);
	writer_u8(w, '}');
	return 0;
}

/* The last member: as much of it as leaves space for the ending. */
static void
put_agent(struct writer *w, struct span agent)
{
	writer_text(w, ", ");
	put_key(w, "user_agent");
	if (agent.p == NULL) {
		writer_text(w, "null}");
		return;
	}
	writer_u8(w, '"');
	for (size_t n = 0; n < FORWARD_PAYLOAD_AGENT_CHARS; n++) {
		uint8_t bytes[ESCAPE_SIZE];
		struct writer one = writer_of(bytes, sizeof(bytes));

		if (agent.len == 0 || w->full)
			break;
		put_char(&one, utf8_take(&agent));
		if (w->cap - w->len < one.len + strlen(ENDING))
			break;
		writer_bytes(w, writer_span(&one));
	}
	writer_text(w, ENDING);
}

enum forward_payload_result
forward_payload_write(const struct forward_payload *p, struct writer *w)
{
	struct writer out = *w;

	if (out.cap - out.len > FORWARD_PAYLOAD_MAX)
		out.cap = out.len + FORWARD_PAYLOAD_MAX;
	writer_text(&out, "--- {");
	put_key(&out, "message");
	if (put_message(&out, &p->message) != 0)
		return FORWARD_PAYLOAD_NUMBER;
	if (p->kind == IPC_EVENT_CLICK) {
		put_member(&out, "url", p->url);
		put_member(&out, "token", p->token);
	}
	put_member(&out, "ip_address", p->ip);
	put_agent(&out, p->user_agent);
	if (out.full)
		return FORWARD_PAYLOAD_LONG;
	w->len = out.len;
	return FORWARD_PAYLOAD_OK;
}
