/*
 * hello.c - the first message of a client, read before any engine runs
 *
 * Pure.
 */
#include "tls/hello.h"

#include <string.h>

#include "base/array.h"
#include "tls/certificate.h"

#define RECORD_ALERT 21
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO 1
#define MESSAGE_HEADER 4
#define RANDOM_SIZE 32

static enum tls_hello_result
wrong(struct tls_failure *f, enum tls_reason reason, enum tls_alert alert,
    const char *text)
{
	*f = (struct tls_failure){reason, (uint8_t)alert, text};
	return TLS_HELLO_WRONG;
}

/* --- gathering --------------------------------------------------------- */

void
tls_gather_init(struct tls_gather *g, uint8_t *memory)
{
	*g = (struct tls_gather){.memory = memory};
}

static const char proxy_header[] = "a PROXY header that is not expected";

bool
tls_is_proxy_header(const struct tls_failure *f)
{
	return f->text == proxy_header;
}

/* As both versions of the PROXY protocol begin; it comes in one piece. */
static bool
begins_like_proxy_header(uint8_t first, struct span rest)
{
	static const uint8_t v2[] = {
	    '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

	return (first == 'P' && span_starts(rest, span_of("ROXY "))) ||
	       (first == '\r' &&
		   span_starts(rest, (struct span){v2, sizeof(v2)}));
}

static enum tls_hello_result
not_tls(const struct tls_gather *g, struct span rest, struct tls_failure *f)
{
	uint8_t c = g->header[0];
	const char *text = c >= 'A' && c <= 'Z'
			       ? "plain HTTP on a port for HTTPS"
			       : "this is not TLS";

	return wrong(f, TLS_REASON_NOT_TLS, TLS_ALERT_UNEXPECTED_MESSAGE,
	    begins_like_proxy_header(c, rest) ? proxy_header : text);
}

static enum tls_hello_result
take_header(struct tls_gather *g, struct tls_failure *f)
{
	size_t len = (size_t)g->header[3] << 8 | g->header[4];
	uint8_t type = g->header[0];

	if ((type != RECORD_HANDSHAKE && type != RECORD_ALERT) ||
	    g->header[1] != 3)
		return not_tls(g, span_of(""), f);
	if (len > TLS_HELLO_MAX)
		return wrong(f, TLS_REASON_BROKEN, TLS_ALERT_RECORD_OVERFLOW,
		    "a record is too long");
	if (len == 0 || (type == RECORD_ALERT && len != 2))
		return wrong(f, TLS_REASON_BROKEN, TLS_ALERT_DECODE_ERROR,
		    "a record has a length that cannot be");
	if (type == RECORD_ALERT && g->len > 0)
		return wrong(f, TLS_REASON_BROKEN, TLS_ALERT_UNEXPECTED_MESSAGE,
		    "an alert inside of the first message");
	g->left = (uint16_t)len;
	return TLS_HELLO_MORE;
}

/* Some bytes of the record's inside were added. */
static enum tls_hello_result
look(struct tls_gather *g, struct tls_failure *f)
{
	const uint8_t *m = g->memory + TLS_RECORD_HEADER;
	size_t total;

	if (g->header[0] == RECORD_ALERT) {
		if (g->left > 0)
			return TLS_HELLO_MORE;
		return wrong(f, TLS_REASON_CLIENT_ALERT, (enum tls_alert)m[1],
		    "the client sent an alert");
	}
	if (m[0] != CLIENT_HELLO)
		return wrong(f, TLS_REASON_BROKEN, TLS_ALERT_UNEXPECTED_MESSAGE,
		    "the first message is not a ClientHello");
	if (g->len < MESSAGE_HEADER)
		return TLS_HELLO_MORE;
	total = MESSAGE_HEADER +
		((size_t)m[1] << 16 | (size_t)m[2] << 8 | (size_t)m[3]);
	if (total > TLS_HELLO_MAX)
		return wrong(f, TLS_REASON_BROKEN, TLS_ALERT_DECODE_ERROR,
		    "the ClientHello is too long");
	if (g->len + g->left > total)
		return wrong(f, TLS_REASON_BROKEN, TLS_ALERT_UNEXPECTED_MESSAGE,
		    "more than a ClientHello in its record");
	return g->len == total ? TLS_HELLO_DONE : TLS_HELLO_MORE;
}

static enum tls_hello_result
take_inside(struct tls_gather *g, struct span *bytes, struct tls_failure *f)
{
	size_t n = bytes->len < g->left ? bytes->len : g->left;

	if (n > TLS_HELLO_MAX - g->len)
		return wrong(f, TLS_REASON_BROKEN, TLS_ALERT_DECODE_ERROR,
		    "the ClientHello is too long");
	memcpy(g->memory + TLS_RECORD_HEADER + g->len, bytes->p, n);
	bytes->p += n;
	bytes->len -= n;
	g->len += n;
	g->left = (uint16_t)(g->left - n);
	if (g->left == 0)
		g->n_header = 0;
	return look(g, f);
}

enum tls_hello_result
tls_gather_take(struct tls_gather *g, struct span *bytes, struct tls_failure *f)
{
	enum tls_hello_result r = TLS_HELLO_MORE;

	while (r == TLS_HELLO_MORE && bytes->len > 0) {
		if (g->left > 0) {
			r = take_inside(g, bytes, f);
			continue;
		}
		g->header[g->n_header++] = bytes->p[0];
		bytes->p++;
		bytes->len--;
		/* Other protocols show in their first byte. */
		if (g->n_header == 1 && g->header[0] != RECORD_HANDSHAKE &&
		    g->header[0] != RECORD_ALERT)
			r = not_tls(g, *bytes, f);
		else if (g->n_header == TLS_RECORD_HEADER)
			r = take_header(g, f);
	}
	return r;
}

struct span
tls_gather_message(const struct tls_gather *g)
{
	return (struct span){g->memory + TLS_RECORD_HEADER, g->len};
}

struct span
tls_gather_record(struct tls_gather *g)
{
	const uint8_t header[TLS_RECORD_HEADER] = {
	    RECORD_HANDSHAKE, 3, 1, (uint8_t)(g->len >> 8), (uint8_t)g->len};

	memcpy(g->memory, header, sizeof(header));
	return (struct span){g->memory, TLS_RECORD_HEADER + g->len};
}

/* --- fields ------------------------------------------------------------ */

/* Numbers of TLS are big-endian. */
static uint16_t
take16(struct cursor *c)
{
	uint16_t high = cursor_u8(c);

	return (uint16_t)(high << 8 | cursor_u8(c));
}

static struct cursor
take_list8(struct cursor *c)
{
	return cursor_of(cursor_bytes(c, cursor_u8(c)));
}

static struct cursor
take_list16(struct cursor *c)
{
	return cursor_of(cursor_bytes(c, take16(c)));
}

/* Server name: the one of type 0 counts. */
static int
read_name(struct tls_hello *h, struct cursor *c)
{
	struct cursor list = take_list16(c);

	while (!list.bad && list.left > 0) {
		uint8_t type = cursor_u8(&list);
		struct cursor name = take_list16(&list);

		if (type != 0)
			continue;
		if (h->name.len > 0 || name.left == 0 ||
		    name.left > TLS_NAME_MAX + 1 ||
		    memchr(name.p, '\0', name.left) != NULL)
			return -1;
		h->name = (struct span){name.p, name.left};
	}
	return list.bad ? -1 : 0;
}

/* 2^9 to 2^12; the engine cuts its records accordingly. */
static int
read_fragment(struct tls_hello *h, struct cursor *c)
{
	uint8_t n = cursor_u8(c);

	h->bad_fragment = n < 1 || n > 4;
	return 0;
}

static int
read_groups(struct tls_hello *h, struct cursor *c)
{
	struct cursor list = take_list16(c);

	h->groups = 0;
	while (!list.bad && list.left > 0) {
		uint16_t group = take16(&list);

		if (group < 32)
			h->groups |= 1u << group;
	}
	return list.bad ? -1 : 0;
}

/* Hash in the first byte, from 4 = SHA-256; key in the second. */
static int
read_signatures(struct tls_hello *h, struct cursor *c)
{
	struct cursor list = take_list16(c);

	while (!list.bad && list.left > 0) {
		unsigned int hash = cursor_u8(&list) - 4u;
		uint8_t key = cursor_u8(&list);

		if (hash >= TLS_HASHES)
			continue;
		if (key == 1)
			h->signatures |= TLS_SIGNATURE_BIT(TLS_KEY_RSA, hash);
		else if (key == 3)
			h->signatures |= TLS_SIGNATURE_BIT(TLS_KEY_EC, hash);
	}
	return list.bad ? -1 : 0;
}

static int
read_alpn(struct tls_hello *h, struct cursor *c)
{
	struct cursor list = take_list16(c);

	h->has_alpn = true;
	while (!list.bad && list.left > 0) {
		struct cursor name = take_list8(&list);

		if (span_equal(
			(struct span){name.p, name.left}, span_of("http/1.1")))
			h->has_http11 = true;
	}
	return list.bad ? -1 : 0;
}

static int
read_versions(struct tls_hello *h, struct cursor *c)
{
	struct cursor list = take_list8(c);

	h->has_versions = true;
	while (!list.bad && list.left > 0)
		if (take16(&list) == 0x0303)
			h->has_tls12 = true;
	return list.bad ? -1 : 0;
}

/* Only first handshakes: there is nothing to bind to yet. */
static int
read_renegotiation(struct tls_hello *h, struct cursor *c)
{
	(void)h;
	return cursor_u8(c) == 0 ? 0 : -1;
}

static const struct {
	uint16_t type;
	int (*read)(struct tls_hello *h, struct cursor *c);
} extensions[] = {
    {0x0000, read_name},
    {0x0001, read_fragment},
    {0x000a, read_groups},
    {0x000d, read_signatures},
    {0x0010, read_alpn},
    {0x002b, read_versions},
    {0xff01, read_renegotiation},
};

static int
read_extension(struct tls_hello *h, struct cursor *c)
{
	uint16_t type = take16(c);
	struct cursor value = take_list16(c);

	if (c->bad)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(extensions); i++) {
		if (extensions[i].type != type)
			continue;
		if ((h->seen & 1u << i) != 0)
			return -1;
		h->seen |= 1u << i;
		return extensions[i].read(h, &value) != 0 ? -1
							  : cursor_end(&value);
	}
	return 0;
}

/* The body of the message, behind its header. */
static int
read_body(struct tls_hello *h, struct cursor *c)
{
	struct cursor list;

	h->version = take16(c);
	h->random = cursor_bytes(c, RANDOM_SIZE);
	list = take_list8(c);
	h->session_id = (struct span){list.p, list.left};
	list = take_list16(c);
	h->suites = (struct span){list.p, list.left};
	list = take_list8(c);
	if (c->bad || h->session_id.len > 32 || h->suites.len % 2 != 0)
		return -1;
	h->uncompressed = list.left > 0 && memchr(list.p, 0, list.left) != NULL;
	if (c->left == 0)
		return 0;
	list = take_list16(c);
	while (!list.bad && list.left > 0)
		if (read_extension(h, &list) != 0)
			return -1;
	return list.bad ? -1 : cursor_end(c);
}

int
tls_hello_parse(struct tls_hello *h, struct span message, struct tls_failure *f)
{
	struct cursor c = cursor_of(message);

	/* What holds without the extensions: P-256; SHA-1, which is not
	 * served. RFC 5246 7.4.1.4.1, RFC 8422 4. */
	*h = (struct tls_hello){.groups = 1u << TLS_GROUP_P256};
	(void)cursor_bytes(&c, MESSAGE_HEADER);
	if (read_body(h, &c) != 0)
		(void)wrong(f, TLS_REASON_BROKEN, TLS_ALERT_DECODE_ERROR,
		    "the ClientHello cannot be read");
	else if (h->bad_fragment)
		/* RFC 6066 4. */
		(void)wrong(f, TLS_REASON_BROKEN, TLS_ALERT_ILLEGAL_PARAMETER,
		    "the client wants fragments of no known size");
	else
		return 0;
	return -1;
}
