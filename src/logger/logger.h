/*
 * logger.h - the process that writes the access log
 */
#ifndef LOGGER_LOGGER_H
#define LOGGER_LOGGER_H

/* The role; returns the exit code. */
int logger_main(const char *argv0);

#endif
