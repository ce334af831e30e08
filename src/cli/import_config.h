/*
 * import_config.h - what the files of `import-config` that write share
 */
#ifndef CLI_IMPORT_CONFIG_H
#define CLI_IMPORT_CONFIG_H

#include <stdio.h>

#include "cli/import.h"
#include "cli/internal.h"

#define IMPORT_WHERE_SIZE 224

/* What one value is called in the two formats and their environments. */
struct import_name {
	const char *path1, *path2;
	const char *env1, *env2;
};

struct import_value {
	const char *text; /* NULL: nobody says anything */
	const char *variable;
	char where[IMPORT_WHERE_SIZE]; /* for errors */
	char from[160];		       /* for the comment */
	bool other;		       /* file and environment differ */
};

struct import {
	const struct options *options;
	struct import_file *file; /* NULL: the environment alone */
	const char *path;
	char name[64];
	int format; /* 1, 2; 0: no file */
	FILE *out;
	const char *section; /* the last one that was printed */
	bool failed;
	struct import_value password, password_message;
	char message_file[CONFIG_PATH_SIZE];
};

/* Says what is wrong with the input; nothing will be printed. */
void import_wrong(struct import *im, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The text of an entry; NULL when it has none, said when it should have. */
const char *import_text(struct import *im, const struct import_entry *entry);
/* A key with a comment above it, when tracker.conf can hold the value. */
void import_put(struct import *im, const char *section, const char *key,
    const char *text, const char *where, const char *from);
/* A line of comment, in this section, or where we are (NULL). */
void import_comment(struct import *im, const char *section, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* import_web.c: listeners, proxies and the tracking domain. */
void import_put_web(struct import *im);

/* import_web.c: makes a file of mode 0600 with the password; one that exists
 * is not touched. */
int import_write_password(
    const char *path, const char *password, struct err *e);

#endif
