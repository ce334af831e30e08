/*
 * uuid.h - 16 bytes as the text of a UUID
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdint.h>

#define UUID_SIZE 16
/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and a NUL. */
#define UUID_TEXT_SIZE 37

/* Lower case, with hyphens (RFC 9562, section 4). */
void uuid_format(const uint8_t uuid[UUID_SIZE], char text[UUID_TEXT_SIZE]);

#endif
