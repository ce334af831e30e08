/*
 * check_limits.c - `postal-tracker check`: enough descriptors for [clients]
 * max_connections
 */
#include <inttypes.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "cli/check.h"
#include "monitor/settings.h"

static uint64_t
descriptors_wanted(const struct config *c)
{
	unsigned int workers = settings_workers(c);

	return (c->clients.max_connections + workers - 1) / workers +
	       SETTINGS_WORKER_FDS;
}

static void
say_limit(struct check *k, const char *whose, uint64_t limit)
{
	uint64_t wanted = descriptors_wanted(k->config);
	uint64_t most = k->config->clients.max_connections;

	if (limit < wanted)
		check_say(k, "warn",
		    "[clients] max_connections = %" PRIu64 " needs %" PRIu64
		    " descriptors a web process, and %s may open %" PRIu64
		    ", so fewer connections are taken; set LimitNOFILE=%" PRIu64
		    " in its unit (or ulimit -n), or lower max_connections",
		    most, wanted, whose, limit, wanted);
	else
		check_say(k, "ok",
		    "[clients] max_connections = %" PRIu64
		    ": %s may open enough descriptors",
		    most, whose);
}

void
check_limits(struct check *k)
{
	int limit = fd_raise_limit_to(settings_descriptors(k->config));

	/* As the daemon would try to. */
	if (limit >= 0)
		say_limit(k, "a daemon started from here", (uint64_t)limit);
}

/* The monitor's limit: those of the roles are made from it. */
void
check_limits_of_daemon(struct check *k)
{
	pid_t monitor = ask_daemon(k->config);
	struct rlimit limit;

	if (monitor > 0 && prlimit(monitor, RLIMIT_NOFILE, NULL, &limit) == 0 &&
	    limit.rlim_max != RLIM_INFINITY)
		say_limit(k, "the running daemon", limit.rlim_max);
}
