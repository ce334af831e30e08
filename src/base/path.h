/*
 * path.h - a path through directories that others can write
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include "base/err.h"

/*
 * Opens what path leads to, with O_PATH; from dir_fd, which may be AT_FDCWD, if
 * it does not begin with a slash. flags: O_DIRECTORY, or 0 for anything. Links
 * are followed, 40 at most. -1: the text has no path in it, the code is errno's;
 * EPERM: somebody links to what is not his. Owner: the caller.
 *
 * Security: for root, where an unprivileged user can put links. A link leads
 * only to what belongs to the link's owner, unless that is root or who runs
 * this; and a file in such a user's directory that is another's has no second
 * name, so that it is no hard link of his making. Each step is looked at after
 * it was opened, so that nothing can be put in its place. A user's directory is
 * his, with all that others put there.
 */
int path_open(int dir_fd, const char *path, int flags, struct err *e);

#endif
