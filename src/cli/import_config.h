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
/* "/config/postal.yml:12", for errors. */
void import_place(const struct import *im, const struct import_entry *entry,
    char where[IMPORT_WHERE_SIZE]);
/* As the file and the environment have it. */
void import_find_value(struct import *im, const struct import_name *name,
    struct import_value *value);
/* A key with a comment above it, when tracker.conf can hold the value. */
void import_put(struct import *im, const char *section, const char *key,
    const char *text, const char *where, const char *from);
/* A line of comment, in this section, or where we are (NULL). */
void import_comment(struct import *im, const char *section, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* import_web.c: listeners, proxies and the tracking domain. */
void import_put_web(struct import *im);

/* import_databases.c */
void import_put_databases(struct import *im);
/* After it: makes the files that --password-file names, of mode 0600. */
int import_write_passwords(const struct import *im, struct err *e);

#endif
