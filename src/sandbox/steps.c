/*
 * steps.c - the single steps by which a process gives things up
 *
 * Run by every role in the order of role/, and in part by the monitor. Linux
 * only; capabilities by system call, so that no library is needed for them.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- limits ------------------------------------------------------------ */

static int
limit_one(unsigned int which, uint64_t value, const char *name, struct err *e)
{
	struct rlimit limit, now;

	limit.rlim_cur = limit.rlim_max =
	    value == UINT64_MAX ? RLIM_INFINITY : (rlim_t)value;
	if (getrlimit(which, &now) != 0)
		return err_errno(e, "cannot read the limit of %s", name);
	/* A hard limit can only be lowered. */
	if (limit.rlim_max > now.rlim_max)
		limit.rlim_cur = limit.rlim_max = now.rlim_max;
	if (setrlimit(which, &limit) != 0)
		return err_errno(e, "cannot limit %s", name);
	return 0;
}

int
sandbox_limit(const struct sandbox_limits *limits, struct err *e)
{
	if (limit_one(RLIMIT_CORE, 0, "core files", e) != 0 ||
	    limit_one(RLIMIT_NOFILE, limits->descriptors, "descriptors", e) !=
		0 ||
	    limit_one(RLIMIT_FSIZE, limits->file_size, "file size", e) != 0 ||
	    limit_one(RLIMIT_NPROC, limits->processes, "processes", e) != 0)
		return -1;
	return 0;
}

/* --- file system ------------------------------------------------------- */

int
sandbox_chroot(int dir_fd, struct err *e)
{
	if (fchdir(dir_fd) != 0 || chroot(".") != 0 || chdir("/") != 0)
		return err_errno(e, "cannot change the root directory");
	return 0;
}

/* --- capabilities ------------------------------------------------------ */

static int
set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {
	    _LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};

	data[0].effective = data[0].permitted = (uint32_t)keep;
	data[1].effective = data[1].permitted = (uint32_t)(keep >> 32);
	return (int)syscall(SYS_capset, &header, data);
}

static int
get_permitted(uint64_t *permitted)
{
	struct __user_cap_header_struct header = {
	    _LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};

	if (syscall(SYS_capget, &header, data) != 0)
		return -1;
	*permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

/* Drops every capability of the bounding set that is not in keep. */
static int
limit_bounding(uint64_t keep, struct err *e)
{
	/* The kernel says EINVAL behind the last one that it knows. */
	for (int cap = 0; cap < 64; cap++) {
		int there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (there < 0)
			break;
		if (there == 0 || (keep >> cap & 1) != 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return err_errno(
			    e, "cannot drop capability %d for good", cap);
	}
	return 0;
}

int
sandbox_drop_bounding(struct err *e)
{
	return limit_bounding(0, e);
}

int
sandbox_drop_capabilities(struct err *e)
{
	uint64_t left = 0;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
	    set_capabilities(0) != 0 || get_permitted(&left) != 0)
		return err_errno(e, "cannot drop the capabilities");
	if (left != 0)
		return err_set(e, "the capabilities are still there");
	return 0;
}

int
sandbox_keep_capabilities(uint64_t keep, struct err *e)
{
	uint64_t permitted = 0;

	if (limit_bounding(keep, e) != 0)
		return -1;
	if (get_permitted(&permitted) != 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
	    set_capabilities(keep & permitted) != 0)
		return err_errno(e, "cannot reduce the capabilities");
	return 0;
}

/* --- ids --------------------------------------------------------------- */

int
sandbox_set_ids(uid_t uid, gid_t gid, struct err *e)
{
	uid_t r, ef, s;
	gid_t gr, ge, gs;

	if (uid == 0)
		return err_set(e, "a role may not run as root");
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return err_errno(
		    e, "cannot become uid %d, gid %d", (int)uid, (int)gid);
	if (getresuid(&r, &ef, &s) != 0 || r != uid || ef != uid || s != uid ||
	    getresgid(&gr, &ge, &gs) != 0 || gr != gid || ge != gid ||
	    gs != gid || getgroups(0, NULL) != 0)
		return err_set(e, "the ids are not what they were set to");
	return 0;
}

int
sandbox_no_way_back(struct err *e)
{
	if (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0 ||
	    setgid(0) == 0 || setresgid(0, 0, 0) == 0 ||
	    setgroups(0, NULL) == 0)
		return err_set(e, "root could be had again after it was given "
				  "up");
	if (set_capabilities(UINT64_C(1) << CAP_SETUID) == 0 ||
	    chroot(".") == 0)
		return err_set(e, "a capability could be had again after it "
				  "was given up");
	return 0;
}

/* --- the process ------------------------------------------------------- */

int
sandbox_no_new_privileges(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return err_errno(e, "cannot set no_new_privs");
	return 0;
}

int
sandbox_hide_memory(struct err *e)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_errno(e, "cannot become undumpable");
	return 0;
}

int
sandbox_die_with(pid_t parent, struct err *e)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return err_errno(e, "cannot be tied to the monitor's life");
	if (getppid() != parent)
		return err_set(e, "the monitor is gone already");
	return 0;
}

bool
sandbox_kernel_has_filters(void)
{
	uint32_t action = 0x7fc00000; /* SECCOMP_RET_LOG: any known one */

	return syscall(SYS_seccomp, 2 /* GET_ACTION_AVAIL */, 0, &action) == 0;
}
