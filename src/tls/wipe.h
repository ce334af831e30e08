/*
 * wipe.h - memory of GMP and Nettle, wiped when it is given back
 *
 * Their numbers live on the heap. With this, nothing that was a secret stays
 * there. Only in builds with Nettle.
 */
#ifndef TLS_WIPE_H
#define TLS_WIPE_H

/* For the whole process; again does no harm. Without memory, GMP aborts. */
void wipe_what_is_freed(void);

#endif
