/*
 * check_kernel.c - `postal-tracker check`: what locks the roles up: filters,
 * Landlock, users
 */
#include <unistd.h>

#include "cli/check.h"
#include "config/user.h"
#include "sandbox/sandbox.h"

/* As the monitor takes [sandbox] sandbox = auto. */
static bool
is_required(const struct check *k)
{
	enum config_choice c = k->config->sandbox.sandbox;

	return c == CONFIG_SANDBOX_REQUIRED ||
	       (c == CONFIG_SANDBOX_AUTO && geteuid() == 0);
}

void
check_kernel(struct check *k)
{
	int landlock = sandbox_landlock_version();

	if (sandbox_kernel_has_filters())
		check_say(k, "ok", "kernel: seccomp filters");
	else
		check_say(k, is_required(k) ? "FAIL" : "warn",
		    "kernel: no seccomp filters, so a process that a stranger "
		    "took over could make any system call, and the daemon "
		    "refuses to start with sandbox = required; use a kernel "
		    "with CONFIG_SECCOMP_FILTER, or allow seccomp(2) in the "
		    "container");
	if (landlock > 0)
		check_say(k, "ok", "kernel: Landlock version %d", landlock);
	else
		check_say(k, "warn",
		    "kernel: no Landlock, so only users and root directories "
		    "keep the forwarder and the store from files that are not "
		    "theirs, and the forwarder may connect to any TCP port; "
		    "use Linux 5.13 or later with landlock in lsm=, or allow "
		    "landlock_create_ruleset(2) in the container");
}

void
check_user(struct check *k, const char *key, const char *name)
{
	struct config_user user;
	struct err e;

	if (config_user_find(name, &user, &e) != 0)
		check_say(k, "FAIL",
		    "%s: %s; make it with `useradd --system`, or write "
		    "another one",
		    key, e.text);
	else if (user.fallback)
		check_say(k, "warn",
		    "%s: there is no user %s, uid %d is used; the "
		    "packages make it, or `useradd --system %s`",
		    key, name, (int)user.uid, name);
	else
		check_say(k, "ok", "%s: %s (uid %d)", key, name, (int)user.uid);
}

void
check_users(struct check *k)
{
	check_user(k, "[sandbox] web_user", k->config->sandbox.web_user);
	check_user(k, "[sandbox] store_user", k->config->sandbox.store_user);
	if (k->config->https.listen.n > 0)
		check_user(
		    k, "[sandbox] keeper_user", k->config->sandbox.keeper_user);
	if (geteuid() != 0)
		check_say(k, "warn",
		    "user: not root, so some things cannot be looked at, and a "
		    "daemon started like this keeps its uid and sees the file "
		    "system; run it as root");
}
