/*
 * library.h - libraries that one role alone opens, when it starts
 *
 * What only one role needs is not linked with the binary, or every role would
 * map it. The functions are found by name into a table of pointers. Call all
 * of it before the jail: behind it nothing can be opened.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct library_symbol {
	const char *name;
	size_t offset; /* of the pointer in the table */
};

/*
 * Puts n pointers into the table. handle is dlopen's; soname is for the error,
 * which names the function that is missing.
 */
int library_find(void *handle, const char *soname,
    const struct library_symbol *symbols, size_t n, void *table, struct err *e);

/*
 * What packaging tools read in place of DT_NEEDED: a note that names the
 * libraries. Source: UAPI group, "ELF dlopen metadata": one note, owner FDO, a
 * JSON array as its text. Once in a file, outside of functions.
 */
#define LIBRARY_NOTE(json)                                                    \
	static const struct {                                                 \
		uint32_t owner_size;                                          \
		uint32_t text_size;                                           \
		uint32_t type;                                                \
		char owner[4];                                                \
		char text[(sizeof(json) + 3) & ~(size_t)3];                   \
	} note __attribute__((used, section(".note.dlopen"), aligned(4))) = { \
	    4, sizeof(json), 0x407c0c0a, "FDO", json}

#endif
