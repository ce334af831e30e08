/*
 * parse.c - the text of one file, read line by line with inih
 *
 * Pure. inih splits lines into section, key and value. It is handed one line
 * at a time by our reader, which counts them, takes care of sections and
 * holds back what inih would cut or pass over without a word: lines beyond its
 * buffer, control characters, anything behind a section's bracket.
 */
#include "config/internal.h"

#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* How much of a file's name and of a value stands in an error. */
#define NAME_SHOWN 160
#define VALUE_SHOWN 80

enum section_state {
	SECTION_NONE, /* before the first one */
	SECTION_KNOWN,
	SECTION_UNKNOWN, /* said once; its keys are passed over */
};

struct reading {
	struct config_work *work;
	const char *name;
	struct span rest; /* what inih has not seen */
	unsigned int line;
	enum section_state section;
	/* The directive that an indented line continues. NULL: none, because
	 * the section has just begun or, when passed_over, because what stood
	 * there was wrong and has been said. */
	const struct config_directive *last;
	bool passed_over;
	bool indented;	 /* the line that inih has now */
	bool unanswered; /* inih has a key's line and has not called back */
	/* Where each key stands in this file; 0: nowhere yet. */
	unsigned int seen[CONFIG_DIRECTIVES_MAX];
};

void
config_add_error(struct config_errors *errors, const char *name,
    unsigned int line, const struct err *e)
{
	size_t len = strlen(name);
	bool cut = len > NAME_SHOWN;
	char where[16] = "";
	struct err *to;

	if (errors->n++ >= CONFIG_ERRORS_MAX)
		return;
	if (line > 0)
		(void)snprintf(where, sizeof(where), ":%u", line);
	to = &errors->list[errors->n - 1];
	(void)err_set(to, "%s%s%s: %.320s", cut ? "..." : "",
	    name + (cut ? len - NAME_SHOWN : 0), where, e->text);
	to->code = e->code;
}

static void complain(struct reading *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An error at the line that inih has now. */
static void
complain(struct reading *r, const char *format, ...)
{
	struct err e = {0};
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(e.text, sizeof(e.text), format, ap);
	va_end(ap);
	config_add_error(r->work->errors, r->name, r->line, &e);
}

/* --- lines -------------------------------------------------------------- */

/* The next line of the file, without its end (LF or CRLF). */
static struct span
take_line(struct reading *r)
{
	const uint8_t *end = memchr(r->rest.p, '\n', r->rest.len);
	struct span line = {
	    r->rest.p, end != NULL ? (size_t)(end - r->rest.p) : r->rest.len};
	size_t used = line.len + (end != NULL);

	r->rest.p += used;
	r->rest.len -= used;
	r->line++;
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The first byte that no line may hold, or -1. */
static int
control_character(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
			return line.p[i];
	return -1;
}

/* What stood here is wrong: an indented line below belongs to it. */
static void
pass_over(struct reading *r)
{
	r->last = NULL;
	r->passed_over = true;
}

static void
begin_section(struct reading *r, struct span line)
{
	const uint8_t *end = memchr(line.p, ']', line.len);
	struct span after;
	struct err e;

	r->section = SECTION_UNKNOWN;
	r->last = NULL;
	r->passed_over = false;
	if (end == NULL) {
		complain(r, "a [section] without its closing bracket");
		return;
	}
	after = (struct span){end + 1, line.len - (size_t)(end + 1 - line.p)};
	line = (struct span){line.p + 1, (size_t)(end - line.p) - 1};
	if (span_trim(after).len > 0 &&
	    (!is_blank(after.p[0]) || span_trim(after).p[0] != ';')) {
		complain(r,
		    "only a comment (\" ; ...\") may follow [%.*s] on its line",
		    line.len < VALUE_SHOWN ? (int)line.len : VALUE_SHOWN,
		    (const char *)line.p);
		return;
	}
	for (size_t i = 0; i < config_n_directives; i++)
		if (span_equal(line, span_of(config_directives[i].section)))
			r->section = SECTION_KNOWN;
	if (r->section == SECTION_UNKNOWN) {
		config_unknown_section(line, &e);
		complain(r, "%s", e.text);
	}
}

/* Whether inih may have the line, which is neither empty nor a comment. */
static bool
admit_line(struct reading *r, struct span line, size_t most)
{
	struct span text = span_trim(line);
	int control = control_character(line);

	if (control >= 0)
		complain(r, "the line holds a control character (0x%02x)",
		    (unsigned int)control);
	else if (line.len > most)
		complain(r,
		    "the line is longer than %zu bytes; continue a list on the "
		    "next line, indented",
		    most);
	if (control >= 0 || line.len > most) {
		if (text.p[0] == '[')
			r->section = SECTION_UNKNOWN;
		if (!r->indented)
			pass_over(r);
		return false;
	}
	if (r->indented && r->last == NULL) {
		if (!r->passed_over && r->section != SECTION_UNKNOWN)
			complain(r,
			    "the line is indented, but there is no list above "
			    "that it could continue");
		return false;
	}
	if (!r->indented && text.p[0] == '[') {
		begin_section(r, text);
		return r->section == SECTION_KNOWN;
	}
	r->unanswered = true;
	return true;
}

/* inih did not call back for the line before: it found no key in it. */
static void
settle_last_line(struct reading *r)
{
	if (!r->unanswered)
		return;
	r->unanswered = false;
	if (r->section != SECTION_UNKNOWN)
		complain(r, "the line is neither [section] nor `key = value`");
	pass_over(r);
}

/* Called by inih for each line; what it is not to see becomes an empty one. */
static char *
give_line(char *out, int size, void *stream)
{
	struct reading *r = stream;
	struct span line, text;

	settle_last_line(r);
	if (r->rest.len == 0)
		return NULL;
	line = take_line(r);
	text = span_trim(line);
	out[0] = '\0';
	if (text.len == 0 || text.p[0] == '#' || text.p[0] == ';')
		return out;
	r->indented = is_blank(line.p[0]);
	if (admit_line(r, line, (size_t)size - 2)) {
		memcpy(out, line.p, line.len);
		memcpy(out + line.len, "\n", 2);
	}
	return out;
}

/* --- keys --------------------------------------------------------------- */

/* Not every inih cuts comments off an indented line. */
static struct span
without_comment(struct span text)
{
	for (size_t i = 1; i < text.len; i++)
		if (text.p[i] == ';' && is_blank(text.p[i - 1]))
			text.len = i;
	return span_trim(text);
}

static void
complain_of_value(struct reading *r, const struct config_directive *d,
    struct span value, const struct err *e)
{
	bool cut = value.len > VALUE_SHOWN;

	complain(r, "[%s] %s = %.*s%s: %s", d->section, d->key,
	    cut ? VALUE_SHOWN : (int)value.len, (const char *)value.p,
	    cut ? "..." : "", e->text);
}

static void
continue_list(struct reading *r, struct span value)
{
	const struct config_directive *d = r->last;
	struct err e;

	if (!config_value_is_list(d))
		complain(r,
		    "an indented line continues a list, and [%s] %s above is "
		    "none; a key begins in the first column",
		    d->section, d->key);
	else if (config_value_add(&r->work->config, d, value, &e) != 0)
		complain(r, "[%s] %s, continued here: %s", d->section, d->key,
		    e.text);
}

static void
note_origin(struct reading *r, size_t i)
{
	char *file = r->work->origins.of[i].file;

	(void)snprintf(
	    file, sizeof(r->work->origins.of[i].file), "%s", r->name);
	r->work->origins.of[i].line = r->line;
	r->seen[i] = r->line;
}

static void
set_key(struct reading *r, size_t i, struct span value)
{
	const struct config_directive *d = &config_directives[i];
	struct err e;

	if (r->seen[i] != 0) {
		complain(r, "[%s] %s stands in line %u already", d->section,
		    d->key, r->seen[i]);
		pass_over(r);
		return;
	}
	note_origin(r, i);
	r->last = d;
	config_value_clear(&r->work->config, d);
	if (config_value_add(&r->work->config, d, value, &e) != 0)
		complain_of_value(r, d, value, &e);
}

/* Called by inih for each key and each indented line below one. */
static int
take_key(void *user, const char *section, const char *key, const char *value)
{
	struct reading *r = user;
	struct err e;

	r->unanswered = false;
	if (r->indented) {
		continue_list(r, without_comment(span_of(value)));
		return 1;
	}
	if (r->section != SECTION_KNOWN) {
		if (r->section == SECTION_NONE)
			complain(r, "%.*s stands before the first [section]",
			    VALUE_SHOWN, key);
		pass_over(r);
		return 1;
	}
	for (size_t i = 0; i < config_n_directives; i++) {
		if (strcmp(config_directives[i].section, section) == 0 &&
		    strcmp(config_directives[i].key, key) == 0) {
			set_key(r, i, span_of(value));
			return 1;
		}
	}
	config_unknown_key(section, key, &e);
	complain(r, "%s", e.text);
	pass_over(r);
	return 1;
}

void
config_parse_file(struct config_work *w, const char *name, struct span text)
{
	struct reading r = {.work = w, .name = name, .rest = text};
	struct span bom = span_of("\xef\xbb\xbf");

	if (span_starts(r.rest, bom)) {
		r.rest.p += bom.len;
		r.rest.len -= bom.len;
	}
	/* A positive result is the first bad line, which has been told. */
	if (ini_parse_stream(give_line, &r, take_key, &r) < 0)
		complain(&r, "out of memory");
}

/* --- the whole ---------------------------------------------------------- */

struct config_work *
config_work_new(struct config_errors *errors)
{
	struct config_work *w = calloc(1, sizeof(*w));
	struct err e;

	errors->n = 0;
	if (w == NULL) {
		(void)err_set(&e, "out of memory");
		config_add_error(errors, "configuration", 0, &e);
		return NULL;
	}
	w->errors = errors;
	config_defaults(&w->config);
	return w;
}

static bool
same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

/* Two keys, or one twice, with the same address: the later one is at fault,
 * unless it has its default. */
static void
complain_of_twins(struct config_work *w, size_t i, size_t earlier,
    const struct endpoint *twin)
{
	bool blame_earlier = w->origins.of[i].line == 0;
	size_t at = blame_earlier ? earlier : i;
	size_t other = blame_earlier ? i : earlier;
	char shown[ENDPOINT_TEXT_SIZE];
	struct err e;

	endpoint_format(twin, shown);
	if (at == other)
		(void)err_set(&e, "[%s] %s has %s twice",
		    config_directives[at].section, config_directives[at].key,
		    shown);
	else
		(void)err_set(&e, "[%s] %s has %s, and so has [%s] %s%s",
		    config_directives[at].section, config_directives[at].key,
		    shown, config_directives[other].section,
		    config_directives[other].key,
		    w->origins.of[other].line == 0 ? " by default" : "");
	config_add_error(
	    w->errors, w->origins.of[at].file, w->origins.of[at].line, &e);
}

/* Compares element n of the list of directive i with all before it. */
static void
check_endpoint(struct config_work *w, size_t i, size_t n)
{
	const struct endpoint *one =
	    &config_value_endpoints(&w->config, &config_directives[i])->list[n];

	for (size_t j = 0; j <= i; j++) {
		const struct config_endpoints *list =
		    config_value_endpoints(&w->config, &config_directives[j]);
		size_t most = list == NULL ? 0 : j < i ? list->n : n;

		for (size_t k = 0; k < most; k++) {
			if (same_endpoint(&list->list[k], one)) {
				complain_of_twins(w, i, j, one);
				return;
			}
		}
	}
}

int
config_work_finish(
    struct config_work *w, struct config *c, struct config_origins *origins)
{
	bool failed;

	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_endpoints *list =
		    config_value_endpoints(&w->config, &config_directives[i]);

		for (size_t n = 0; list != NULL && n < list->n; n++)
			check_endpoint(w, i, n);
	}
	failed = w->errors->n > 0;
	if (!failed) {
		*c = w->config;
		if (origins != NULL)
			*origins = w->origins;
	}
	free(w);
	return failed ? -1 : 0;
}

int
config_parse(struct span text, const char *name, struct config *c,
    struct config_origins *origins, struct config_errors *errors)
{
	struct config_work *w = config_work_new(errors);

	if (w == NULL)
		return -1;
	config_parse_file(w, name, text);
	return config_work_finish(w, c, origins);
}
