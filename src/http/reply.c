/*
 * reply.c - the answers, and how they look on the wire
 *
 * Pure; run by web worker and admin. To add an answer: a value in reply.h and
 * a row here. A reply is at most six parts: head, date, location, connection, body.
 */
#include "http/reply.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http/target.h"

/* One transparent pixel: 8-bit grey with alpha, signature, IHDR, IDAT, IEND. */
static const uint8_t picture[] = {
    0x89,
    0x50,
    0x4e,
    0x47,
    0x0d,
    0x0a,
    0x1a,
    0x0a,
    0x00,
    0x00,
    0x00,
    0x0d,
    0x49,
    0x48,
    0x44,
    0x52,
    0x00,
    0x00,
    0x00,
    0x01,
    0x00,
    0x00,
    0x00,
    0x01,
    0x08,
    0x04,
    0x00,
    0x00,
    0x00,
    0xb5,
    0x1c,
    0x0c,
    0x02,
    0x00,
    0x00,
    0x00,
    0x0b,
    0x49,
    0x44,
    0x41,
    0x54,
    0x78,
    0xda,
    0x63,
    0x60,
    0x60,
    0x00,
    0x00,
    0x00,
    0x03,
    0x00,
    0x01,
    0x2b,
    0x09,
    0x4d,
    0x84,
    0x00,
    0x00,
    0x00,
    0x00,
    0x49,
    0x45,
    0x4e,
    0x44,
    0xae,
    0x42,
    0x60,
    0x82,
};

#define COMMON "X-Robots-Tag: noindex\r\nX-Content-Type-Options: nosniff\r\n"
#define NO_STORE "Cache-Control: no-store\r\n"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"

static const char try_again[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta http-equiv=\"refresh\" content=\"2\">"
    "<title>One moment</title></head><body>"
    "<p>This link is being looked up. The page tries again by itself.</p>"
    "</body></html>\n";

struct row {
	int status;
	const char *reason;
	const char *fields; /* beside the common ones and the length */
	const char *body;   /* NULL: the picture, or what the caller gives */
};

static const struct row rows[HTTP_REPLY_N] = {
    [HTTP_REPLY_PICTURE] = {200, "OK", "Content-Type: image/png\r\n" NO_STORE,
	NULL},
    [HTTP_REPLY_REDIRECT] = {307, "Temporary Redirect",
	TEXT NO_STORE "Referrer-Policy: no-referrer\r\n", "Redirecting.\n"},
    [HTTP_REPLY_HELLO] = {200, "OK", TEXT, "Hello."},
    [HTTP_REPLY_ROBOTS] = {200, "OK", TEXT, "User-agent: *\nDisallow: /\n"},
    [HTTP_REPLY_UNKNOWN_SERVER] = {404, "Not Found", TEXT NO_STORE,
	"Invalid Server Token"},
    [HTTP_REPLY_UNKNOWN_LINK] = {404, "Not Found", TEXT NO_STORE,
	"Link not found"},
    [HTTP_REPLY_CHALLENGE] = {200, "OK", TEXT NO_STORE, NULL},
    [HTTP_REPLY_NO_CHALLENGE] = {404, "Not Found", TEXT NO_STORE,
	"Verification not found"},
    [HTTP_REPLY_UNAVAILABLE] = {503, "Service Unavailable",
	"Content-Type: text/html; charset=utf-8\r\n" NO_STORE
	"Retry-After: 2\r\n",
	try_again},
    [HTTP_REPLY_FINE] = {200, "OK", TEXT NO_STORE, NULL},
    [HTTP_REPLY_METRICS] = {200, "OK",
	"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" NO_STORE,
	NULL},
    [HTTP_REPLY_NOT_FOUND] = {404, "Not Found", TEXT NO_STORE, NULL},
    [HTTP_REPLY_NOT_READY] = {503, "Service Unavailable", TEXT NO_STORE, NULL},
    [HTTP_REPLY_BAD_REQUEST] = {400, "Bad Request", TEXT NO_STORE,
	"Bad Request"},
    [HTTP_REPLY_METHOD_NOT_ALLOWED] = {405, "Method Not Allowed",
	TEXT NO_STORE "Allow: GET, HEAD\r\n", "Method Not Allowed"},
    [HTTP_REPLY_TIMEOUT] = {408, "Request Timeout", TEXT NO_STORE,
	"Request Timeout"},
    [HTTP_REPLY_TARGET_TOO_LONG] = {414, "URI Too Long", TEXT NO_STORE,
	"URI Too Long"},
    [HTTP_REPLY_HEADER_TOO_LARGE] = {431, "Request Header Fields Too Large",
	TEXT NO_STORE, "Request Header Fields Too Large"},
    [HTTP_REPLY_NOT_IMPLEMENTED] = {501, "Not Implemented", TEXT NO_STORE,
	"Not Implemented"},
    [HTTP_REPLY_VERSION] = {505, "HTTP Version Not Supported", TEXT NO_STORE,
	"HTTP Version Not Supported"},
};

/* The body is what the caller has. */
static bool
is_given(enum http_reply reply)
{
	return rows[reply].body == NULL && reply != HTTP_REPLY_PICTURE;
}

void
http_replies_init(struct http_replies *all)
{
	for (size_t i = 0; i < HTTP_REPLY_N; i++) {
		const struct row *row = &rows[i];
		struct http_reply_text *t = &all->of[i];
		char length[40] = "";
		int n;

		t->body = row->body == NULL
			      ? (struct span){picture, sizeof(picture)}
			      : span_of(row->body);
		/* What is given is known when it is answered. */
		if (!is_given((enum http_reply)i))
			(void)snprintf(length, sizeof(length),
			    "Content-Length: %zu\r\n", t->body.len);
		n = snprintf(t->head, sizeof(t->head),
		    "HTTP/1.1 %d %s\r\n%s" COMMON "%sDate: ", row->status,
		    row->reason, row->fields, length);
		assert(n > 0 && (size_t)n < sizeof(t->head));
		t->head_len = (size_t)n;
	}
}

enum http_reply
http_reply_of_status(int status)
{
	for (size_t i = HTTP_REPLY_BAD_REQUEST; i < HTTP_REPLY_N; i++)
		if (rows[i].status == status)
			return (enum http_reply)i;
	return HTTP_REPLY_BAD_REQUEST;
}

size_t
http_reply_rest(const struct iovec *parts, int n, size_t sent, uint8_t *out)
{
	size_t left = 0;

	for (int i = 0; i < n; i++) {
		size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
		size_t len = parts[i].iov_len - skip;

		if (out != NULL && len > 0)
			memcpy(out + left,
			    (const uint8_t *)parts[i].iov_base + skip, len);
		left += len;
		sent -= skip;
	}
	return left;
}

int
http_reply_status(enum http_reply reply)
{
	assert(reply < HTTP_REPLY_N);
	return rows[reply].status;
}

static void
put(struct iovec *part, const void *p, size_t len)
{
	/* writev does not write through its iovec. */
	memcpy(&part->iov_base, &p, sizeof(part->iov_base));
	part->iov_len = len;
}

/* What ends the head, by (keep_alive, HTTP/1.0). */
static struct span
connection(bool keep_alive, uint8_t minor)
{
	if (!keep_alive)
		return span_of("\r\nConnection: close\r\n\r\n");
	if (minor == 0)
		return span_of("\r\nConnection: keep-alive\r\n\r\n");
	return span_of("\r\n\r\n");
}

int
http_reply_render(const struct http_replies *all, enum http_reply reply,
    struct http_reply_options *o, struct iovec parts[HTTP_REPLY_PARTS])
{
	static const char location[] = "\r\nLocation: ";
	static const char length[] = "\r\nContent-Length: ";
	const struct http_reply_text *t = &all->of[reply];
	struct span end = connection(o->keep_alive, o->minor);
	bool given = is_given(reply);
	struct span body = given ? o->content : t->body;
	int n = 0;

	put(&parts[n++], t->head, t->head_len);
	put(&parts[n++], o->date, HTTP_DATE_SIZE - 1);
	if (reply == HTTP_REPLY_REDIRECT) {
		put(&parts[n++], location, sizeof(location) - 1);
		put(&parts[n++], o->location.p, o->location.len);
	}
	if (given) {
		put(&parts[n++], length, sizeof(length) - 1);
		(void)snprintf(o->length, sizeof(o->length), "%zu", body.len);
		put(&parts[n++], o->length, strlen(o->length));
	}
	put(&parts[n++], end.p, end.len);
	if (!o->head)
		put(&parts[n++], body.p, body.len);
	return n;
}

void
http_date_format(int64_t seconds, char date[HTTP_DATE_SIZE])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)seconds;
	struct tm utc = {.tm_mday = 1};

	(void)gmtime_r(&t, &utc);
	/* The remainders tell the compiler what fits. */
	(void)snprintf(date, HTTP_DATE_SIZE,
	    "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * utc.tm_wday,
	    (unsigned int)utc.tm_mday % 100, months + 3 * utc.tm_mon,
	    (unsigned int)(utc.tm_year + 1900) % 10000,
	    (unsigned int)utc.tm_hour % 100, (unsigned int)utc.tm_min % 100,
	    (unsigned int)utc.tm_sec % 100);
}

/* --- Location ---------------------------------------------------------- */

static bool
is_encoded(uint8_t c)
{
	return c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c) != NULL;
}

enum http_location
http_location_encode(struct span url, struct writer *out)
{
	static const char hex[] = "0123456789ABCDEF";

	if (http_scheme_len(url) == 0)
		return HTTP_LOCATION_SCHEME;
	for (size_t i = 0; i < url.len; i++) {
		uint8_t c = url.p[i];

		if (is_encoded(c)) {
			writer_u8(out, '%');
			writer_u8(out, (uint8_t)hex[c >> 4]);
			writer_u8(out, (uint8_t)hex[c & 0x0f]);
		} else {
			writer_u8(out, c);
		}
	}
	return out->full ? HTTP_LOCATION_SPACE : HTTP_LOCATION_OK;
}
