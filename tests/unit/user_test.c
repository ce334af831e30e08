/*
 * user_test.c - the users that roles run as
 *
 * The three look-ups of libc are replaced by tables of this file, so that the
 * test does not depend on the machine's users.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "config/user.h"

/* libc's structs want names that could be written to. */
static char root[] = "root", www[] = "www-data", op[] = "operator",
	    keeper[] = "postal-tracker-keeper", other[] = "other",
	    sudo[] = "sudo";
static struct passwd users[] = {
    {.pw_name = root, .pw_uid = 0, .pw_gid = 0},
    {.pw_name = www, .pw_uid = 33, .pw_gid = 34},
    {.pw_name = op, .pw_uid = 11, .pw_gid = 0},
    {.pw_name = keeper, .pw_uid = 900, .pw_gid = 901},
    {.pw_name = other, .pw_uid = 60983, .pw_gid = 5},
};
static struct group groups[] = {
    {.gr_name = sudo, .gr_gid = 27},
};
static int failure;	    /* errno of a failing look-up, or 0 */
static gid_t group_id = 27; /* of the only group */

struct passwd *
getpwnam(const char *name)
{
	for (size_t i = 0; failure == 0 && i < ARRAY_LENGTH(users); i++)
		if (strcmp(users[i].pw_name, name) == 0)
			return &users[i];
	errno = failure;
	return NULL;
}

struct passwd *
getpwuid(uid_t uid)
{
	for (size_t i = 0; failure == 0 && i < ARRAY_LENGTH(users); i++)
		if (users[i].pw_uid == uid)
			return &users[i];
	errno = failure;
	return NULL;
}

struct group *
getgrgid(gid_t gid)
{
	groups[0].gr_gid = group_id;
	return gid == group_id ? &groups[0] : NULL;
}

static void
expect_user(const char *name, uid_t uid, gid_t gid, bool fallback)
{
	struct config_user user = {0};
	struct err e = {0};

	if (config_user_find(name, &user, &e) != 0)
		fail_msg("%s: %s", name, e.text);
	assert_int_equal(user.uid, uid);
	assert_int_equal(user.gid, gid);
	assert_int_equal(user.fallback, fallback);
}

static void
expect_error(const char *name, const char *text)
{
	struct config_user user = {1, 2, true};
	struct err e = {0};

	assert_int_equal(config_user_find(name, &user, &e), -1);
	assert_string_equal(e.text, text);
	assert_int_equal(user.uid, 1);
}

static void
test_names(void **state)
{
	(void)state;
	expect_user("www-data", 33, 34, false);
	expect_user("postal-tracker-keeper", 900, 901, false);
	expect_error("nosuch",
	    "there is no user nosuch; make it (useradd --system nosuch) or "
	    "name another one");
	expect_error("",
	    "there is no user ; make it (useradd --system ) or name another "
	    "one");
}

static void
test_numbers(void **state)
{
	(void)state;
	expect_user("33", 33, 34, false);
	expect_user("4711", 4711, 4711, false);
	expect_user("4294967294", 4294967294U, 4294967294U, false);
	expect_error("4294967295",
	    "there is no user 4294967295; make it (useradd --system "
	    "4294967295) or name another one");
}

static void
test_root(void **state)
{
	(void)state;
	expect_error(
	    "root", "user root is root; a role needs a user without rights");
	expect_error("0", "user 0 is root; a role needs a user without rights");
	expect_error("operator",
	    "user operator has root's group; a role needs a user without "
	    "rights");
}

static void
test_fallbacks(void **state)
{
	(void)state;
	expect_user("nobody", 65534, 65534, true);
	expect_user("postal-tracker-store", 60982, 60982, true);
	/* On Debian that group is called nogroup. */
	group_id = 65534;
	expect_user("nobody", 65534, 65534, true);
	group_id = 60982;
	expect_error("postal-tracker-store",
	    "there is no user postal-tracker-store, and 60982, the id used "
	    "instead, belongs to group sudo; make the user "
	    "postal-tracker-store");
	group_id = 27;
	expect_error("postal-tracker-forwarder",
	    "there is no user postal-tracker-forwarder, and 60983, the id "
	    "used instead, belongs to user other; make the user "
	    "postal-tracker-forwarder");
}

/* A table that cannot be read is not a table without the user. */
static void
test_failures(void **state)
{
	static const int absent[] = {ENOENT, ESRCH, EBADF, EPERM};

	(void)state;
	failure = EIO;
	expect_error(
	    "nobody", "cannot look up user nobody: Input/output error");
	expect_error("33", "cannot look up user 33: Input/output error");
	for (size_t i = 0; i < ARRAY_LENGTH(absent); i++) {
		failure = absent[i];
		expect_user("nobody", 65534, 65534, true);
	}
	failure = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_root),
	    cmocka_unit_test(test_fallbacks),
	    cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
