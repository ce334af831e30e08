/*
 * exposition.c - Prometheus' text format, version 0.0.4
 *
 * Pure; run by admin.
 */
#include "admin/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define PREFIX "postal_tracker_"

/* --- escaping ---------------------------------------------------------- */

/* In a label's value; in a help text quotes stand as they are. */
static void
put_escaped(struct writer *w, struct span bytes, const char *special)
{
	while (bytes.len > 0) {
		struct span c = utf8_take(&bytes);

		if (c.len == 1 && c.p[0] == '\n') {
			writer_text(w, "\\n");
			continue;
		}
		if (c.len == 1 && c.p[0] != '\0' &&
		    strchr(special, c.p[0]) != NULL)
			writer_u8(w, '\\');
		writer_bytes(w, c);
	}
}

static void
put_labels(struct writer *w, const struct exposition_labels *labels)
{
	if (labels == NULL || labels->n == 0)
		return;
	for (size_t i = 0; i < labels->n; i++) {
		writer_text(w, i == 0 ? "{" : ",");
		writer_text(w, labels->list[i].name);
		writer_text(w, "=\"");
		put_escaped(w, labels->list[i].value, "\\\"");
		writer_text(w, "\"");
	}
	writer_text(w, "}");
}

/* --- metrics ----------------------------------------------------------- */

void
exposition_head(
    struct writer *w, const char *name, const char *type, const char *help)
{
	writer_text(w, "# HELP " PREFIX);
	writer_text(w, name);
	writer_text(w, " ");
	put_escaped(w, span_of(help), "\\");
	writer_text(w, "\n# TYPE " PREFIX);
	writer_text(w, name);
	writer_text(w, " ");
	writer_text(w, type);
	writer_text(w, "\n");
}

static void
put_sample(struct writer *w, const char *name, const char *suffix,
    const struct exposition_labels *labels, const char *value)
{
	writer_text(w, PREFIX);
	writer_text(w, name);
	writer_text(w, suffix);
	put_labels(w, labels);
	writer_text(w, " ");
	writer_text(w, value);
	writer_text(w, "\n");
}

void
exposition_number(struct writer *w, const char *name, const char *suffix,
    const struct exposition_labels *labels, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	put_sample(w, name, suffix, labels, text);
}

void
exposition_format_seconds(uint64_t us, char text[EXPOSITION_SECONDS_SIZE])
{
	size_t len;

	(void)snprintf(text, EXPOSITION_SECONDS_SIZE, "%" PRIu64 ".%06" PRIu64,
	    us / 1000000, us % 1000000);
	len = strlen(text);
	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	text[len] = '\0';
}

void
exposition_seconds(struct writer *w, const char *name, const char *suffix,
    const struct exposition_labels *labels, uint64_t us)
{
	char text[EXPOSITION_SECONDS_SIZE];

	exposition_format_seconds(us, text);
	put_sample(w, name, suffix, labels, text);
}
