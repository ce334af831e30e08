/*
 * manual_compile.c - a manual page, completed from the table, at build time
 *
 * usage: manual-compile PAGE EXAMPLES
 *
 * Copies the mdoc text of PAGE to stdout. Lines of these forms, comments to
 * mandoc, are replaced, so that what they stand for is written only once:
 *
 *   .\"@directive SECTION KEY   an item of a list: type, range, default
 *   .\"@rest SECTION            the same for all keys not shown before
 *   .\"@file NAME               a file below EXAMPLES, as it is
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "config/config.h"

#define MARK ".\\\"@"
#define LINE_SIZE 1024
#define LINE_WISHED 76

struct page {
	const char *examples;
	const char *path;
	unsigned int line;
	bool shown[CONFIG_DIRECTIVES_MAX];
};

static void stop_with(const struct page *p, const char *text, const char *of)
    __attribute__((noreturn));

static void
stop_with(const struct page *p, const char *text, const char *of)
{
	(void)fprintf(stderr, "manual-compile: %s:%u: %s: %s\n", p->path,
	    p->line, text, of);
	exit(EX_DATAERR);
}

/* A line that roff shows as it is. */
static void
put_line(const char *text, size_t len)
{
	if (len > 0 && (text[0] == '.' || text[0] == '\''))
		(void)fputs("\\&", stdout);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\')
			(void)fputs("\\e", stdout);
		else
			(void)fputc(text[i], stdout);
	}
	(void)fputc('\n', stdout);
}

/* One sentence, in lines that are not too long. */
static void
put_sentence(const char *text)
{
	size_t len = strlen(text), at;

	while (len > LINE_WISHED) {
		at = LINE_WISHED;
		while (at > 0 && text[at] != ' ')
			at--;
		if (at == 0)
			break;
		put_line(text, at);
		text += at + 1;
		len -= at + 1;
	}
	put_line(text, len);
}

/* --- directives -------------------------------------------------------- */

static const char *const type_names[] = {
    [CONFIG_BOOL] = "yes | no",
    [CONFIG_NUMBER] = "number",
    [CONFIG_DURATION] = "duration",
    [CONFIG_SIZE] = "size",
    [CONFIG_CHOICE] = "word",
    [CONFIG_TEXT] = "name",
    [CONFIG_PATH] = "path",
    [CONFIG_ENDPOINTS] = "address:port ...",
    [CONFIG_NETWORKS] = "network ...",
};

static void
put_directive(const struct config_directive *d)
{
	char range[CONFIG_RANGE_SIZE];

	config_format_range(d, range, sizeof(range));
	(void)printf(".It Ic %s No = Ar %s\n", d->key, type_names[d->type]);
	(void)printf("Value: %s.\n", range);
	if (d->initial[0] == '\0')
		(void)printf("Empty by default.\n");
	else
		(void)printf("Default:\n.Ql \"%s\" .\n", d->initial);
	(void)printf(".br\n");
	put_sentence(d->doc);
}

static void
put_one(struct page *p, const char *section, const char *key)
{
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];

		if (strcmp(d->section, section) != 0 ||
		    strcmp(d->key, key) != 0)
			continue;
		if (p->shown[i])
			stop_with(p, "is there twice", key);
		p->shown[i] = true;
		put_directive(d);
		return;
	}
	stop_with(p, "is not in the table", key);
}

static void
put_rest(struct page *p, const char *section)
{
	bool known = false;

	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];

		if (strcmp(d->section, section) != 0)
			continue;
		known = true;
		if (!p->shown[i])
			put_directive(d);
		p->shown[i] = true;
	}
	if (!known)
		stop_with(p, "is no section", section);
}

/* --- files ------------------------------------------------------------- */

static void
put_file(const struct page *p, const char *name)
{
	char path[LINE_SIZE], line[LINE_SIZE];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", p->examples, name);
	f = fopen(path, "re");
	if (f == NULL)
		stop_with(p, "cannot be read", path);
	(void)printf(".Bd -literal -offset indent\n");
	while (fgets(line, sizeof(line), f) != NULL)
		put_line(line, strcspn(line, "\n"));
	(void)printf(".Ed\n");
	(void)fclose(f);
}

/* --- the page ---------------------------------------------------------- */

static void
obey(struct page *p, const char *line)
{
	char verb[16] = "", first[256] = "", second[256] = "";

	(void)sscanf(
	    line + strlen(MARK), "%15s %255s %255s", verb, first, second);
	if (strcmp(verb, "directive") == 0)
		put_one(p, first, second);
	else if (strcmp(verb, "rest") == 0)
		put_rest(p, first);
	else if (strcmp(verb, "file") == 0)
		put_file(p, first);
	else
		stop_with(p, "is no verb", verb);
}

static void
compile(struct page *p, FILE *f)
{
	char line[LINE_SIZE];

	while (fgets(line, sizeof(line), f) != NULL) {
		p->line++;
		if (strncmp(line, MARK, strlen(MARK)) == 0)
			obey(p, line);
		else
			(void)fputs(line, stdout);
	}
}

int
main(int argc, char **argv)
{
	struct page p = {.line = 0};
	FILE *f;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: manual-compile PAGE EXAMPLES\n");
		return EX_USAGE;
	}
	p.path = argv[1];
	p.examples = argv[2];
	f = fopen(p.path, "re");
	if (f == NULL)
		stop_with(&p, "cannot be read", p.path);
	compile(&p, f);
	(void)fclose(f);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
