/*
 * store.h - the role that keeps events and links
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

/* The store's whole life; returns its exit code. */
int store_main(const char *argv0);

/* "3.40.1" of SQLite. */
const char *store_library_version(void);

#endif
