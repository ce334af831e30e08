/*
 * import.h - what the files of `postal-tracker import-config` share
 */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

#define IMPORT_PATH_SIZE 96
#define IMPORT_VALUE_SIZE 1024
#define IMPORT_ENTRIES_MAX 512
#define IMPORT_DEPTH_MAX 32

enum import_kind {
	IMPORT_SCALAR,	  /* value is its text */
	IMPORT_NULL,	  /* ~, null, or nothing at all, unquoted */
	IMPORT_ALIAS,	  /* value is its name; never followed */
	IMPORT_TOO_LONG,  /* or with a NUL; value is empty */
	IMPORT_CONTAINER, /* a mapping or a list; its own entries follow */
};

/* "main_db.host", and "postal.trusted_proxies[]" for each of a list. */
struct import_entry {
	unsigned int line;
	enum import_kind kind;
	char path[IMPORT_PATH_SIZE];
	char value[IMPORT_VALUE_SIZE];
};

struct import_file {
	bool failed;
	unsigned int error_line; /* 0: of no line */
	char error[256];
	size_t n;
	struct import_entry entries[IMPORT_ENTRIES_MAX];
};

/*
 * Reads a YAML file of at most 1 MiB: what lies at the top, and below the
 * sections that are of use here. Of keys that stand twice both are there, and
 * the later one counts. -1: e says what is wrong, with file and line.
 *
 * Security: a child process does it, as nobody when this is root, with
 * bounds of memory and time, and libyaml is in its memory alone; what it
 * found comes back through shared memory of fixed size.
 *
 * Owner: the caller, import_close.
 */
int import_open(const char *path, struct import_file **f, struct err *e);
void import_close(struct import_file *f);

/* The last entry of a path; NULL: there is none. */
const struct import_entry *import_find(
    const struct import_file *f, const char *path);

#endif
