/*
 * json.h - text from strangers as it may stand in a JSON string
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stddef.h>

#include "base/span.h"

#define JSON_ESCAPED_MAX 6

/*
 * Writes the first character of s, which must not be empty, to out: \" and \\,
 * controls (also those behind ASCII, so that no terminal obeys them) as \u001B,
 * others as they are, what is not UTF-8 as U+FFFD. *len: the bytes written.
 * Returns how many bytes of s it stands for. Source: RFC 8259, section 7.
 */
size_t json_escape(struct span s, uint8_t out[JSON_ESCAPED_MAX], size_t *len);

#endif
