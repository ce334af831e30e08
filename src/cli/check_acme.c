/*
 * check_acme.c - `postal-tracker check`: challenges, and tracking domains that
 * have no certificate
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/check.h"
#include "cli/domains.h"
#include "monitor/place.h"

/* More of them are for `postal-tracker domains`. */
#define LINES_MOST 20

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

struct lines {
	struct check *k;
	size_t n;
};

static void
say_one(void *owner, const char *text)
{
	struct lines *l = owner;

	if (l->n++ < LINES_MOST)
		check_say(l->k, "warn", "domain %s", text);
}

static void
check_domains(struct check *k)
{
	struct lines lines = {k, 0};
	struct domains_sum sum;
	struct err e;

	if (domains_check(k->config, &sum, say_one, &lines, &e) != 0)
		check_say(
		    k, "warn", "tracking domains: not looked at: %s", e.text);
	else if (sum.needing == 0)
		check_say(k, "ok",
		    "tracking domains: all %zu have a certificate", sum.all);
	else
		check_say(k, "warn",
		    "tracking domains: %zu of %zu need a certificate; all of "
		    "them: `postal-tracker domains`",
		    sum.needing, sum.all);
}

void
check_acme(struct check *k)
{
	if (k->config->https.acme_challenges[0] != '\0')
		check_directory(k);
	if (k->config->https.certificates[0] != '\0' &&
	    k->config->postal.mode == CONFIG_MODE_MYSQL)
		check_domains(k);
}
