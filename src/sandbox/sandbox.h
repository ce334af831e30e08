/*
 * sandbox.h - the single steps by which a process gives things up
 *
 * Each step does one thing, checks that it happened, and says in the error
 * what could not be done. The order in which a role takes them is in role/;
 * nothing here decides policy. Only this room includes seccomp.h.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Limits of a role: no core files, no new processes, no large files (0: no
 * files at all), this many descriptors. */
struct sandbox_limits {
	uint64_t descriptors;
	uint64_t file_size; /* bytes; UINT64_MAX: unlimited */
	uint64_t processes; /* of its uid; UINT64_MAX: unlimited */
};
int sandbox_limit(const struct sandbox_limits *limits, struct err *e);

/* Makes the directory behind the descriptor the root and working directory. */
int sandbox_chroot(int dir_fd, struct err *e);

/* Empties the bounding set. Needs CAP_SETPCAP. */
int sandbox_drop_bounding(struct err *e);

/* No supplementary groups, then gid and uid, real, effective and saved. */
int sandbox_set_ids(uid_t uid, gid_t gid, struct err *e);

/* Empties the effective, permitted, inheritable and ambient sets. */
int sandbox_drop_capabilities(struct err *e);

/* Tries to become root again and to use a capability; -1 when that works. */
int sandbox_no_way_back(struct err *e);

int sandbox_no_new_privileges(struct err *e);

/* Not dumpable: no ptrace, no /proc/self/mem by others of the same uid. */
int sandbox_hide_memory(struct err *e);

/* SIGKILL for this process when its parent dies; -1 when `parent` is not its
 * parent any more. Has to follow every change of ids. */
int sandbox_die_with(pid_t parent, struct err *e);

/* A part of the file system that stays readable, with all below it. */
struct sandbox_path {
	const char *path;
	/* Has to be there and readable; else what is missing is left out. */
	bool required;
};

/* A directory that stays readable with all below it, by its descriptor,
 * which the caller keeps. */
struct sandbox_hierarchy {
	int fd;
	/* Regular files in it can be made, written, renamed and removed. */
	bool write;
};

struct sandbox_files {
	const struct sandbox_path *paths;
	size_t n_paths;
	/* TCP ports that may be connected to; n_ports 0: not restricted. */
	const uint16_t *ports;
	size_t n_ports;
	bool binds; /* TCP ports may be bound */
	const struct sandbox_hierarchy *hierarchies;
	size_t n_hierarchies;
};

/* 0, or -1, or: this kernel has no Landlock, and nothing was confined. */
#define SANDBOX_UNAVAILABLE 1

/*
 * For good, and for every process that this one starts: files below the
 * paths and hierarchies can be read, those of a writable hierarchy written,
 * and nothing else in the file system can be opened, listed, written, made,
 * removed or executed, whatever descriptors are open; no TCP port can be bound
 * (but with `binds`), only the given ones connected to, and no process outside be signalled (as far as
 * the kernel's Landlock goes: files from 5.13 on, ports from 6.7, signals
 * from 6.12). Not governed: stat, and connecting to the path of a Unix
 * socket. Mapping a readable file as code is not "execute" here; that is for
 * the filter to refuse. Needs no_new_privs. Source: landlock(7) and the
 * kernel's Documentation/userspace-api/landlock.rst.
 */
int sandbox_confine_files(const struct sandbox_files *files, struct err *e);

/* The version of the kernel's Landlock, 0 for none. */
int sandbox_landlock_version(void);

enum sandbox_action {
	SANDBOX_TRAP, /* SIGSYS, the handler reports the call */
	SANDBOX_KILL, /* the kernel ends the process at once */
};

/*
 * Loads the filter that was compiled from policy/<role>.policy. With
 * SANDBOX_TRAP, refused is called from the signal handler with the number of
 * the call: it may only use what is safe there, and must not return.
 */
int sandbox_load_filter(const char *role, enum sandbox_action action,
    void (*refused)(int call), struct err *e);

/* "openat", or "call 4711" for a number without name. */
const char *sandbox_call_name(int call, char *text, size_t size);

/* "2.5.4" of libseccomp. */
const char *sandbox_library_version(void);

/* Whether this kernel has seccomp filters. */
bool sandbox_kernel_has_filters(void);

/*
 * The monitor keeps only these capabilities (bits 1 << CAP_x) in its
 * effective, permitted and bounding sets and nothing in the others. A bit it
 * does not have is ignored.
 */
int sandbox_keep_capabilities(uint64_t keep, struct err *e);

#endif
