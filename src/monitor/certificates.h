/*
 * certificates.h - the directory of certificates and keys, watched
 *
 * [https] certificates has a directory for each pair: <name>/fullchain.pem and
 * <name>/privkey.pem, as certbot's live directory has. Links are followed, but
 * of others than root only to what is theirs: see base/path.h.
 *
 * Security: the monitor opens these files and copies them inside the kernel,
 * into sealed memory files. It never reads a byte of them, nor maps one.
 */
#ifndef MONITOR_CERTIFICATES_H
#define MONITOR_CERTIFICATES_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "base/err.h"

#define CERTIFICATES_MAX 2000
/* Entries of the directory; each look at one costs some microseconds. */
#define CERTIFICATES_ENTRIES_MAX (8 * CERTIFICATES_MAX)

/* What shows that a file is another one, or was written to. */
struct file_mark {
	bool there;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

enum { CERTIFICATE_CHAIN, CERTIFICATE_KEY, CERTIFICATE_FILES };

struct certificate {
	char *name;				   /* first: see names.h */
	struct file_mark seen[CERTIFICATE_FILES];  /* at the last look */
	struct file_mark tried[CERTIFICATE_FILES]; /* when they were copied */
	bool present;				   /* in this look */
	bool missed;				   /* in the look before */
	unsigned int pause; /* looks until it is tried again; 0: it is not */
	bool postponed;	    /* and that was told */
};

/* Zero-initialized by the owner. */
struct certificates {
	struct certificate *list; /* by name; CERTIFICATES_MAX places */
	size_t n;
	bool too_many; /* was said */
};

/* What a look finds. The two functions that get descriptors own them. */
struct certificates_found {
	void *owner;
	/* A new pair, or one that changed. */
	void (*changed)(
	    void *owner, const char *name, int chain_fd, int key_fd);
	/* It cannot be read; why. */
	void (*unreadable)(void *owner, const char *name, const struct err *e);
	/* It was there, and is not any more. */
	void (*gone)(void *owner, const char *name);
	/* More than CERTIFICATES_MAX; said once. */
	void (*too_many)(void *owner);
};

/* The directory, whose own place may be the ACME user's, too. NULL: see e.
 * Owner: the caller. */
DIR *certificates_open_directory(const char *directory, struct err *e);

/*
 * Looks at all names. A change is reported once it looks the same twice in a
 * row, because two files, or a directory, are not replaced at one moment;
 * at_once: right away.
 * -1: the directory cannot be read; nothing is reported then.
 */
int certificates_look(struct certificates *c, const char *directory,
    bool at_once, const struct certificates_found *found, struct err *e);

/*
 * A pair that was just reported could not be taken, for want of what may be
 * there a moment later: it is reported again, some looks later or when it
 * changed. Whether this is the first time in a row.
 */
bool certificates_postpone(struct certificates *c, const char *name);

/* Forgets all, without a report. */
void certificates_clear(struct certificates *c);

#endif
