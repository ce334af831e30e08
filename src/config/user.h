/*
 * user.h - the users that roles run as
 */
#ifndef CONFIG_USER_H
#define CONFIG_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct config_user {
	uid_t uid;
	gid_t gid;
	bool fallback; /* the packages' user is missing; a fixed id is used */
};

/*
 * name: a user's name or number (then the group is the user's own, or the
 * same number when the user is not in the table of users). The default user
 * of a role that does not exist is replaced by a fixed id of its own, which
 * no other user or group may have; another one that does not exist is an
 * error, and so is uid or gid 0.
 */
int config_user_find(const char *name, struct config_user *user, struct err *e);

#endif
