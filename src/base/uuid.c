/*
 * uuid.c - 16 bytes as the text of a UUID
 *
 * Pure.
 */
#include "base/uuid.h"

void
uuid_format(const uint8_t uuid[UUID_SIZE], char text[UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = digits[uuid[i] >> 4];
		*text++ = digits[uuid[i] & 15];
	}
	*text = '\0';
}
