/*
 * access_log_fuzzer.c - lines of the access log, of any bytes
 *
 * Properties: each is one line of bounded size without control characters; a
 * text line has its six quotes and no other, and its values read back as what
 * was sent, or as the beginning of it; a JSON line is one object with the
 * known keys in order, valid UTF-8, and its values read back as what was sent
 * with U+FFFD for what is not UTF-8.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/utf8.h"
#include "fuzz/demand.h"
#include "http/access.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to the next 0xfe, so that a field may hold any other byte. */
static struct span
next_field(struct span *rest)
{
	struct span field = *rest;
	const uint8_t *end =
	    rest->len == 0 ? NULL : memchr(rest->p, 0xfe, rest->len);

	if (end != NULL)
		field.len = (size_t)(end - rest->p);
	*rest = (struct span){rest->p + field.len, rest->len - field.len};
	if (end != NULL) {
		rest->p++;
		rest->len--;
	}
	return field;
}

static unsigned int
hex(uint8_t c)
{
	demand((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
	return c <= '9' ? c - '0' : c - 'A' + 10u;
}

/* What stands between quotes, as it was before, in memory of at least len. */
static struct span
decode(struct span s, bool json, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		demand(s.p[i] != '"');
		if (s.p[i] != '\\') {
			out[n++] = s.p[i];
		} else if (json && (s.p[i + 1] == '"' || s.p[i + 1] == '\\')) {
			out[n++] = s.p[++i];
		} else if (json) {
			unsigned int c;

			demand(
			    s.len - i >= 6 && memcmp(s.p + i, "\\u00", 4) == 0);
			c = hex(s.p[i + 4]) << 4 | hex(s.p[i + 5]);
			demand(c < 0x20 || (c >= 0x7f && c < 0xa0));
			if (c >= 0x80)
				out[n++] = 0xc2;
			out[n++] = (uint8_t)c;
			i += 5;
		} else {
			demand(s.len - i >= 4 && s.p[i + 1] == 'x');
			out[n++] =
			    (uint8_t)(hex(s.p[i + 2]) << 4 | hex(s.p[i + 3]));
			i += 3;
		}
	}
	return (struct span){out, n};
}

/* The value as it was sent, or a beginning of it and "...". */
static void
check_value(struct span shown, struct span sent, bool json)
{
	static uint8_t decoded[HTTP_ACCESS_LINE_MAX];
	uint8_t *repaired = malloc(3 * sent.len + 1);
	struct span got = decode(shown, json, decoded);

	demand(repaired != NULL);
	if (json)
		sent = (struct span){repaired,
		    utf8_repair(sent, SIZE_MAX, repaired, 3 * sent.len)};
	if (!span_equal(got, sent)) {
		demand(
		    got.len >= 3 && memcmp(got.p + got.len - 3, "...", 3) == 0);
		got.len -= 3;
		demand(span_starts(sent, got));
	}
	free(repaired);
}

/* What is in the quotes that begin at *at; behind them afterwards. */
static struct span
quoted(struct span line, size_t *at)
{
	struct span s = {line.p + *at + 1, 0};

	demand(*at < line.len && line.p[*at] == '"');
	for ((*at)++; line.p[*at] != '"'; (*at)++) {
		demand(*at + 1 < line.len);
		/* Only in JSON a quote may follow. */
		if (line.p[*at] == '\\')
			(*at)++;
	}
	s.len = (size_t)(line.p + *at - s.p);
	(*at)++;
	return s;
}

static void
skip(struct span line, size_t *at, const char *text)
{
	struct span rest = {line.p + *at, line.len - *at};

	demand(span_starts(rest, span_of(text)));
	*at += strlen(text);
}

static void
check_text(struct span line, const struct http_access_request *r)
{
	size_t at = 0, quotes = 0;

	for (size_t i = 0; i < line.len; i++) {
		quotes += line.p[i] == '"';
		demand(line.p[i] < 0x7f);
	}
	demand(quotes == 6);
	skip(line, &at, "192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] ");
	check_value(quoted(line, &at), r->line, false);
	skip(line, &at, " 200 68 ");
	check_value(quoted(line, &at), r->referer, false);
	skip(line, &at, " ");
	check_value(quoted(line, &at), r->agent, false);
	skip(line, &at, "\n");
	demand(at == line.len);
}

static void
check_json(struct span line, const struct http_access_request *r)
{
	static const char *const keys[] = {"time", "address", "method",
	    "target", "version", "status", "bytes", "referer", "user_agent",
	    "server", "token", "tls_version", "tls_suite", "tls_name", "worker",
	    "kind", "event", "took_us"};
	static uint8_t again[HTTP_ACCESS_LINE_MAX];
	struct span values[ARRAY_LENGTH(keys)] = {{NULL, 0}};
	size_t at = 0;

	demand(utf8_repair(line, SIZE_MAX, again, sizeof(again)) == line.len &&
	       memcmp(again, line.p, line.len) == 0);
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		skip(line, &at, i == 0 ? "{" : ",");
		demand(span_equal(quoted(line, &at), span_of(keys[i])));
		skip(line, &at, ":");
		if (line.p[at] == '"')
			values[i] = quoted(line, &at);
		else if (line.p[at] == 'n')
			skip(line, &at, "null");
		else
			while (line.p[at] >= '0' && line.p[at] <= '9')
				at++;
	}
	skip(line, &at, "}\n");
	demand(at == line.len);
	check_value(values[7], r->referer, true);
	check_value(values[8], r->agent, true);
	check_value(values[9], r->server, true);
	check_value(values[10], r->token, true);
	check_value(values[13], r->tls_name, true);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[HTTP_ACCESS_LINE_MAX];
	static const struct http_access_answer answer = {
	    .status = 200, .bytes = 68};
	struct span rest = {data, size};
	struct addr client;
	struct http_access_request r = {
	    .client = &client, .has_referer = true, .has_agent = true};

	demand(addr_parse(span_of("192.0.2.1"), &client) == 0);
	r.line = http_access_first_line(next_field(&rest));
	r.referer = next_field(&rest);
	r.agent = next_field(&rest);
	r.server = next_field(&rest);
	r.token = next_field(&rest);
	r.tls_suite = "ECDHE-ECDSA-CHACHA20-POLY1305";
	r.tls_name = rest;
	for (int json = 0; json < 2; json++) {
		enum http_access_format format =
		    json ? HTTP_ACCESS_JSON : HTTP_ACCESS_TEXT;
		struct http_access_clock clock = {0};
		struct http_access_part part;
		struct writer w = writer_of(bytes, sizeof(bytes));

		http_access_begin(format, &clock, &r, &part);
		http_access_end(format, &part, &answer, &w);
		demand(!w.full && http_access_are_lines(writer_span(&w)));
		demand(memchr(bytes, '\n', w.len) == bytes + w.len - 1);
		if (json)
			check_json(writer_span(&w), &r);
		else
			check_text(writer_span(&w), &r);
	}
	return 0;
}
