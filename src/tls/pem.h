/*
 * pem.h - PEM to DER
 *
 * Pure. The decoder is BearSSL's, whose handling of base64 does not depend
 * on the bytes. Source: RFC 7468.
 */
#ifndef TLS_PEM_H
#define TLS_PEM_H

#include "base/span.h"

#define PEM_LABEL_SIZE 80

enum pem_result {
	PEM_OBJECT, /* one was decoded */
	PEM_END,    /* there is none any more */
	PEM_BROKEN, /* not base64, cut, or too large for the memory */
};

/*
 * Takes the next object off *text. Its bytes are appended to out; der are
 * those bytes, label is what stands behind BEGIN. Text outside of objects is
 * skipped. Memory of text.len bytes is always enough.
 *
 * Security: for a private key, wipe out.p when it is done with.
 */
enum pem_result pem_next(struct span *text, struct writer *out,
    char label[PEM_LABEL_SIZE], struct span *der);

#endif
