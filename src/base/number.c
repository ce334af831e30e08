/*
 * number.c - numbers, durations and sizes in text
 *
 * Pure; used by every process.
 */
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/array.h"

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* Largest first: the formatters take the first that divides the value. */
static const struct unit duration_units[] = {
    {"d", 86400000},
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
};
static const struct unit size_units[] = {
    {"G", UINT64_C(1) << 30},
    {"M", UINT64_C(1) << 20},
    {"k", UINT64_C(1) << 10},
    {"", 1},
};

int
number_parse(struct span text, uint64_t least, uint64_t most, uint64_t *value)
{
	uint64_t v = 0;

	if (text.len == 0)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t digit = (uint8_t)(text.p[i] - '0');

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	if (v < least || v > most)
		return -1;
	*value = v;
	return 0;
}

static int
parse_with_unit(
    struct span text, const struct unit *units, size_t n, uint64_t *value)
{
	size_t digits = 0;
	struct span suffix;
	uint64_t v;

	while (
	    digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	if (number_parse((struct span){text.p, digits}, 0, UINT64_MAX, &v) != 0)
		return -1;
	suffix = (struct span){text.p + digits, text.len - digits};
	for (size_t i = 0; i < n; i++) {
		if (!span_equal(suffix, span_of(units[i].suffix)))
			continue;
		if (v > UINT64_MAX / units[i].factor)
			return -1;
		*value = v * units[i].factor;
		return 0;
	}
	return -1;
}

int
duration_parse(struct span text, uint64_t *ms)
{
	if (span_equal(text, span_of("0"))) {
		*ms = 0;
		return 0;
	}
	return parse_with_unit(
	    text, duration_units, ARRAY_LENGTH(duration_units), ms);
}

int
size_parse(struct span text, uint64_t *bytes)
{
	return parse_with_unit(
	    text, size_units, ARRAY_LENGTH(size_units), bytes);
}

static void
format_with_unit(uint64_t value, const struct unit *units, size_t n, char *text)
{
	size_t i = 0;

	while (i < n - 1 && (value == 0 || value % units[i].factor != 0))
		i++;
	(void)snprintf(text, NUMBER_TEXT_SIZE, "%" PRIu64 "%s",
	    value / units[i].factor, units[i].suffix);
}

void
duration_format(uint64_t ms, char text[NUMBER_TEXT_SIZE])
{
	format_with_unit(
	    ms, duration_units, ARRAY_LENGTH(duration_units), text);
}

void
size_format(uint64_t bytes, char text[NUMBER_TEXT_SIZE])
{
	format_with_unit(bytes, size_units, ARRAY_LENGTH(size_units), text);
}
