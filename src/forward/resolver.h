/*
 * resolver.h - what looking up names needs, brought in before the jail
 */
#ifndef FORWARD_RESOLVER_H
#define FORWARD_RESOLVER_H

/*
 * Loads the modules that the line "hosts:" of /etc/nsswitch.conf names, which
 * the C library would else load at the first look-up, and shortens the waits
 * for a name server that does not answer, unless $RES_OPTIONS is set. Nothing
 * that fails here is an error: names may still be found by other ways.
 */
void resolver_prepare(void);

#endif
