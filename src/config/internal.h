/*
 * internal.h - what the files of config/ share
 */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include "base/span.h"
#include "config/config.h"

/* --- value.c: pure ------------------------------------------------------ */

/* Whether a value is a list, which may go on over several lines. */
bool config_value_is_list(const struct config_directive *d);
/*
 * Stores what text says in the directive's place in c. The elements of a list
 * are added to those that are there; config_value_clear empties it before. On
 * -1 the text in e continues "key = value: ", as in "is not a duration".
 */
int config_value_add(struct config *c, const struct config_directive *d,
    struct span text, struct err *e);
void config_value_clear(struct config *c, const struct config_directive *d);
/* The endpoints of a directive; NULL when it has another type. */
const struct config_endpoints *config_value_endpoints(
    const struct config *c, const struct config_directive *d);

/* --- parse.c: pure ------------------------------------------------------ */

/* What a load works on; handed over only when there was no error. */
struct config_work {
	struct config config;
	struct config_origins origins;
	struct config_errors *errors; /* the caller's */
};

/* Owner: the caller, free(). NULL when memory is short, with an error. */
struct config_work *config_work_new(struct config_errors *errors);
/* "name:line: text", name cut from its front; line 0: no line. */
void config_add_error(struct config_errors *errors, const char *name,
    unsigned int line, const struct err *e);
/* Reads one file's text over what w has; what is wrong goes to w->errors. */
void config_parse_file(
    struct config_work *w, const char *name, struct span text);
/* Checks what no single value shows, copies the result out, frees w. */
int config_work_finish(
    struct config_work *w, struct config *c, struct config_origins *origins);

/* --- suggest.c: pure ---------------------------------------------------- */

/* err_set for a name that is not in the table, with the nearest that is. */
void config_unknown_section(struct span section, struct err *e);
void config_unknown_key(const char *section, const char *key, struct err *e);

#endif
