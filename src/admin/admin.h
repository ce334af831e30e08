/*
 * admin.h - the admin role: health and numbers, for those who watch
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

/* The role; started by the monitor, never by hand. */
int admin_main(const char *argv0);

#endif
