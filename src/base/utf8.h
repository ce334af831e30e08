/*
 * utf8.h - text from strangers, made valid UTF-8
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/*
 * Takes the first character off *rest, which must not be empty, and returns
 * its bytes, one to four. Where they are not well-formed UTF-8 (see below),
 * it takes the maximal part and returns the bytes of U+FFFD.
 */
struct span utf8_take(struct span *rest);

/* Whether a character, as utf8_take gives it, is one that a terminal obeys:
 * below a space, DEL, or of U+0080 to U+009F. */
bool utf8_is_control(struct span character);

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
