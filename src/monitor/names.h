/*
 * names.h - a name in a list that is sorted by names
 */
#ifndef MONITOR_NAMES_H
#define MONITOR_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The place of name among n elements of size bytes, each of which begins with
 * its own (a char *), in the order of strcmp; or where it would be.
 */
size_t names_place(
    const void *list, size_t n, size_t size, const char *name, bool *there);

#endif
