/*
 * web.h - the role that speaks HTTP
 */
#ifndef WEB_WEB_H
#define WEB_WEB_H

/* The web worker's whole life; returns its exit code. */
int web_main(const char *argv0);

#endif
