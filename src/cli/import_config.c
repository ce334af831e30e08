/*
 * import_config.c - `postal-tracker import-config`: tracker.conf as Postal's
 * postal.yml and environment have it
 *
 * Prints and changes nothing, but for the password file that --password-file
 * names. What each value comes from stands in a comment above it, and so does
 * what has no counterpart here. Names of keys and variables: Postal 1.x and
 * 2.x have one format of the file, 3.x another and the older one too.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/array.h"
#include "base/utf8.h"
#include "cli/import.h"
#include "cli/import_config.h"
#include "cli/internal.h"

/* --- where values come from -------------------------------------------- */

void
import_wrong(struct import *im, const char *where, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	(void)fprintf(stderr, "postal-tracker import-config: ");
	plain_text(stderr, span_of(where));
	(void)fprintf(stderr, ": ");
	plain_text(stderr, span_of(text));
	(void)fprintf(stderr, "\n");
	im->failed = true;
}

void
import_place(const struct import *im, const struct import_entry *entry,
    char where[IMPORT_WHERE_SIZE])
{
	(void)snprintf(
	    where, IMPORT_WHERE_SIZE, "%.200s:%u", im->path, entry->line);
}

const char *
import_text(struct import *im, const struct import_entry *entry)
{
	char where[IMPORT_WHERE_SIZE];

	if (entry == NULL || entry->kind == IMPORT_NULL)
		return NULL;
	if (entry->kind == IMPORT_SCALAR)
		return entry->value;
	import_place(im, entry, where);
	if (entry->kind == IMPORT_ALIAS)
		import_wrong(im, where,
		    "%s: the alias *%.40s is not followed here; write the "
		    "value out",
		    entry->path, entry->value);
	else if (entry->kind == IMPORT_TOO_LONG)
		import_wrong(im, where,
		    "%s: the value is too long, or has a "
		    "NUL",
		    entry->path);
	else
		import_wrong(
		    im, where, "%s: a single value is expected", entry->path);
	return NULL;
}

/* Which of both wins is Postal's rule. */
void
import_find_value(struct import *im, const struct import_name *name,
    struct import_value *value)
{
	const char *path = im->format == 2 ? name->path2 : name->path1;
	const char *variable = im->format == 1 ? name->env1 : name->env2;
	const struct import_entry *entry = import_find(im->file, path);
	const char *text = import_text(im, entry), *set = getenv(variable);

	*value = (struct import_value){.text = NULL};
	if (im->format == 0 && set == NULL) {
		variable = name->env1;
		set = getenv(variable);
	}
	if (set != NULL && set[0] == '\0')
		set = NULL;
	if (text != NULL && (set == NULL || im->format == 1)) {
		value->text = text;
		import_place(im, entry, value->where);
		(void)snprintf(value->from, sizeof(value->from), "%s:%u, %s",
		    im->name, entry->line, path);
		value->other = set != NULL && strcmp(set, text) != 0;
	} else if (set != NULL) {
		value->text = set;
		(void)snprintf(
		    value->where, sizeof(value->where), "%s", variable);
		(void)snprintf(value->from, sizeof(value->from),
		    "%s in the environment", variable);
		value->other = text != NULL && strcmp(set, text) != 0;
	}
	value->variable = variable;
}

/* --- what is printed --------------------------------------------------- */

static void
begin_section(struct import *im, const char *section)
{
	if (im->section != NULL && strcmp(im->section, section) == 0)
		return;
	im->section = section;
	(void)fprintf(im->out, "\n[%s]\n", section);
}

static bool
has_control(const char *text)
{
	struct span rest = span_of(text);
	bool found = false;

	while (rest.len > 0 && !found)
		found = utf8_is_control(utf8_take(&rest));
	return found;
}

/* Whether tracker.conf can hold the value; what is wrong goes to stderr. */
static bool
is_possible(struct import *im, const char *section, const char *key,
    const char *text, const char *where)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *c = calloc(1, sizeof(*c));
	char one[2 * IMPORT_VALUE_SIZE];
	bool possible = false;
	const char *why;
	int n;

	n = snprintf(one, sizeof(one), "[%s]\n%s = %s\n", section, key, text);
	/* ` ;` would begin a comment, a new line another key; a line has 198
	 * bytes. */
	if (n < 0 || (size_t)n >= sizeof(one) || errors == NULL || c == NULL ||
	    strstr(text, " ;") != NULL || has_control(text) || text[0] == ' ' ||
	    text[0] == '\0' || strlen(text) > 180 ||
	    text[strlen(text) - 1] == ' ')
		import_wrong(im, where,
		    "[%s] %s cannot have this value in tracker.conf", section,
		    key);
	else if (config_parse(span_of(one), "x", c, NULL, errors) == 0)
		possible = true;
	else if (errors->n > 0) {
		why = strstr(errors->list[0].text, ": ");
		import_wrong(im, where, "%s",
		    why != NULL ? why + 2 : errors->list[0].text);
	}
	free(errors);
	free(c);
	return possible;
}

void
import_put(struct import *im, const char *section, const char *key,
    const char *text, const char *where, const char *from)
{
	if (!is_possible(im, section, key, text, where))
		return;
	begin_section(im, section);
	(void)fprintf(im->out, "# %s\n%s = %s\n", from, key, text);
}

void
import_comment(struct import *im, const char *section, const char *format, ...)
{
	va_list ap;

	if (section != NULL)
		begin_section(im, section);
	(void)fputs(format[0] == '#' ? "" : "# ", im->out);
	va_start(ap, format);
	(void)vfprintf(im->out, format, ap);
	va_end(ap);
	(void)fprintf(im->out, "\n");
}

/* --- all of it --------------------------------------------------------- */

static void
put_head(struct import *im)
{
	(void)fprintf(im->out,
	    "# tracker.conf, made by `postal-tracker import-config` from\n# ");
	if (im->file != NULL)
		(void)fprintf(
		    im->out, "%s (format %d) and ", im->name, im->format);
	(void)fprintf(im->out,
	    "the environment.\n# What is not said here has its default; the "
	    "packaged tracker.conf explains\n# every key.\n");
	begin_section(im, "postal");
	(void)fprintf(im->out, "mode = mysql\n");
}

static void
put_strangers(struct import *im)
{
	static const char *const known[] = {"version", "main_db", "message_db",
	    "dns", "fast_server", "web_server", "postal"};
	bool any = false;

	for (size_t i = 0; im->file != NULL && i < im->file->n; i++) {
		const char *path = im->file->entries[i].path;
		bool is_known = path[strcspn(path, ".[")] != '\0';

		for (size_t j = 0; j < ARRAY_LENGTH(known); j++)
			is_known = is_known || strcmp(path, known[j]) == 0;
		if (is_known)
			continue;
		if (!any)
			(void)fprintf(im->out,
			    "\n# Sections of Postal's own, without a "
			    "counterpart here:\n");
		any = true;
		(void)fprintf(im->out, "#   %.60s\n", path);
	}
}

static void
put_next_steps(struct import *im)
{
	static const char *const steps[] = {
	    "1. An account of its own that may do little, instead of "
	    "Postal's: user and",
	    "   password_file above.",
	    "2. `postal-tracker sql` prints what it needs. Run that on the "
	    "database server,",
	    "   and once more.",
	    "3. systemctl enable postal-tracker postal-tracker-forwarder",
	    "   systemctl restart postal-tracker postal-tracker-forwarder",
	    "4. `postal-tracker check` until no line says FAIL, then "
	    "`postal-tracker selftest`.",
	};

	(void)fprintf(im->out,
	    "\n# Next (more in postal-tracker(8), WITH POSTAL'S MYSQL):\n");
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++)
		(void)fprintf(im->out, "# %s\n", steps[i]);
}

static int
find_format(struct import *im)
{
	const struct import_entry *entry = import_find(im->file, "version");
	const char *text = import_text(im, entry);
	char where[IMPORT_WHERE_SIZE];

	if (im->file == NULL)
		return 0;
	im->format = 1;
	if (text == NULL || strcmp(text, "1") == 0)
		return im->failed ? -1 : 0;
	im->format = 2;
	if (strcmp(text, "2") == 0)
		return 0;
	import_place(im, entry, where);
	import_wrong(im, where,
	    "version %.20s: this is for versions 1 and 2 of postal.yml", text);
	return -1;
}

/* Ruby would take the later one, without a word. */
static void
refuse_twice(struct import *im)
{
	const struct import_file *f = im->file;
	char where[IMPORT_WHERE_SIZE];

	for (size_t i = 0; f != NULL && i < f->n; i++) {
		const struct import_entry *last =
		    import_find(f, f->entries[i].path);

		if (last == &f->entries[i] || strstr(last->path, "[]") != NULL)
			continue;
		import_place(im, last, where);
		import_wrong(im, where, "%s stands twice, here and in line %u",
		    last->path, f->entries[i].line);
	}
}

static void
put_all(struct import *im)
{
	refuse_twice(im);
	if (find_format(im) != 0)
		return;
	put_head(im);
	import_put_databases(im);
	import_put_web(im);
	put_strangers(im);
	put_next_steps(im);
}

/* What is printed has to be a tracker.conf; that it is not, is our fault. */
static int
check_result(const char *text)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *c = calloc(1, sizeof(*c));
	int failed =
	    errors == NULL || c == NULL ||
	    config_parse(span_of(text), "result", c, NULL, errors) != 0;

	for (size_t i = 0;
	     errors != NULL && i < errors->n && i < CONFIG_ERRORS_MAX; i++)
		(void)fprintf(stderr, "postal-tracker import-config: %s\n",
		    errors->list[i].text);
	free(errors);
	free(c);
	return failed ? -1 : 0;
}

static int
import(struct import *im)
{
	char *text = NULL;
	size_t len = 0;
	int exit_code = EX_DATAERR;
	struct err e;

	im->out = open_memstream(&text, &len);
	if (im->out == NULL)
		return EX_OSERR;
	put_all(im);
	if (fclose(im->out) != 0) {
		free(text);
		return EX_OSERR;
	}
	if (!im->failed && check_result(text) == 0) {
		exit_code = EX_OK;
		if (import_write_passwords(im, &e) != 0) {
			(void)fprintf(stderr,
			    "postal-tracker import-config: %s\n", e.text);
			exit_code = EX_CANTCREAT;
		}
	}
	if (exit_code == EX_OK)
		(void)fputs(text, stdout);
	/* It may hold a password. */
	explicit_bzero(text, len);
	free(text);
	return exit_code;
}

static int
open_file(struct import *im, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct err e;

	im->path = path;
	(void)snprintf(im->name, sizeof(im->name), "%.60s",
	    slash != NULL ? slash + 1 : path);
	for (char *p = im->name; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if (import_open(path, &im->file, &e) == 0)
		return 0;
	(void)fprintf(stderr, "postal-tracker import-config: %s\n", e.text);
	return -1;
}

int
command_import_config(int argc, char **argv)
{
	struct options o;
	struct import im = {.options = &o, .path = ""};
	int exit_code = EX_DATAERR;

	if (options_parse(&o, argc, argv,
		OPTION_PASSWORD_FILE | OPTION_SHOW_PASSWORD | OPTION_REST) != 0)
		return EX_USAGE;
	if (o.n_rest > 1)
		return cli_usage_error(argv[0], "takes one file at most");
	if (o.password_file != NULL &&
	    (o.password_file[0] != '/' || strlen(o.password_file) > 150))
		return cli_usage_error(argv[0],
		    "--password-file needs an absolute path of at most 150 "
		    "bytes");
	if (o.n_rest == 0 || open_file(&im, o.rest[0]) == 0)
		exit_code = import(&im);
	import_close(im.file);
	return exit_code;
}
