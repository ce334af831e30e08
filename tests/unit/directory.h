/*
 * directory.h - a directory of a test's own, which is the working directory
 */
#ifndef TESTS_UNIT_DIRECTORY_H
#define TESTS_UNIT_DIRECTORY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[] = "/tmp/unit-test-XXXXXX";

static inline int
directory_enter(void)
{
	return mkdtemp(directory) == NULL ? -1 : chdir(directory);
}

static inline int
directory_remove_one(
    const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level == 0 ? 0 : remove(path);
}

static inline int
directory_empty(void)
{
	return nftw(directory, directory_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
