/*
 * array.h - arrays: how long one is, room for one element more
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>

/* Number of elements of a true array. */
#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/*
 * For a list on the heap that grows by this alone, one element at a time from
 * NULL; it may get shorter in between. The list with room for its element
 * number n, of size bytes. It doubles, so n elements cost n copies in all.
 * NULL: no memory; the list is as it was. Owner: the caller frees.
 */
void *array_with_room(void *list, size_t n, size_t size);

#endif
