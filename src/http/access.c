/*
 * access.c - one request as one line of the access log
 *
 * Pure; run by the web worker. No stdio: at a hundred thousand lines a second
 * it would be what the worker does.
 */
#include "http/access.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/utf8.h"

#define MORE "..."

/* --- values ------------------------------------------------------------ */

/* Stands for itself in both formats. */
static bool
is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t
plain_run(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_plain(s.p[n]))
		n++;
	return n;
}

/* \x0A; returns how many bytes of s it stands for. */
static size_t
escape_text(struct span s, uint8_t out[JSON_ESCAPED_MAX], size_t *len)
{
	static const char hex[] = "0123456789ABCDEF";

	out[0] = '\\';
	out[1] = 'x';
	out[2] = (uint8_t)hex[s.p[0] >> 4];
	out[3] = (uint8_t)hex[s.p[0] & 0x0f];
	*len = 4;
	return 1;
}

/* At most so many bytes, cut between characters and escapes. */
static void
put_escaped(struct writer *w, enum http_access_format format, struct span s,
    size_t most)
{
	size_t left = most - strlen(MORE);

	while (s.len > 0) {
		size_t taken = plain_run(s), len = taken;
		uint8_t escaped[JSON_ESCAPED_MAX];
		struct span put = s;

		if (taken > left) {
			/* What fits of it, and then it is cut. */
			writer_bytes(w, (struct span){s.p, left});
			left = 0;
		} else if (taken == 0) {
			taken = format == HTTP_ACCESS_JSON
				    ? json_escape(s, escaped, &len)
				    : escape_text(s, escaped, &len);
			put.p = escaped;
		}
		if (len > left) {
			writer_text(w, MORE);
			return;
		}
		put.len = len;
		writer_bytes(w, put);
		left -= len;
		s.p += taken;
		s.len -= taken;
	}
}

static void
put_number(struct writer *w, uint64_t n)
{
	char text[20];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	writer_bytes(w, (struct span){(uint8_t *)text + at, sizeof(text) - at});
}

static void
put_address(struct writer *w, const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	if (!addr_is_v4(a)) {
		addr_format(a, text);
		writer_text(w, text);
		return;
	}
	for (size_t i = 12; i < 16; i++) {
		if (i > 12)
			writer_u8(w, '.');
		put_number(w, a->ip[i]);
	}
}

/* --- time -------------------------------------------------------------- */

static const char *
second_text(enum http_access_format format, struct http_access_clock *clock,
    int64_t second)
{
	time_t t = (time_t)second;
	struct tm utc = {.tm_mday = 1};

	if (clock->len > 0 && clock->second == second)
		return clock->text;
	(void)gmtime_r(&t, &utc);
	clock->second = second;
	/* Not by the locale: there is none in a role. */
	clock->len = strftime(clock->text, sizeof(clock->text),
	    format == HTTP_ACCESS_JSON ? "%Y-%m-%dT%H:%M:%S."
				       : "%d/%b/%Y:%H:%M:%S +0000",
	    &utc);
	return clock->text;
}

static void
put_micros(struct writer *w, int64_t us)
{
	uint64_t n = (uint64_t)us;

	for (uint64_t unit = 100000; unit > 0; unit /= 10)
		writer_u8(w, (uint8_t)('0' + n / unit % 10));
}

static void
put_time(struct writer *w, enum http_access_format format,
    struct http_access_clock *clock, int64_t at_us)
{
	int64_t second = at_us / 1000000, rest = at_us % 1000000;

	/* A clock before 1970. */
	if (rest < 0) {
		second--;
		rest += 1000000;
	}
	writer_text(w, second_text(format, clock, second));
	if (format == HTTP_ACCESS_JSON) {
		put_micros(w, rest);
		writer_u8(w, 'Z');
	}
}

/* --- text -------------------------------------------------------------- */

static void
put_quoted(struct writer *w, bool there, struct span value, size_t most)
{
	writer_u8(w, '"');
	if (there)
		put_escaped(w, HTTP_ACCESS_TEXT, value, most);
	else
		writer_u8(w, '-');
	writer_u8(w, '"');
}

static void
begin_text(struct http_access_clock *clock, const struct http_access_request *r,
    struct http_access_part *part, struct writer *w)
{
	put_address(w, r->client);
	writer_text(w, " - - [");
	put_time(w, HTTP_ACCESS_TEXT, clock, r->at_us);
	writer_text(w, "] ");
	put_quoted(w, true, r->line, HTTP_ACCESS_TARGET_MAX);
	writer_u8(w, ' ');
	part->front_len = (uint16_t)w->len;
	writer_u8(w, ' ');
	put_quoted(w, r->has_referer, r->referer, HTTP_ACCESS_REFERER_MAX);
	writer_u8(w, ' ');
	put_quoted(w, r->has_agent, r->agent, HTTP_ACCESS_AGENT_MAX);
}

/* --- JSON -------------------------------------------------------------- */

/* ,"key":"value", or null. */
static void
put_member(struct writer *w, const char *key, bool there, struct span value,
    size_t most)
{
	writer_text(w, ",\"");
	writer_text(w, key);
	writer_text(w, "\":");
	if (!there) {
		writer_text(w, "null");
		return;
	}
	writer_u8(w, '"');
	put_escaped(w, HTTP_ACCESS_JSON, value, most);
	writer_u8(w, '"');
}

static void
put_number_member(struct writer *w, const char *key, uint64_t n)
{
	writer_text(w, ",\"");
	writer_text(w, key);
	writer_text(w, "\":");
	put_number(w, n);
}

/* METHOD target VERSION, as far as there are such. */
static void
put_request_line(struct writer *w, struct span line)
{
	const uint8_t *first =
	    line.len == 0 ? NULL : memchr(line.p, ' ', line.len);
	struct span method = line, target = {NULL, 0}, version = {NULL, 0};

	if (first != NULL) {
		const uint8_t *last = memrchr(line.p, ' ', line.len);
		const uint8_t *end = line.p + line.len;

		method.len = (size_t)(first - line.p);
		if (last == first)
			last = end;
		target = (struct span){first + 1, (size_t)(last - (first + 1))};
		if (last != end)
			version =
			    (struct span){last + 1, (size_t)(end - (last + 1))};
	}
	put_member(w, "method", method.len > 0, method, HTTP_ACCESS_SHORT_MAX);
	put_member(w, "target", first != NULL, target, HTTP_ACCESS_TARGET_MAX);
	put_member(
	    w, "version", version.len > 0, version, HTTP_ACCESS_SHORT_MAX);
}

static void
begin_json(struct http_access_clock *clock, const struct http_access_request *r,
    struct http_access_part *part, struct writer *w)
{
	bool tls = r->tls_suite != NULL;

	writer_text(w, "{\"time\":\"");
	put_time(w, HTTP_ACCESS_JSON, clock, r->at_us);
	writer_text(w, "\",\"address\":\"");
	put_address(w, r->client);
	writer_u8(w, '"');
	put_request_line(w, r->line);
	part->front_len = (uint16_t)w->len;
	put_member(
	    w, "referer", r->has_referer, r->referer, HTTP_ACCESS_REFERER_MAX);
	put_member(
	    w, "user_agent", r->has_agent, r->agent, HTTP_ACCESS_AGENT_MAX);
	put_member(
	    w, "server", r->server.len > 0, r->server, HTTP_ACCESS_WORD_MAX);
	put_member(
	    w, "token", r->token.len > 0, r->token, HTTP_ACCESS_WORD_MAX);
	put_member(
	    w, "tls_version", tls, span_of("TLSv1.2"), HTTP_ACCESS_SHORT_MAX);
	put_member(w, "tls_suite", tls, span_of(tls ? r->tls_suite : ""),
	    HTTP_ACCESS_SHORT_MAX);
	put_member(w, "tls_name", tls && r->tls_name.len > 0, r->tls_name,
	    HTTP_ACCESS_WORD_MAX);
	put_number_member(w, "worker", r->worker);
}

static void
end_json(struct writer *w, const struct http_access_answer *a)
{
	static const char *const kinds[] = {
	    [HTTP_ACCESS_NONE] = "none",
	    [HTTP_ACCESS_OPEN] = "open",
	    [HTTP_ACCESS_CLICK] = "click",
	};
	static const char *const events[] = {
	    [HTTP_ACCESS_NO_EVENT] = "none",
	    [HTTP_ACCESS_QUEUED] = "queued",
	    [HTTP_ACCESS_STORED] = "stored",
	    [HTTP_ACCESS_LATE] = "late",
	    [HTTP_ACCESS_LOST] = "lost",
	};

	put_member(
	    w, "kind", true, span_of(kinds[a->kind]), HTTP_ACCESS_SHORT_MAX);
	put_member(
	    w, "event", true, span_of(events[a->event]), HTTP_ACCESS_SHORT_MAX);
	put_number_member(w, "took_us", a->took_us);
	writer_u8(w, '}');
}

/* --- the whole --------------------------------------------------------- */

void
http_access_begin(enum http_access_format format,
    struct http_access_clock *clock, const struct http_access_request *r,
    struct http_access_part *part)
{
	struct writer w = writer_of(part->text, sizeof(part->text));

	if (format == HTTP_ACCESS_JSON)
		begin_json(clock, r, part, &w);
	else
		begin_text(clock, r, part, &w);
	/* The limits of all values together leave room; a test says so. */
	assert(!w.full);
	part->len = (uint16_t)w.len;
}

void
http_access_end(enum http_access_format format,
    const struct http_access_part *part, const struct http_access_answer *a,
    struct writer *w)
{
	size_t start = w->len;
	bool json = format == HTTP_ACCESS_JSON;

	writer_bytes(w, (struct span){part->text, part->front_len});
	if (json) {
		put_number_member(w, "status", (uint64_t)a->status);
		put_number_member(w, "bytes", a->bytes);
	} else {
		put_number(w, (uint64_t)a->status);
		writer_u8(w, ' ');
		put_number(w, a->bytes);
	}
	writer_bytes(w, (struct span){part->text + part->front_len,
			    (size_t)part->len - part->front_len});
	if (json)
		end_json(w, a);
	writer_u8(w, '\n');
	if (w->full)
		w->len = start;
}

struct span
http_access_first_line(struct span head)
{
	struct span line = head;

	if (line.len >= 2 && line.p[0] == '\r' && line.p[1] == '\n') {
		line.p += 2;
		line.len -= 2;
	}
	for (size_t i = 0; i < line.len; i++)
		if (line.p[i] == '\r' || line.p[i] == '\n')
			line.len = i;
	return line;
}

bool
http_access_are_lines(struct span lines)
{
	if (lines.len == 0 || lines.p[lines.len - 1] != '\n')
		return false;
	while (lines.len > 0) {
		const uint8_t *at = lines.p;
		struct span c = utf8_take(&lines);

		/* What is no UTF-8 comes back as something else. */
		if (c.p != at || (utf8_is_control(c) && at[0] != '\n'))
			return false;
	}
	return true;
}
