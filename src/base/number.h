/*
 * number.h - numbers, durations and sizes in text
 *
 * Strict: the whole text has to be the number, in the caller's range, without
 * sign, space or leading plus.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdint.h>

#include "base/span.h"

/* Decimal. 0, or -1 when not a number or outside least..most. */
int number_parse(
    struct span text, uint64_t least, uint64_t most, uint64_t *value);

/* "250ms", "10s", "5m", "2h", "30d" to milliseconds; a bare 0 is allowed. */
int duration_parse(struct span text, uint64_t *ms);

/* "512", "16k", "64M", "2G" to bytes (powers of 1024). */
int size_parse(struct span text, uint64_t *bytes);

/* The shortest text that parses back to the same value; text of 32 bytes. */
#define NUMBER_TEXT_SIZE 32
void duration_format(uint64_t ms, char text[NUMBER_TEXT_SIZE]);
void size_format(uint64_t bytes, char text[NUMBER_TEXT_SIZE]);

#endif
