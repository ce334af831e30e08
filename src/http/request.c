/*
 * request.c - the head of an HTTP/1 request, parsed strictly
 *
 * Pure; run by the web worker on what strangers send. While the head is not
 * complete, only the ends of lines are looked for, from the place where the
 * search stopped last time. Its lines are read when it is complete, in one
 * go, because until then the buffer may move.
 */
#include "http/request.h"

#include <string.h>

#include "base/array.h"
#include "base/number.h"
#include "http/target.h"

/* The longest request line that is looked at: a target, and what is around it. */
#define REQUEST_LINE_MAX (HTTP_TARGET_MAX + 64)

/* --- characters -------------------------------------------------------- */

enum {
	IN_TOKEN = 1 << 0,  /* RFC 9110, 5.6.2 */
	IN_TARGET = 1 << 1, /* what Postal's server lets pass */
	IN_VALUE = 1 << 2,  /* RFC 9110, 5.5, and TAB */
	IN_HOST = 1 << 3,   /* RFC 3986, 3.2.2, with port */
};

/* Sums of the classes above, sixteen characters a row. */
/* clang-format off */
static const uint8_t classes[256] = {
	 0,  0,  0,  0,  0,  0,  0,  0,  0,  4,  0,  0,  0,  0,  0,  0,
	 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
	 4, 15,  4,  7, 15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15,  6,
	15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 14,  4, 14,  4,  6,
	 6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
	15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14,  6, 14,  7, 15,
	 7, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
	15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  7,  6, 15,  0,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	 6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
};
/* clang-format on */

static bool
all_in(struct span s, uint8_t class)
{
	uint8_t common = class;

	for (size_t i = 0; i < s.len; i++)
		common &= classes[s.p[i]];
	return common != 0;
}

/* --- request line ------------------------------------------------------ */

static const struct {
	const char *name;
	enum http_method method;
} methods[] = {
    {"GET", HTTP_METHOD_GET},
    {"HEAD", HTTP_METHOD_HEAD},
    {"POST", HTTP_METHOD_OTHER},
    {"PUT", HTTP_METHOD_OTHER},
    {"DELETE", HTTP_METHOD_OTHER},
    {"OPTIONS", HTTP_METHOD_OTHER},
    {"PATCH", HTTP_METHOD_OTHER},
    {"TRACE", HTTP_METHOD_OTHER},
    {"CONNECT", HTTP_METHOD_OTHER},
    /* RFC 4918 and the others of the IANA registry */
    {"ACL", HTTP_METHOD_OTHER},
    {"BASELINE-CONTROL", HTTP_METHOD_OTHER},
    {"BIND", HTTP_METHOD_OTHER},
    {"CHECKIN", HTTP_METHOD_OTHER},
    {"CHECKOUT", HTTP_METHOD_OTHER},
    {"COPY", HTTP_METHOD_OTHER},
    {"LABEL", HTTP_METHOD_OTHER},
    {"LINK", HTTP_METHOD_OTHER},
    {"LOCK", HTTP_METHOD_OTHER},
    {"MERGE", HTTP_METHOD_OTHER},
    {"MKACTIVITY", HTTP_METHOD_OTHER},
    {"MKCALENDAR", HTTP_METHOD_OTHER},
    {"MKCOL", HTTP_METHOD_OTHER},
    {"MKREDIRECTREF", HTTP_METHOD_OTHER},
    {"MKWORKSPACE", HTTP_METHOD_OTHER},
    {"MOVE", HTTP_METHOD_OTHER},
    {"ORDERPATCH", HTTP_METHOD_OTHER},
    {"PRI", HTTP_METHOD_OTHER},
    {"PROPFIND", HTTP_METHOD_OTHER},
    {"PROPPATCH", HTTP_METHOD_OTHER},
    {"QUERY", HTTP_METHOD_OTHER},
    {"REBIND", HTTP_METHOD_OTHER},
    {"REPORT", HTTP_METHOD_OTHER},
    {"SEARCH", HTTP_METHOD_OTHER},
    {"UNBIND", HTTP_METHOD_OTHER},
    {"UNCHECKOUT", HTTP_METHOD_OTHER},
    {"UNLINK", HTTP_METHOD_OTHER},
    {"UNLOCK", HTTP_METHOD_OTHER},
    {"UPDATE", HTTP_METHOD_OTHER},
    {"UPDATEREDIRECTREF", HTTP_METHOD_OTHER},
    {"VERSION-CONTROL", HTTP_METHOD_OTHER},
};

/* 0, or the status to answer. */
static int
parse_method(struct http_request *r, struct span name)
{
	if (name.len == 0)
		return 400;
	/* As Puma does, Postal's server. */
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] >= 'a' && name.p[i] <= 'z')
			return 400;
	for (size_t i = 0; i < ARRAY_LENGTH(methods); i++) {
		if (!span_equal(name, span_of(methods[i].name)))
			continue;
		r->method = methods[i].method;
		return 0;
	}
	return 501;
}

/* A scheme, and something that may be an authority behind it. */
static bool
is_absolute(struct span target)
{
	size_t len = http_scheme_len(target);

	return len > 0 && target.len > len && target.p[len] != '/' &&
	       target.p[len] != '?';
}

/* Origin form, absolute form, or what belongs to another method (405). */
static bool
is_target(struct span target, enum http_method method)
{
	if (target.len == 0 || !all_in(target, IN_TARGET))
		return false;
	return target.p[0] == '/' || is_absolute(target) ||
	       method == HTTP_METHOD_OTHER;
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_version(struct span v)
{
	return v.len == 8 && memcmp(v.p, "HTTP/", 5) == 0 && is_digit(v.p[5]) &&
	       v.p[6] == '.' && is_digit(v.p[7]);
}

static bool
is_too_long(struct span target)
{
	const uint8_t *query =
	    target.len == 0 ? NULL : memchr(target.p, '?', target.len);
	size_t path = query == NULL ? target.len : (size_t)(query - target.p);

	return target.len > HTTP_TARGET_MAX || path > HTTP_PATH_MAX ||
	       target.len - path > HTTP_QUERY_MAX + 1;
}

static int
parse_request_line(struct http_request *r, struct span line)
{
	const uint8_t *first = memchr(line.p, ' ', line.len);
	const uint8_t *second;
	struct span method, version;
	int status;

	if (first == NULL)
		return 400;
	method = (struct span){line.p, (size_t)(first - line.p)};
	line.len -= method.len + 1;
	line.p = first + 1;
	second = line.len == 0 ? NULL : memchr(line.p, ' ', line.len);
	if (second == NULL)
		return 400;
	r->target = (struct span){line.p, (size_t)(second - line.p)};
	version = (struct span){second + 1, line.len - r->target.len - 1};
	/* Form before meaning: what is no request line at all is 400. */
	if (!is_version(version) || !all_in(method, IN_TOKEN))
		return 400;
	status = parse_method(r, method);
	if (status != 0)
		return status;
	if (is_too_long(r->target))
		return 414;
	if (!is_target(r->target, r->method))
		return 400;
	if (version.p[5] != '1')
		return 505;
	/* A later 1.x is answered as 1.1: RFC 9110, 2.5. */
	r->minor = version.p[7] == '0' ? 0 : 1;
	return 0;
}

/* --- fields ------------------------------------------------------------ */

static int
take_host(struct http_request *r, struct span value)
{
	if (r->has_host || !(value.len == 0 || all_in(value, IN_HOST)))
		return 400;
	r->has_host = true;
	return 0;
}

static int
take_length(struct http_request *r, struct span value)
{
	uint64_t length;

	if (r->has_length || number_parse(value, 0, INT64_MAX, &length) != 0)
		return 400;
	r->has_length = true;
	r->has_body = r->has_body || length > 0;
	return 0;
}

static int
take_coding(struct http_request *r, struct span value)
{
	(void)value;
	r->has_coding = true;
	r->has_body = true;
	return 0;
}

static int
take_connection(struct http_request *r, struct span value)
{
	while (value.len > 0) {
		const uint8_t *comma = memchr(value.p, ',', value.len);
		size_t len =
		    comma == NULL ? value.len : (size_t)(comma - value.p);
		struct span option = span_trim((struct span){value.p, len});

		if (span_equal_nocase(option, span_of("close")))
			r->close_asked = true;
		else if (span_equal_nocase(option, span_of("keep-alive")))
			r->keep_asked = true;
		if (comma == NULL)
			break;
		value.p += len + 1;
		value.len -= len + 1;
	}
	return 0;
}

static int
take_user_agent(struct http_request *r, struct span value)
{
	r->user_agent = value;
	r->has_user_agent = true;
	return 0;
}

static int
take_referer(struct http_request *r, struct span value)
{
	r->referer = value;
	r->has_referer = true;
	return 0;
}

static int
take_forwarded(struct http_request *r, struct span value)
{
	if (r->n_forwarded == HTTP_FORWARDED_MAX) {
		/* The last lines are the ones that trusted proxies wrote. */
		memmove(r->forwarded, r->forwarded + 1,
		    (HTTP_FORWARDED_MAX - 1) * sizeof(r->forwarded[0]));
		r->n_forwarded--;
	}
	r->forwarded[r->n_forwarded++] = value;
	return 0;
}

static const struct {
	const char *name;
	size_t len;
	int (*take)(struct http_request *r, struct span value);
} fields[] = {
    {"Host", 4, take_host},
    {"User-Agent", 10, take_user_agent},
    {"Connection", 10, take_connection},
    {"Referer", 7, take_referer},
    {"X-Forwarded-For", 15, take_forwarded},
    {"Content-Length", 14, take_length},
    {"Transfer-Encoding", 17, take_coding},
};

static int
parse_field(struct http_request *r, struct span line)
{
	const uint8_t *colon = memchr(line.p, ':', line.len);
	struct span name, value;

	if (colon == NULL)
		return 400;
	name = (struct span){line.p, (size_t)(colon - line.p)};
	value = span_trim((struct span){colon + 1, line.len - name.len - 1});
	if (name.len == 0 || !all_in(name, IN_TOKEN) ||
	    !(value.len == 0 || all_in(value, IN_VALUE)))
		return 400;
	if (++r->n_fields > HTTP_FIELDS_MAX)
		return 431;
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++)
		if (name.len == fields[i].len &&
		    span_equal_nocase(
			name, (struct span){(const uint8_t *)fields[i].name,
				  fields[i].len}))
			return fields[i].take(r, value);
	return 0;
}

/* --- the whole --------------------------------------------------------- */

void
http_request_init(struct http_request *r)
{
	memset(r, 0, offsetof(struct http_request, forwarded));
}

/* What the fields mean together. */
static int
judge(struct http_request *r)
{
	if (r->minor == 1 && !r->has_host)
		return 400;
	if (r->has_length && r->has_coding)
		return 400;
	if (r->has_body && r->method != HTTP_METHOD_OTHER)
		return 400;
	r->keep_alive =
	    !r->close_asked && !r->has_body && (r->minor == 1 || r->keep_asked);
	return 0;
}

/* Reads the lines of a complete head: find_end saw that each ends in CRLF. */
static int
collect(struct http_request *r, struct span bytes)
{
	size_t at = r->line_start;
	int status;

	for (;;) {
		const uint8_t *end =
		    memchr(bytes.p + at, '\n', r->head_len - at);
		struct span line = {bytes.p + at, 0};

		line.len = (size_t)(end - line.p) - 1;
		if (line.len == 0)
			return judge(r);
		if (r->have_line)
			status = parse_field(r, line);
		else
			status = parse_request_line(r, line);
		if (status != 0)
			return status;
		r->have_line = true;
		at += line.len + 2;
	}
}

/* Of the request line's first byte, if it is there. */
static bool
is_method_begun(const struct http_request *r, struct span bytes)
{
	return bytes.len == r->line_start ||
	       (classes[bytes.p[r->line_start]] & IN_TOKEN) != 0;
}

/* Past the bytes searched so far: the head's length when it is complete. */
static bool
find_end(struct http_request *r, struct span bytes)
{
	const uint8_t *end;

	while (
	    r->scanned < bytes.len && (end = memchr(bytes.p + r->scanned, '\n',
					   bytes.len - r->scanned)) != NULL) {
		size_t after = (size_t)(end - bytes.p) + 1;
		size_t line_len = after - r->lines_end;
		bool first = r->lines_end == r->line_start;

		r->scanned = r->lines_end = after;
		if (line_len == 2 && bytes.p[after - 2] == '\r' &&
		    after > r->line_start + 2) {
			r->head_len = after;
			return true;
		}
		/* As when a part of it was all that had come. */
		if (first && line_len > REQUEST_LINE_MAX) {
			r->status = is_method_begun(r, bytes) ? 414 : 400;
			return false;
		}
		/* A bare LF, or an empty line that is none. */
		if (line_len < 2 || bytes.p[after - 2] != '\r') {
			r->status = 400;
			return false;
		}
		/* One empty line before a request is tolerated: RFC 9112,
		 * 2.2. */
		if (line_len == 2 && r->line_start == 0)
			r->line_start = 2;
		else if (line_len == 2) {
			r->status = 400;
			return false;
		}
	}
	r->scanned = bytes.len;
	return false;
}

/* What can be said of a head that is not complete. */
static int
judge_part(const struct http_request *r, struct span bytes, size_t max_head)
{
	bool in_line = r->lines_end <= r->line_start;

	if (r->line_start == 0 && bytes.p[0] == '\r')
		return bytes.len > 1 && bytes.p[1] != '\n' ? 400 : 0;
	if (!is_method_begun(r, bytes))
		return 400;
	if (in_line && bytes.len - r->line_start >= REQUEST_LINE_MAX)
		return 414;
	if (bytes.len >= max_head)
		return in_line ? 414 : 431;
	return 0;
}

enum http_parse
http_request_parse(struct http_request *r, struct span bytes, size_t max_head)
{
	/* What is behind the limit says nothing, however much came at once. */
	if (bytes.len > max_head)
		bytes.len = max_head;
	if (bytes.len > 0 && find_end(r, bytes)) {
		r->status = collect(r, bytes);
		return r->status == 0 ? HTTP_PARSE_DONE : HTTP_PARSE_WRONG;
	}
	if (r->status == 0 && bytes.len > 0)
		r->status = judge_part(r, bytes, max_head);
	return r->status == 0 ? HTTP_PARSE_MORE : HTTP_PARSE_WRONG;
}
