/*
 * pem.c - PEM to DER
 *
 * Pure.
 */
#include "tls/pem.h"

#include <bearssl.h>
#include <stdio.h>
#include <string.h>

static void
append(void *ctx, const void *src, size_t len)
{
	writer_bytes(ctx, (struct span){src, len});
}

/* Feeds bytes until something happened; 0 when the text is at its end. */
static int
run(br_pem_decoder_context *d, struct span *text)
{
	while (text->len > 0) {
		size_t n = br_pem_decoder_push(d, text->p, text->len);
		int event;

		text->p += n;
		text->len -= n;
		event = br_pem_decoder_event(d);
		if (event != 0)
			return event;
	}
	return 0;
}

enum pem_result
pem_next(struct span *text, struct writer *out, char label[PEM_LABEL_SIZE],
    struct span *der)
{
	br_pem_decoder_context d;
	size_t start = out->len;
	enum pem_result result = PEM_BROKEN;
	int event;

	br_pem_decoder_init(&d);
	event = run(&d, text);
	if (event == 0)
		return PEM_END;
	if (event == BR_PEM_BEGIN_OBJ) {
		(void)snprintf(label, PEM_LABEL_SIZE, "%.*s",
		    PEM_LABEL_SIZE - 1, br_pem_decoder_name(&d));
		br_pem_decoder_setdest(&d, append, out);
		event = run(&d, text);
		/* The last line may lack its newline. */
		if (event == 0 && br_pem_decoder_push(&d, "\n", 1) == 1)
			event = br_pem_decoder_event(&d);
		if (event == BR_PEM_END_OBJ && !out->full) {
			*der = (struct span){out->p + start, out->len - start};
			result = PEM_OBJECT;
		}
	}
	explicit_bzero(&d, sizeof(d));
	return result;
}
