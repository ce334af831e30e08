/*
 * options.h - the names that the sanitizers' runtime looks for
 */
#ifndef TESTS_SANITIZED_OPTIONS_H
#define TESTS_SANITIZED_OPTIONS_H

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

#endif
