/*
 * secret.h - a password from a file
 *
 * Read before the jail, by whoever may read the file. It is never in the
 * environment or on a command line; its memory is locked, left out of dumps
 * and wiped. (The client library keeps a copy of its own while it is
 * connected; the process is not dumpable.)
 */
#ifndef FORWARD_SECRET_H
#define FORWARD_SECRET_H

#include <stddef.h>

#include "base/err.h"

#define SECRET_FILE_MOST 4096

struct secret {
	char *text;    /* C string; NULL: there is none */
	size_t mapped; /* bytes of memory behind text */
};

/*
 * The first line of the file, without its end of line (LF or CR LF). Refused
 * with the reason and the remedy: what is not a regular file, what others
 * than owner and group can read or write, more than SECRET_FILE_MOST bytes, a
 * NUL, an empty first line. Owner: the caller, secret_clear.
 */
int secret_read(struct secret *s, const char *path, struct err *e);

/*
 * path, when it is not empty and may be read; else the credential `name` that
 * systemd put into $CREDENTIALS_DIRECTORY, when there is one that is more than
 * an empty line; else nothing: 0 with text NULL, or an error when there is a
 * path. So the same tracker.conf does for root and for a service that is not
 * root and gets the file by LoadCredential. The directory is the service
 * manager's word and therefore trusted.
 */
int secret_find(
    struct secret *s, const char *path, const char *name, struct err *e);

/* The password, "" for none. */
const char *secret_text(const struct secret *s);

/* Wipes and frees. s may be all zeroes. */
void secret_clear(struct secret *s);

#endif
