/*
 * jail.h - the one order of self-restriction
 *
 * Used by every process that gives itself up: the roles that the monitor
 * starts, and the forwarder, which is a service of its own.
 */
#ifndef ROLE_JAIL_H
#define ROLE_JAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "sandbox/sandbox.h"

struct role_jail {
	const char *policy; /* "web": policy/web.policy */
	enum sandbox_action action;
	/* Called in the signal handler; does not return. */
	void (*refused)(int call);
	/* Started as root: all steps are taken. Else those that need root
	 * are left out. */
	bool root;
	uid_t uid;
	gid_t gid;
	/* The directory that becomes the root, or without root the working
	 * directory; closed on success. -1: the file system stays in sight. */
	int root_fd;
	/* What stays readable of it; NULL: not confined by Landlock. */
	const struct sandbox_files *files;
	pid_t parent; /* dies with it; 0: with nobody */
	/* Bits 1 << CAP_x that are kept of what it was started with; only
	 * without root. */
	uint64_t capabilities;
	uint64_t descriptors;
	uint64_t file_size; /* 0: may not write files */
};

/*
 * Limits, root directory, bounding set, groups, gid, uid, capabilities, an
 * attempt to get them back, no_new_privs, Landlock, not dumpable, the
 * parent's death, seccomp. The caller holds its descriptors by then and has
 * closed all others. Files are looked up after the change of user, so what
 * can be named is what can be read. 0; -1: do not go on;
 * SANDBOX_UNAVAILABLE: all but Landlock, which this kernel does not have.
 */
int role_enter_jail(const struct role_jail *jail, struct err *e);

/* For `refused` of a process that no monitor listens to: one line of the log,
 * "<3>NAME: died call=...", and the end. Safe in a signal handler. */
_Noreturn void role_refused_call(const char *policy, int call);

/* As a shell reports a process that SIGSYS ended. */
#define ROLE_EXIT_REFUSED_CALL (128 + 31)

#endif
