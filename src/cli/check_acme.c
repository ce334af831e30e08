/*
 * check_acme.c - `postal-tracker check`: the directory of ACME challenges
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/check.h"
#include "monitor/place.h"

static void
check_directory(struct check *k)
{
	const char *path = k->config->https.acme_challenges;
	int spool_fd =
	    open(k->config->spool.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = -1;
	struct stat st;
	struct err e;

	if (place_open_challenges(path, spool_fd, &fd, &e) != 0)
		check_say(k, "FAIL", "%s", e.text);
	else if (fstat(fd, &st) != 0 || (st.st_mode & S_IXOTH) == 0)
		check_say(k, "FAIL",
		    "[https] acme_challenges %s: the store's user cannot open "
		    "files there; `chmod o+x %s`",
		    path, path);
	else
		check_say(k, "ok", "[https] acme_challenges %s", path);
	fd_close(&fd);
	fd_close(&spool_fd);
}

void
check_acme(struct check *k)
{
	if (k->config->https.acme_challenges[0] != '\0')
		check_directory(k);
}
