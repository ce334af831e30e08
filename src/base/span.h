/*
 * span.h - borrowed bytes, a cursor that reads them, a writer that makes them
 *
 * All bytes that come from outside are read through a cursor. It compares by
 * subtraction, never moves past the end, and remembers a failure, so that a
 * decoder may read all its fields and ask once at the end. Numbers are
 * little-endian, as in the messages between our processes.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; not ended by NUL. p may be NULL when len is 0. */
struct span {
	const uint8_t *p;
	size_t len;
};

/* A span over the bytes of a C string, without its NUL. */
struct span span_of(const char *text);
/* The same bytes, byte for byte. */
bool span_equal(struct span a, struct span b);
/* The same text, ASCII letters compared without case. */
bool span_equal_nocase(struct span a, struct span b);
/* Whether a begins with the bytes of prefix. */
bool span_starts(struct span a, struct span prefix);
/* a without leading and trailing spaces and tabs. */
struct span span_trim(struct span a);
/* Copies into text as a C string; -1 when it does not fit or holds a NUL. */
int span_to_text(struct span a, char *text, size_t size);

/* Whether all bytes are letters, digits, "-" and "_": base64url, of which ACME
 * makes its tokens (RFC 8555, section 8). So is an empty one. */
bool span_is_base64url(struct span a);
/* Whether it is the name of a domain: two labels or more, none of them empty,
 * of small letters, digits, "-" and "_". */
bool span_is_domain(struct span a);

/* ASCII only, whatever the locale. */
uint8_t ascii_lower(uint8_t c);

struct cursor {
	const uint8_t *p;
	size_t left;
	bool bad; /* a read went past the end; later reads give zeroes */
};

struct cursor cursor_of(struct span bytes);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* The next len bytes, borrowed from what the cursor reads. */
struct span cursor_bytes(struct cursor *c, size_t len);
/* 0 when every read succeeded and nothing is left over, else -1. */
int cursor_end(const struct cursor *c);

/* Writes into memory of the caller; what does not fit sets full. */
struct writer {
	uint8_t *p;
	size_t cap;
	size_t len;
	bool full;
};

struct writer writer_of(void *p, size_t cap);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, struct span bytes);
void writer_text(struct writer *w, const char *text);
/* What was written so far. */
struct span writer_span(const struct writer *w);

#endif
