/*
 * exposition.h - Prometheus' text format, version 0.0.4
 *
 * Pure. A metric is its head, once, and then all its samples. Every name gets
 * the prefix postal_tracker_.
 * Source: "Exposition formats" of the Prometheus documentation.
 */
#ifndef ADMIN_EXPOSITION_H
#define ADMIN_EXPOSITION_H

#include "base/span.h"

struct exposition_label {
	const char *name;
	struct span value; /* any bytes; what is not UTF-8 is replaced */
};

struct exposition_labels {
	size_t n;
	struct exposition_label list[3];
};

/* # HELP and # TYPE; type: "counter", "gauge" or "histogram". */
void exposition_head(
    struct writer *w, const char *name, const char *type, const char *help);

/* A sample; suffix: "", or "_bucket" and the like of a histogram. labels: NULL
 * for none. */
void exposition_number(struct writer *w, const char *name, const char *suffix,
    const struct exposition_labels *labels, uint64_t value);
/* The same in seconds, from microseconds. */
void exposition_seconds(struct writer *w, const char *name, const char *suffix,
    const struct exposition_labels *labels, uint64_t us);

/* "0.0025" of 2500: microseconds as seconds, without needless zeros. */
#define EXPOSITION_SECONDS_SIZE 32
void exposition_format_seconds(uint64_t us, char text[EXPOSITION_SECONDS_SIZE]);

#endif
