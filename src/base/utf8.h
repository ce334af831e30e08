/*
 * utf8.h - text from strangers, made valid UTF-8
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

#include "base/span.h"

/*
 * Copies bytes to out, at most max_chars characters and never more than cap
 * bytes, cut between characters. Every byte that is not part of a well-formed
 * UTF-8 sequence (RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF) becomes U+FFFD, one for each maximal part as Unicode recommends.
 * Returns the number of bytes written.
 */
size_t utf8_repair(
    struct span bytes, size_t max_chars, uint8_t *out, size_t cap);

#endif
