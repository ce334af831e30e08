/*
 * options.c - what the sanitizers do in a build with SANITIZE
 *
 * A role has an empty environment and no /proc: what would stand in
 * ASAN_OPTIONS is linked into it. Leaks are looked for by the unit tests and
 * the fuzzers; in a jail LeakSanitizer cannot stop the process to look.
 */
#include "tests/sanitized/options.h"

const char *
__asan_default_options(void)
{
	return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:"
	       "handle_abort=0:use_sigaltstack=0:symbolize=0:abort_on_error=0";
}

const char *
__ubsan_default_options(void)
{
	return "print_stacktrace=0:symbolize=0";
}
