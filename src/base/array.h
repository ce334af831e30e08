/*
 * array.h - the one macro of the house
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

/* Number of elements of a true array. */
#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

#endif
