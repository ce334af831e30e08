/*
 * check_log.c - `postal-tracker check`: where the access log goes
 */
#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/check.h"

/* Nothing is made, so nothing is opened: what can be seen has to do. */
static void
check_file(struct check *k, const char *path)
{
	char copy[CONFIG_PATH_SIZE];
	const char *directory;
	struct stat st;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	directory = dirname(copy);
	if (lstat(path, &st) == 0) {
		if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode))
			check_say(k, "ok", "[log] access_file %s", path);
		else
			check_say(k, "FAIL",
			    "[log] access_file %s is neither a file nor a "
			    "pipe; name another one",
			    path);
	} else if (stat(directory, &st) != 0 && errno == ENOENT) {
		check_say(k, "FAIL",
		    "[log] access_file %s: its directory is missing; `install "
		    "-d %s`",
		    path, directory);
	} else if (access(directory, W_OK | X_OK) != 0) {
		check_say(k, "FAIL", "[log] access_file %s: %s", path,
		    strerror(errno));
	} else {
		check_say(k, "ok",
		    "[log] access_file %s does not exist; it is made at the "
		    "start",
		    path);
	}
}

void
check_log(struct check *k)
{
	const char *path = k->config->log.access_file;

	if (path[0] == '\0')
		return;
	if (k->config->log.access == CONFIG_ACCESS_OFF)
		check_say(k, "warn",
		    "[log] access_file %s has no effect: [log] access is off",
		    path);
	else
		check_file(k, path);
}
