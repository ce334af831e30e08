/*
 * der.h - the few forms of DER that certificates and keys are made of
 *
 * Pure. Strict: definite lengths in their shortest form, below 16 MB; no
 * high tag numbers. Source: ITU-T X.690, sections 8 and 10.
 */
#ifndef TLS_DER_H
#define TLS_DER_H

#include "base/span.h"

#define DER_BOOLEAN 0x01
#define DER_INTEGER 0x02
#define DER_BIT_STRING 0x03
#define DER_OCTET_STRING 0x04
#define DER_OID 0x06
#define DER_UTC_TIME 0x17
#define DER_GENERALIZED_TIME 0x18
#define DER_SEQUENCE 0x30

/*
 * The next element when it has this tag: its content, borrowed. Anything else
 * makes the cursor bad and gives an empty span.
 */
struct span der_take(struct cursor *c, uint8_t tag);
/* The same with its header: for comparing names byte by byte. */
struct span der_take_whole(struct cursor *c, uint8_t tag);
/* Any element: its tag and content. */
uint8_t der_take_any(struct cursor *c, struct span *content);
/* Whether the next element has this tag; false at the end. */
bool der_is(const struct cursor *c, uint8_t tag);
/* A non-negative INTEGER without its leading zero. */
struct span der_take_unsigned(struct cursor *c);
/* A BIT STRING of whole bytes. */
struct span der_take_bits(struct cursor *c);
/* UTCTime or GeneralizedTime in Z, as RFC 5280 has them; Unix seconds. */
int64_t der_take_time(struct cursor *c);

#endif
