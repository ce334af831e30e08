/*
 * user.c - the users that roles run as
 *
 * Reads the tables of users and groups. Used by the monitor, the forwarder
 * and `check`, before anything is given away.
 */
#include "config/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "base/array.h"
#include "base/number.h"

/*
 * A source build has no package that makes users. These ids lie below the
 * ones that systemd hands out by itself (61184 and up) and outside what Debian
 * gives to people and to packages. Each role has one of its own, so that one
 * role cannot signal or trace another.
 */
static const struct fallback {
	const char *name;
	unsigned int id;
	bool shared; /* the kernel's own id for nobody; anyone may name it */
} fallbacks[] = {
    {"nobody", 65534, true},
    {"postal-tracker-keeper", 60981, false},
    {"postal-tracker-store", 60982, false},
    {"postal-tracker-forwarder", 60983, false},
};

/* What the table of users says: not found is NULL in *found, and no error. */
static int
look_up(const char *name, const uint64_t *number, const struct passwd **found,
    struct err *e)
{
	errno = 0;
	*found = number != NULL ? getpwuid((uid_t)*number) : getpwnam(name);
	if (*found != NULL)
		return 0;
	/* getpwnam(3) lists these among the ways to say "not found". */
	if (errno == 0 || errno == ENOENT || errno == ESRCH || errno == EBADF ||
	    errno == EPERM)
		return 0;
	return err_errno(e, "cannot look up user %.100s", name);
}

static int
take_fallback(const struct fallback *f, struct config_user *user, struct err *e)
{
	const struct passwd *other = getpwuid((uid_t)f->id);
	const struct group *group = getgrgid((gid_t)f->id);

	if (!f->shared && other != NULL)
		return err_set(e,
		    "there is no user %s, and %u, the id used instead, belongs "
		    "to user %.100s; make the user %s",
		    f->name, f->id, other->pw_name, f->name);
	if (!f->shared && group != NULL)
		return err_set(e,
		    "there is no user %s, and %u, the id used instead, belongs "
		    "to group %.100s; make the user %s",
		    f->name, f->id, group->gr_name, f->name);
	*user = (struct config_user){(uid_t)f->id, (gid_t)f->id, true};
	return 0;
}

static int
take_missing(const char *name, struct config_user *user, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LENGTH(fallbacks); i++)
		if (strcmp(fallbacks[i].name, name) == 0)
			return take_fallback(&fallbacks[i], user, e);
	return err_set(e,
	    "there is no user %.100s; make it (useradd --system %.100s) or "
	    "name another one",
	    name, name);
}

int
config_user_find(const char *name, struct config_user *user, struct err *e)
{
	const struct passwd *found;
	struct config_user out = {0};
	uint64_t number;
	/* (uid_t)-1 means "leave it as it is" to setresuid(2). */
	bool by_number =
	    number_parse(span_of(name), 0, (uid_t)-1 - 1, &number) == 0;

	if (look_up(name, by_number ? &number : NULL, &found, e) != 0)
		return -1;
	if (found != NULL)
		out = (struct config_user){found->pw_uid, found->pw_gid, false};
	else if (by_number)
		out = (struct config_user){(uid_t)number, (gid_t)number, false};
	else if (take_missing(name, &out, e) != 0)
		return -1;
	if (out.uid == 0)
		return err_set(e,
		    "user %.100s is root; a role needs a user without rights",
		    name);
	if (out.gid == 0)
		return err_set(e,
		    "user %.100s has root's group; a role needs a user "
		    "without rights",
		    name);
	*user = out;
	return 0;
}
