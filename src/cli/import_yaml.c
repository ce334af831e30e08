/*
 * import_yaml.c - postal.yml as a flat list, read by libyaml in a process of
 * its own
 *
 * Runs in `import-config`, which people type; no role knows YAML. The library
 * is opened by the child when it is needed, so that nothing else has it in
 * memory. Its events are taken one by one: no tree is built, aliases are
 * noted and never followed, and too deep or too much ends it at once.
 */
#include "cli/import.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yaml.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/library.h"
#include "sandbox/sandbox.h"

#define FILE_MOST (1U << 20)
#define EVENTS_MOST 200000
#define MEMORY_MOST (256UL << 20)
#define SECONDS_MOST 10
#define NOBODY 65534
#define SONAME "libyaml-0.so.2"

/* --- the library ------------------------------------------------------- */

LIBRARY_NOTE(
    "[{\"feature\":\"import-config\",\"description\":\"Reads "
    "Postal's postal.yml\",\"priority\":\"recommended\",\"soname\":[\"" SONAME
    "\"]}]");

static struct yaml {
	int (*initialize)(yaml_parser_t *);
	void (*set_input)(yaml_parser_t *, const unsigned char *, size_t);
	int (*parse)(yaml_parser_t *, yaml_event_t *);
	void (*event_delete)(yaml_event_t *);
} yaml;

static int
open_library(struct import_file *f)
{
	static const struct library_symbol symbols[] = {
	    {"yaml_parser_initialize", offsetof(struct yaml, initialize)},
	    {"yaml_parser_set_input_string", offsetof(struct yaml, set_input)},
	    {"yaml_parser_parse", offsetof(struct yaml, parse)},
	    {"yaml_event_delete", offsetof(struct yaml, event_delete)},
	};
	void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	struct err e;

	if (handle != NULL && library_find(handle, SONAME, symbols,
				  ARRAY_LENGTH(symbols), &yaml, &e) == 0)
		return 0;
	(void)snprintf(f->error, sizeof(f->error),
	    "there is no %s to read YAML with; install libyaml-0-2 (Debian, "
	    "Ubuntu) or libyaml (Fedora, RHEL)",
	    SONAME);
	return -1;
}

/* --- events to entries ------------------------------------------------- */

struct frame {
	bool mapping;
	bool has_key; /* of a mapping: the next event is a value */
	size_t len;   /* of the path of what lies in it */
};

struct reading {
	struct import_file *f;
	struct frame frames[IMPORT_DEPTH_MAX];
	size_t depth;
	char path[IMPORT_PATH_SIZE];
	bool too_long; /* the path did not fit: nobody asks for it */
};

static int
refuse(struct reading *r, unsigned int line, const char *text)
{
	r->f->error_line = line;
	(void)snprintf(r->f->error, sizeof(r->f->error), "%s", text);
	return -1;
}

static unsigned int
line_of(const yaml_event_t *event)
{
	return (unsigned int)event->start_mark.line + 1;
}

/* Whether somebody may ask for it: all at the top, and these sections. */
static bool
is_wanted(const char *path)
{
	static const char *const sections[] = {"main_db", "message_db", "dns",
	    "fast_server", "web_server", "postal"};
	size_t len = strcspn(path, ".[");

	if (path[len] == '\0')
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++)
		if (strlen(sections[i]) == len &&
		    strncmp(path, sections[i], len) == 0)
			return true;
	return false;
}

static int
add_entry(struct reading *r, unsigned int line, enum import_kind kind,
    struct span value)
{
	struct import_entry *entry;

	if (r->too_long || r->path[0] == '\0' || !is_wanted(r->path))
		return 0;
	if (r->f->n == IMPORT_ENTRIES_MAX)
		return refuse(r, line, "there are too many keys");
	entry = &r->f->entries[r->f->n++];
	entry->line = line;
	entry->kind = kind;
	(void)snprintf(entry->path, sizeof(entry->path), "%s", r->path);
	if (span_to_text(value, entry->value, sizeof(entry->value)) != 0) {
		entry->kind = IMPORT_TOO_LONG;
		entry->value[0] = '\0';
	}
	return 0;
}

/* A key of the mapping that is open. */
static int
take_key(struct reading *r, const yaml_event_t *event)
{
	struct frame *frame = &r->frames[r->depth - 1];
	int n;

	if (event->type != YAML_SCALAR_EVENT)
		return refuse(
		    r, line_of(event), "a key that is not a plain name");
	n = snprintf(r->path + frame->len, sizeof(r->path) - frame->len, "%s%s",
	    frame->len > 0 ? "." : "", (const char *)event->data.scalar.value);
	r->too_long = n < 0 || (size_t)n >= sizeof(r->path) - frame->len;
	frame->has_key = true;
	return 0;
}

/* The value is over: the path is that of what it lies in. */
static void
end_value(struct reading *r)
{
	if (r->depth == 0)
		return;
	r->frames[r->depth - 1].has_key = false;
	r->path[r->frames[r->depth - 1].len] = '\0';
	r->too_long = false;
}

static int
begin_container(struct reading *r, const yaml_event_t *event)
{
	bool mapping = event->type == YAML_MAPPING_START_EVENT;
	size_t len = strlen(r->path);

	if (r->depth == IMPORT_DEPTH_MAX)
		return refuse(r, line_of(event), "it is nested too deeply");
	if (r->depth == 0 && !mapping)
		return refuse(r, line_of(event), "it is not a list of keys");
	if (add_entry(r, line_of(event), IMPORT_CONTAINER, span_of("")) != 0)
		return -1;
	r->frames[r->depth++] = (struct frame){mapping, false, len};
	return 0;
}

static bool
is_null(const yaml_event_t *event)
{
	static const char *const texts[] = {"", "~", "null", "Null", "NULL"};
	const char *value = (const char *)event->data.scalar.value;

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		    strcmp(value, texts[i]) == 0)
			return true;
	return false;
}

static int
take_scalar(struct reading *r, const yaml_event_t *event)
{
	struct span value = {
	    event->data.scalar.value, event->data.scalar.length};

	if (r->depth == 0)
		return is_null(event) ? 0
				      : refuse(r, line_of(event),
					    "it is not a list of keys");
	return add_entry(r, line_of(event),
	    is_null(event) ? IMPORT_NULL : IMPORT_SCALAR, value);
}

/* A value, in a mapping behind its key, or an element of a list. */
static int
take_value(struct reading *r, const yaml_event_t *event)
{
	struct frame *frame = r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
	int failed;

	if (frame != NULL && !frame->mapping) {
		size_t room = sizeof(r->path) - frame->len;

		r->too_long = room < sizeof("[]") || r->too_long;
		(void)snprintf(r->path + frame->len, room, "[]");
	}
	if (event->type == YAML_SCALAR_EVENT)
		failed = take_scalar(r, event);
	else if (event->type == YAML_ALIAS_EVENT)
		failed = add_entry(r, line_of(event), IMPORT_ALIAS,
		    span_of((const char *)event->data.alias.anchor));
	else
		return begin_container(r, event);
	end_value(r);
	return failed;
}

static int
take_event(struct reading *r, const yaml_event_t *event)
{
	struct frame *frame = r->depth > 0 ? &r->frames[r->depth - 1] : NULL;

	switch (event->type) {
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		r->path[frame != NULL ? frame->len : 0] = '\0';
		r->depth -= r->depth > 0;
		end_value(r);
		return 0;
	case YAML_SCALAR_EVENT:
	case YAML_ALIAS_EVENT:
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		if (frame != NULL && frame->mapping && !frame->has_key)
			return take_key(r, event);
		return take_value(r, event);
	default:
		return 0;
	}
}

/* Of several documents Postal reads the first. */
static int
parse(struct import_file *f, struct span text)
{
	struct reading r = {.f = f};
	yaml_parser_t parser;
	yaml_event_t event;
	int type = YAML_NO_EVENT, failed = 0;

	if (yaml.initialize(&parser) == 0)
		return refuse(&r, 0, "no memory");
	yaml.set_input(&parser, text.p, text.len);
	for (size_t n = 0; !failed && type != YAML_DOCUMENT_END_EVENT &&
			   type != YAML_STREAM_END_EVENT;
	     n++) {
		if (n == EVENTS_MOST)
			return refuse(&r, 0, "it has too many values");
		if (yaml.parse(&parser, &event) == 0)
			return refuse(&r,
			    (unsigned int)parser.problem_mark.line + 1,
			    parser.problem != NULL ? parser.problem
						   : "it is not YAML");
		type = (int)event.type;
		failed = take_event(&r, &event);
		yaml.event_delete(&event);
	}
	/* The process ends: nothing has to be given back. */
	return failed;
}

/* --- the process ------------------------------------------------------- */

/* The library is there before its files are out of reach. */
static int
confine(struct err *e)
{
	const struct sandbox_limits limits = {.descriptors = 3};
	struct rlimit memory = {MEMORY_MOST, MEMORY_MOST};
	struct rlimit seconds = {SECONDS_MOST, SECONDS_MOST};

#ifndef __SANITIZE_ADDRESS__
	/* Its shadow is larger than any bound. */
	if (setrlimit(RLIMIT_AS, &memory) != 0)
		return err_errno(e, "cannot limit memory");
#else
	(void)memory;
#endif
	if (setrlimit(RLIMIT_CPU, &seconds) != 0)
		return err_errno(e, "cannot limit time");
	if (sandbox_limit(&limits, e) != 0)
		return -1;
	if (geteuid() == 0 && (sandbox_set_ids(NOBODY, NOBODY, e) != 0 ||
				  sandbox_drop_capabilities(e) != 0))
		return -1;
	return sandbox_no_new_privileges(e);
}

static void
run_child(struct import_file *f, struct span text)
{
	struct err e;

	f->failed = true;
	if (open_library(f) != 0)
		return;
	/* What is printed is the configuration: not by the library. */
	(void)dup2(STDERR_FILENO, STDIN_FILENO);
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	if (confine(&e) != 0) {
		(void)snprintf(f->error, sizeof(f->error), "%.200s", e.text);
		return;
	}
	f->failed = parse(f, text) != 0;
}

/* A key goes into a comment, an error to a terminal: neither may end a line. */
static void
make_plain(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* What the child left is only believed as far as it has our form. */
static void
check_form(struct import_file *f)
{
	if (f->n > IMPORT_ENTRIES_MAX)
		f->n = 0;
	f->error[sizeof(f->error) - 1] = '\0';
	make_plain(f->error);
	for (size_t i = 0; i < f->n; i++) {
		f->entries[i].path[IMPORT_PATH_SIZE - 1] = '\0';
		make_plain(f->entries[i].path);
		f->entries[i].value[IMPORT_VALUE_SIZE - 1] = '\0';
	}
}

static int
run(struct import_file *f, struct span text, struct err *e)
{
	pid_t child;
	int status = 0;

	child = fork();
	if (child < 0)
		return err_errno(e, "cannot start a process for YAML");
	if (child == 0) {
		run_child(f, text);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	check_form(f);
	if (WIFSIGNALED(status))
		return err_set(e, "reading it took too long or too much (%s)",
		    strsignal(WTERMSIG(status)));
	return 0;
}

/* --- the file ---------------------------------------------------------- */

static int
read_file(const char *path, uint8_t *bytes, size_t *len, struct err *e)
{
	struct stat st;
	int fd = fd_open_file(path, &st, e);
	ssize_t n = 1;

	*len = 0;
	if (fd < 0)
		return err_prefix(e, "%s", path);
	while (n > 0 && *len <= FILE_MOST) {
		n = read(fd, bytes + *len, FILE_MOST + 1 - *len);
		*len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		(void)err_errno(e, "%s", path);
	fd_close(&fd);
	if (n >= 0 && *len > FILE_MOST)
		return err_set(e, "%s: is larger than 1 MiB", path);
	return n < 0 ? -1 : 0;
}

int
import_open(const char *path, struct import_file **result, struct err *e)
{
	struct import_file *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint8_t *bytes = malloc(FILE_MOST + 1);
	struct err why = {.text = ""};
	size_t len = 0;
	int failed = 0;

	*result = NULL;
	if (f == MAP_FAILED || bytes == NULL)
		failed = err_errno(e, "no memory");
	if (!failed)
		failed = read_file(path, bytes, &len, e);
	if (!failed && run(f, (struct span){bytes, len}, &why) != 0)
		failed = err_set(e, "%s: %s", path, why.text);
	else if (!failed && f->failed && f->error_line > 0)
		failed = err_set(e, "%s:%u: %s", path, f->error_line, f->error);
	else if (!failed && f->failed)
		failed = err_set(e, "%s: %s", path, f->error);
	free(bytes);
	if (failed && f != MAP_FAILED)
		import_close(f);
	if (!failed)
		*result = f;
	return failed;
}

void
import_close(struct import_file *f)
{
	if (f != NULL)
		(void)munmap(f, sizeof(*f));
}

const struct import_entry *
import_find(const struct import_file *f, const char *path)
{
	const struct import_entry *found = NULL;

	for (size_t i = 0; f != NULL && i < f->n; i++)
		if (strcmp(f->entries[i].path, path) == 0)
			found = &f->entries[i];
	return found;
}
