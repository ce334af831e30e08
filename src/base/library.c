/*
 * library.c - libraries that one role alone opens, when it starts
 */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

int
library_find(void *handle, const char *soname,
    const struct library_symbol *symbols, size_t n, void *table, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		void *found = dlsym(handle, symbols[i].name);

		if (found == NULL)
			return err_set(e, "%s has no function %s", soname,
			    symbols[i].name);
		/* A pointer to data into a pointer to a function: POSIX's
		 * way around what C leaves undefined. */
		memcpy(
		    (char *)table + symbols[i].offset, &found, sizeof(found));
	}
	return 0;
}
