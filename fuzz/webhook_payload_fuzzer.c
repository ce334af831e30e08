/*
 * webhook_payload_fuzzer.c - the YAML of webhooks from any values
 *
 * Input: a byte of flags, two bytes with a bit for each string (set: NULL),
 * two for how often the URL is repeated, eight for the message id, then the
 * strings in the order of `places`, between FF FF.
 *
 * Properties: at most FORWARD_PAYLOAD_MAX bytes; well-formed UTF-8 without a
 * control or anything that YAML breaks lines at; a small reader of our own,
 * written from the rules and not from the writer, finds the members in their
 * order and in each string what went in, repaired. Only the user agent may
 * be cut, and only where the next character would not have fitted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/utf8.h"
#include "forward/payload.h"
#include "fuzz/demand.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define URL_MAX 70000
/* What stands around the strings, generously. */
#define FRAME_MAX 512
#define ESCAPE_SIZE 6

enum flags {
	FLAG_CLICK = 1 << 0,
	FLAG_INSPECTED = 1 << 1,
	FLAG_SPAM = 1 << 2,
};

static const size_t places[] = {
    offsetof(struct forward_payload, message.token),
    offsetof(struct forward_payload, message.scope),
    offsetof(struct forward_payload, message.message_id),
    offsetof(struct forward_payload, message.rcpt_to),
    offsetof(struct forward_payload, message.mail_from),
    offsetof(struct forward_payload, message.subject),
    offsetof(struct forward_payload, message.timestamp),
    offsetof(struct forward_payload, message.tag),
    offsetof(struct forward_payload, url),
    offsetof(struct forward_payload, token),
    offsetof(struct forward_payload, ip),
    offsetof(struct forward_payload, user_agent),
};

/* The bytes up to the next FF FF, which is passed over. */
static struct span
next_string(struct cursor *c)
{
	const uint8_t *end = NULL;
	struct span s;

	if (c->left > 0)
		end = memmem(c->p, c->left, "\xff\xff", 2);
	s = cursor_bytes(c, end != NULL ? (size_t)(end - c->p) : c->left);
	if (end != NULL)
		(void)cursor_bytes(c, 2);
	return s;
}

static struct forward_payload
build(struct cursor *c, uint8_t *url)
{
	uint8_t flags = cursor_u8(c);
	uint16_t nulls = cursor_u16(c), repeat = cursor_u16(c);
	struct forward_payload p = {
	    .kind = flags & FLAG_CLICK ? IPC_EVENT_CLICK : IPC_EVENT_OPEN};
	struct writer w = writer_of(url, URL_MAX);

	p.message.inspected = (flags & FLAG_INSPECTED) != 0;
	p.message.spam = (flags & FLAG_SPAM) != 0;
	p.message.id = (int64_t)cursor_u64(c);
	for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
		struct span s = next_string(c);

		if (s.p == NULL)
			s.p = (const uint8_t *)"";
		if (nulls >> i & 1)
			s = (struct span){NULL, 0};
		memcpy((uint8_t *)&p + places[i], &s, sizeof(s));
	}
	if (p.url.p != NULL && p.url.len > 0) {
		for (unsigned i = 0; i <= repeat && !w.full; i++)
			writer_bytes(&w, p.url);
		p.url = writer_span(&w);
	}
	return p;
}

/* --- the reader ----------------------------------------------------------- */

struct reader {
	const uint8_t *p;
	size_t left;
};

static uint8_t
take(struct reader *r)
{
	demand(r->left > 0);
	r->left--;
	return *r->p++;
}

static void
expect(struct reader *r, const char *text)
{
	for (; *text != '\0'; text++)
		demand(take(r) == (uint8_t)*text);
}

static uint32_t
take_hex(struct reader *r)
{
	uint32_t code = 0;

	for (int i = 0; i < 4; i++) {
		uint8_t c = take(r);

		demand((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
		code =
		    code << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return code;
}

static size_t
encode(uint32_t code, uint8_t *out)
{
	if (code < 0x80) {
		out[0] = (uint8_t)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (uint8_t)(0xc0 | code >> 6);
		out[1] = (uint8_t)(0x80 | (code & 0x3f));
		return 2;
	}
	demand(code < 0xd800 || code > 0xdfff);
	out[0] = (uint8_t)(0xe0 | code >> 12);
	out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
	out[2] = (uint8_t)(0x80 | (code & 0x3f));
	return 3;
}

/* A string or null; what it says goes to out. Returns false for null. */
static bool
read_string(struct reader *r, struct writer *out)
{
	uint8_t c = take(r);

	if (c == 'n') {
		expect(r, "ull");
		return false;
	}
	demand(c == '"');
	while ((c = take(r)) != '"') {
		uint8_t bytes[4] = {c};
		size_t len = 1;

		if (c == '\\') {
			c = take(r);
			demand(c == '"' || c == '\\' || c == 'u');
			bytes[0] = c;
			if (c == 'u')
				len = encode(take_hex(r), bytes);
		}
		writer_bytes(out, (struct span){bytes, len});
	}
	demand(!out->full);
	return true;
}

static uint8_t got[FORWARD_PAYLOAD_MAX], want[3 * URL_MAX];

static void
check_string(struct reader *r, const char *key, struct span in)
{
	struct writer w = writer_of(got, sizeof(got));
	size_t len;

	expect(r, "\"");
	expect(r, key);
	expect(r, "\": ");
	demand(read_string(r, &w) == (in.p != NULL));
	len = in.len > 0 ? utf8_repair(in, SIZE_MAX, want, sizeof(want)) : 0;
	demand(span_equal(writer_span(&w), (struct span){want, len}));
}

/* Cut at 1 024 characters, or where the whole would have been too long. */
static void
check_agent(struct reader *r, struct span in, size_t total)
{
	struct writer w = writer_of(got, sizeof(got));
	size_t len = 0;

	expect(r, "\"user_agent\": ");
	demand(read_string(r, &w) == (in.p != NULL));
	if (in.len > 0)
		len = utf8_repair(
		    in, FORWARD_PAYLOAD_AGENT_CHARS, want, sizeof(want));
	demand(w.len <= len);
	demand(w.len == 0 || memcmp(got, want, w.len) == 0);
	demand(w.len == len || total + ESCAPE_SIZE > FORWARD_PAYLOAD_MAX);
	/* Between characters: the next byte begins one. */
	demand(w.len == len || (want[w.len] & 0xc0) != 0x80);
}

/* A float that YAML 1.1 and JSON agree on, equal to the column's text. */
static void
check_number(struct reader *r, struct span in)
{
	char text[80], column[sizeof(text)];
	size_t n = 0, dot = 0;

	while (r->left > 0 && *r->p != ',') {
		demand(n < sizeof(text) - 1);
		text[n++] = (char)take(r);
	}
	text[n] = '\0';
	dot = strcspn(text, ".");
	demand(strspn(text, "-0123456789.") == n);
	demand(dot > 0 && text[dot - 1] != '-' && dot + 1 < n);
	demand(strchr(text + dot + 1, '.') == NULL);
	if (in.p == NULL)
		in = span_of("0");
	if (span_to_text(in, column, sizeof(column)) == 0)
		demand(strtod(text, NULL) == strtod(column, NULL));
}

static void
check_message(struct reader *r, const struct forward_message *m)
{
	char id[64];
	const char *spam = "NotChecked";

	(void)snprintf(id, sizeof(id), "{\"id\": %lld, ", (long long)m->id);
	expect(r, id);
	check_string(r, "token", m->token);
	expect(r, ", ");
	check_string(r, "direction", m->scope);
	expect(r, ", ");
	check_string(r, "message_id", m->message_id);
	expect(r, ", ");
	check_string(r, "to", m->rcpt_to);
	expect(r, ", ");
	check_string(r, "from", m->mail_from);
	expect(r, ", ");
	check_string(r, "subject", m->subject);
	expect(r, ", \"timestamp\": ");
	check_number(r, m->timestamp);
	if (m->inspected)
		spam = m->spam ? "Spam" : "NotSpam";
	expect(r, ", ");
	check_string(r, "spam_status", span_of(spam));
	expect(r, ", ");
	check_string(r, "tag", m->tag);
	expect(r, "}, ");
}

static void
check_members(const struct forward_payload *p, struct span text)
{
	struct reader r = {text.p, text.len};

	expect(&r, "--- {\"message\": ");
	check_message(&r, &p->message);
	if (p->kind == IPC_EVENT_CLICK) {
		check_string(&r, "url", p->url);
		expect(&r, ", ");
		check_string(&r, "token", p->token);
		expect(&r, ", ");
	}
	check_string(&r, "ip_address", p->ip);
	expect(&r, ", ");
	check_agent(&r, p->user_agent, text.len);
	expect(&r, "}");
	demand(r.left == 0);
}

/* --- bytes ---------------------------------------------------------------- */

/* One character by the definition of UTF-8 (RFC 3629, section 3). */
static uint32_t
take_char(struct reader *r)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	uint8_t c = take(r);
	int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	uint32_t code = c;

	demand(c < 0x80 || (c >= 0xc0 && c < 0xf8));
	if (more > 0)
		code = c & (0x3fU >> more);
	for (int i = 0; i < more; i++) {
		c = take(r);
		demand((c & 0xc0) == 0x80);
		code = code << 6 | (c & 0x3f);
	}
	demand(code >= least[more] && code <= 0x10ffff);
	demand(code < 0xd800 || code > 0xdfff);
	return code;
}

static void
check_bytes(struct span text)
{
	struct reader r = {text.p, text.len};

	demand(text.len <= FORWARD_PAYLOAD_MAX);
	while (r.left > 0) {
		uint32_t code = take_char(&r);

		demand(code >= 0x20 && (code < 0x7f || code > 0xa0));
		demand(code != 0x2028 && code != 0x2029);
		demand(code != 0xfeff && code != 0xfffe && code != 0xffff);
	}
}

/* Whether it is plainly a number of a decimal column. */
static bool
is_decimal(struct span s)
{
	char text[32];
	size_t whole;

	if (s.p == NULL)
		return true;
	if (span_to_text(s, text, sizeof(text)) != 0)
		return false;
	whole = strspn(text, "0123456789");
	return whole > 0 && text[whole] == '.' &&
	       text[whole + 1 + strspn(text + whole + 1, "0123456789")] == '\0';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of((struct span){data, size});
	uint8_t *url = malloc(URL_MAX);
	uint8_t *out = malloc(FORWARD_PAYLOAD_MAX);
	struct writer w = writer_of(out, FORWARD_PAYLOAD_MAX);
	enum forward_payload_result result;
	struct forward_payload p;

	demand(url != NULL && out != NULL);
	p = build(&c, url);
	result = forward_payload_write(&p, &w);
	if (result == FORWARD_PAYLOAD_OK) {
		check_bytes(writer_span(&w));
		check_members(&p, writer_span(&w));
	} else {
		demand(w.len == 0);
	}
	if (result == FORWARD_PAYLOAD_NUMBER)
		demand(!is_decimal(p.message.timestamp));
	if (result == FORWARD_PAYLOAD_LONG)
		demand((size + p.url.len) * ESCAPE_SIZE + FRAME_MAX >
		       FORWARD_PAYLOAD_MAX);
	free(out);
	free(url);
	return 0;
}
