/*
 * span.c - borrowed bytes, a cursor that reads them, a writer that makes them
 *
 * Pure; used by every process.
 */
#include "base/span.h"

#include <endian.h>
#include <string.h>

struct span
span_of(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

bool
span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool
is_of_word(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

bool
span_is_base64url(struct span a)
{
	for (size_t i = 0; i < a.len; i++)
		if (!is_of_word(ascii_lower(a.p[i])))
			return false;
	return true;
}

bool
span_is_domain(struct span a)
{
	bool dot = false;

	for (size_t i = 0; i < a.len; i++) {
		bool edge = i == 0 || i + 1 == a.len;

		if (a.p[i] != '.') {
			if (!is_of_word(a.p[i]))
				return false;
			continue;
		}
		if (edge || a.p[i - 1] == '.')
			return false;
		dot = true;
	}
	return dot;
}

uint8_t
ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool
span_equal_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

bool
span_starts(struct span a, struct span prefix)
{
	return a.len >= prefix.len &&
	       span_equal((struct span){a.p, prefix.len}, prefix);
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

struct span
span_trim(struct span a)
{
	while (a.len > 0 && is_blank(a.p[0])) {
		a.p++;
		a.len--;
	}
	while (a.len > 0 && is_blank(a.p[a.len - 1]))
		a.len--;
	return a;
}

int
span_to_text(struct span a, char *text, size_t size)
{
	if (size == 0 || a.len >= size ||
	    (a.len > 0 && memchr(a.p, '\0', a.len) != NULL))
		return -1;
	if (a.len > 0)
		memcpy(text, a.p, a.len);
	text[a.len] = '\0';
	return 0;
}

struct cursor
cursor_of(struct span bytes)
{
	return (struct cursor){bytes.p, bytes.len, false};
}

struct span
cursor_bytes(struct cursor *c, size_t len)
{
	struct span out = {c->p, 0};

	if (c->bad || c->left < len) {
		c->bad = true;
		return out;
	}
	out.len = len;
	if (len > 0)
		c->p += len;
	c->left -= len;
	return out;
}

uint8_t
cursor_u8(struct cursor *c)
{
	struct span s = cursor_bytes(c, 1);

	return s.len == 1 ? s.p[0] : 0;
}

uint16_t
cursor_u16(struct cursor *c)
{
	struct span s = cursor_bytes(c, sizeof(uint16_t));
	uint16_t v = 0;

	if (s.len > 0)
		memcpy(&v, s.p, sizeof(v));
	return le16toh(v);
}

uint32_t
cursor_u32(struct cursor *c)
{
	struct span s = cursor_bytes(c, sizeof(uint32_t));
	uint32_t v = 0;

	if (s.len > 0)
		memcpy(&v, s.p, sizeof(v));
	return le32toh(v);
}

uint64_t
cursor_u64(struct cursor *c)
{
	struct span s = cursor_bytes(c, sizeof(uint64_t));
	uint64_t v = 0;

	if (s.len > 0)
		memcpy(&v, s.p, sizeof(v));
	return le64toh(v);
}

int
cursor_end(const struct cursor *c)
{
	return c->bad || c->left > 0 ? -1 : 0;
}

struct writer
writer_of(void *p, size_t cap)
{
	return (struct writer){p, cap, 0, false};
}

void
writer_bytes(struct writer *w, struct span bytes)
{
	if (w->full || w->cap - w->len < bytes.len) {
		w->full = true;
		return;
	}
	if (bytes.len > 0)
		memcpy(w->p + w->len, bytes.p, bytes.len);
	w->len += bytes.len;
}

void
writer_text(struct writer *w, const char *text)
{
	writer_bytes(w, span_of(text));
}

void
writer_u8(struct writer *w, uint8_t v)
{
	writer_bytes(w, (struct span){&v, sizeof(v)});
}

void
writer_u16(struct writer *w, uint16_t v)
{
	uint16_t le = htole16(v);

	writer_bytes(w, (struct span){(const uint8_t *)&le, sizeof(le)});
}

void
writer_u32(struct writer *w, uint32_t v)
{
	uint32_t le = htole32(v);

	writer_bytes(w, (struct span){(const uint8_t *)&le, sizeof(le)});
}

void
writer_u64(struct writer *w, uint64_t v)
{
	uint64_t le = htole64(v);

	writer_bytes(w, (struct span){(const uint8_t *)&le, sizeof(le)});
}

struct span
writer_span(const struct writer *w)
{
	return (struct span){w->p, w->len};
}
