/*
 * jail.c - the one order of self-restriction
 *
 * Runs in each process before it reads a byte from anyone but the monitor
 * and its configuration.
 */
#include "role/jail.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/span.h"

static int
set_limits(const struct role_jail *jail, struct err *e)
{
	struct sandbox_limits limits = {
	    .descriptors = jail->descriptors, .file_size = jail->file_size};
	struct stat st;

	/* The log may be a regular file; the limit would end it. */
	if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		limits.file_size = UINT64_MAX;
	return sandbox_limit(&limits, e);
}

static int
change_directory(const struct role_jail *jail, struct err *e)
{
	if (jail->root_fd < 0)
		return 0;
	if (jail->root && sandbox_chroot(jail->root_fd, e) != 0)
		return -1;
	if (!jail->root && fchdir(jail->root_fd) != 0)
		return err_errno(e, "cannot change the directory");
	(void)close(jail->root_fd);
	return 0;
}

static int
change_user(const struct role_jail *jail, struct err *e)
{
	if (jail->root && (sandbox_drop_bounding(e) != 0 ||
			      sandbox_set_ids(jail->uid, jail->gid, e) != 0))
		return -1;
	if (!jail->root && jail->capabilities != 0)
		return sandbox_keep_capabilities(jail->capabilities, e);
	if (sandbox_drop_capabilities(e) != 0)
		return -1;
	return jail->root ? sandbox_no_way_back(e) : 0;
}

int
role_enter_jail(const struct role_jail *jail, struct err *e)
{
	int confined = 0;

	if (set_limits(jail, e) != 0 || change_directory(jail, e) != 0 ||
	    change_user(jail, e) != 0 || sandbox_no_new_privileges(e) != 0)
		return -1;
	if (jail->files != NULL)
		confined = sandbox_confine_files(jail->files, e);
	if (confined < 0 || sandbox_hide_memory(e) != 0 ||
	    (jail->parent != 0 && sandbox_die_with(jail->parent, e) != 0) ||
	    sandbox_load_filter(jail->policy, jail->action, jail->refused, e) !=
		0)
		return -1;
	return confined;
}

_Noreturn void
role_refused_call(const char *policy, int call)
{
	char digits[12], line[160];
	char *digit = digits + sizeof(digits) - 1;
	unsigned int left = (unsigned int)call;
	struct writer w = writer_of(line, sizeof(line));

	*digit = '\0';
	do
		*--digit = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	writer_text(&w, "<3>");
	writer_text(&w, policy);
	writer_text(&w, ": died call=");
	writer_text(&w, digit);
	writer_text(&w, ": a system call that policy/");
	writer_text(&w, policy);
	writer_text(&w, ".policy does not allow\n");
	if (write(STDERR_FILENO, line, w.len) < 0)
		_exit(ROLE_EXIT_REFUSED_CALL + 1);
	_exit(ROLE_EXIT_REFUSED_CALL);
}
