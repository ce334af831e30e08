/*
 * policy_compile.c - policy/<role>.policy to C tables, at build time
 *
 * usage: policy-compile DIRECTORY [EXTRA]
 *
 * Prints C on stdout; wrong text is an error with file and line, and ends the
 * build. EXTRA, which only sanitizer builds give, is a file of calls that are
 * added to every role, or replace a stricter rule there.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "sandbox/policy.h"

#define SUFFIX ".policy"
#define COMMON "common.policy"
#define FILE_MAX 65536

struct directory {
	const char *path;
	uint8_t included[FILE_MAX];
};

static void stop_with(const char *text) __attribute__((noreturn));

static void
stop_with(const char *text)
{
	(void)fprintf(stderr, "policy-compile: %s\n", text);
	exit(EX_DATAERR);
}

static int
read_file(
    const char *path, uint8_t bytes[FILE_MAX], struct span *text, struct err *e)
{
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		return err_errno(e, "%s", path);
	n = fread(bytes, 1, FILE_MAX, f);
	(void)fclose(f);
	if (n == FILE_MAX)
		return err_set(e, "%s is too large", path);
	*text = (struct span){bytes, n};
	return 0;
}

static int
include(void *owner, struct span name, struct span *text, struct err *e)
{
	struct directory *d = owner;
	char path[512];

	if (memchr(name.p, '/', name.len) != NULL)
		return err_set(
		    e, "an included file lies in the same directory");
	(void)snprintf(path, sizeof(path), "%s/%.*s", d->path, (int)name.len,
	    (const char *)name.p);
	return read_file(path, d->included, text, e);
}

/* --- output ------------------------------------------------------------ */

static void
print_term(const struct policy_term *t)
{
	(void)printf("{{");
	for (size_t i = 0; i < t->n_tests; i++)
		(void)printf("%s{%u, %u, UINT64_C(0x%" PRIx64 ")}",
		    i == 0 ? "" : ", ", t->tests[i].arg, t->tests[i].op,
		    t->tests[i].value);
	(void)printf("}, %u}", t->n_tests);
}

static void
print_rule(const struct policy_rule *r)
{
	(void)printf(
	    "\t{\"%s\", %u, %u, {", r->call, r->error_number, r->n_terms);
	for (size_t i = 0; i < r->n_terms; i++) {
		(void)printf("%s", i == 0 ? "" : ", ");
		print_term(&r->terms[i]);
	}
	(void)printf(
	    "%s}, %u},\n", r->n_terms == 0 ? "{{{0, 0, 0}}, 0}" : "", r->line);
}

static void
print_policy(const char *role, const struct policy *p)
{
	(void)printf("static const struct policy_rule %s_rules[] = {\n", role);
	for (size_t i = 0; i < p->n_rules; i++)
		print_rule(&p->rules[i]);
	(void)printf("};\n\n");
}

/* --- the whole --------------------------------------------------------- */

/* Adds the calls of extra; one that is there already is replaced. */
static void
merge(struct policy *p, const struct policy *extra)
{
	for (size_t i = 0; i < extra->n_rules; i++) {
		size_t at = 0;

		while (at < p->n_rules &&
		       strcmp(p->rules[at].call, extra->rules[i].call) != 0)
			at++;
		if (at == POLICY_CALLS_MAX)
			stop_with("too many calls");
		p->rules[at] = extra->rules[i];
		if (at == p->n_rules)
			p->n_rules++;
	}
}

static void
compile(struct directory *d, const char *name, const struct policy *extra)
{
	static uint8_t bytes[FILE_MAX];
	static struct policy policy;
	struct policy_source source = {include, d};
	char path[512], role[64];
	struct span text = {NULL, 0};
	struct err e;

	(void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
	if (read_file(path, bytes, &text, &e) != 0 ||
	    policy_parse(text, path, &source, &policy, &e) != 0)
		stop_with(e.text);
	merge(&policy, extra);
	(void)snprintf(role, sizeof(role), "%.*s",
	    (int)(strlen(name) - strlen(SUFFIX)), name);
	print_policy(role, &policy);
}

static int
is_role(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(SUFFIX) &&
	       strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) == 0 &&
	       strcmp(entry->d_name, COMMON) != 0;
}

static void
print_table(struct dirent **names, int n)
{
	(void)printf("const struct sandbox_table sandbox_tables[] = {\n");
	for (int i = 0; i < n; i++) {
		int len = (int)(strlen(names[i]->d_name) - strlen(SUFFIX));

		(void)printf("\t{\"%.*s\", %.*s_rules,\n"
			     "\t    sizeof(%.*s_rules) / "
			     "sizeof(%.*s_rules[0])},\n",
		    len, names[i]->d_name, len, names[i]->d_name, len,
		    names[i]->d_name, len, names[i]->d_name);
	}
	(void)printf("};\nconst size_t sandbox_n_tables = %d;\n", n);
}

int
main(int argc, char **argv)
{
	static struct directory directory;
	static struct policy extra;
	static uint8_t bytes[FILE_MAX];
	struct dirent **names = NULL;
	struct span text = {NULL, 0};
	struct err e;
	int n;

	if (argc != 2 && argc != 3)
		stop_with("usage: policy-compile DIRECTORY [EXTRA]");
	directory.path = argv[1];
	if (argc == 3 &&
	    (read_file(argv[2], bytes, &text, &e) != 0 ||
		policy_parse(text, argv[2], NULL, &extra, &e) != 0))
		stop_with(e.text);
	n = scandir(argv[1], &names, is_role, alphasort);
	if (n <= 0)
		stop_with("no policies there");
	(void)printf("/* Made by policy-compile from policy/; do not edit. */\n"
		     "#include \"sandbox/policy_table.h\"\n\n");
	for (int i = 0; i < n; i++)
		compile(&directory, names[i]->d_name, &extra);
	print_table(names, n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return ferror(stdout) != 0 || fflush(stdout) != 0 ? EX_IOERR : EX_OK;
}
