/*
 * config_test.c - tracker.conf: lines, errors, files, drop-ins
 *
 * Run from the top of the source tree, where the real tracker.conf is.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "config/config.h"

/* Large structs; their content is new in every test. */
static struct config config;
static struct config_origins origins;
static struct config_errors errors;

static int
parse_bytes(const char *text, size_t len)
{
	return config_parse((struct span){(const uint8_t *)text, len}, "t",
	    &config, &origins, &errors);
}

static void
expect_ok(const char *text)
{
	if (parse_bytes(text, strlen(text)) != 0)
		fail_msg("%s", errors.list[0].text);
	assert_int_equal(errors.n, 0);
}

/* Exactly this one error. */
static void
expect_error(const char *text, const char *error)
{
	memset(&config, 0x5a, sizeof(config));
	memset(&origins, 0x5a, sizeof(origins));
	assert_int_equal(parse_bytes(text, strlen(text)), -1);
	assert_string_equal(errors.list[0].text, error);
	if (errors.n != 1)
		fail_msg("more: %s", errors.list[1].text);
	/* The caller's structs stay as they were. */
	assert_int_equal(config.log.access, 0x5a5a5a5a);
	assert_int_equal(origins.of[0].line, 0x5a5a5a5a);
}

static void
assert_same_config(const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < config_n_directives; i++) {
		char one[CONFIG_VALUE_SIZE], two[CONFIG_VALUE_SIZE];

		config_format_value(a, &config_directives[i], one, sizeof(one));
		config_format_value(b, &config_directives[i], two, sizeof(two));
		assert_string_equal(one, two);
	}
}

static size_t
index_of(const char *section, const char *key)
{
	for (size_t i = 0; i < config_n_directives; i++)
		if (strcmp(config_directives[i].section, section) == 0 &&
		    strcmp(config_directives[i].key, key) == 0)
			return i;
	fail_msg("no directive [%s] %s", section, key);
	return 0;
}

/* --- text --------------------------------------------------------------- */

static void
test_empty(void **state)
{
	struct config defaults;

	(void)state;
	config_defaults(&defaults);
	assert_int_equal(
	    config_parse((struct span){NULL, 0}, "t", &config, NULL, &errors),
	    0);
	assert_same_config(&config, &defaults);
	expect_ok("\n\n# comment\n; another\n  # indented\n[http]\n[log]\n");
	assert_same_config(&config, &defaults);
	for (size_t i = 0; i < config_n_directives; i++)
		assert_string_equal(origins.of[i].file, "");
}

static void
test_values(void **state)
{
	size_t i;

	(void)state;
	expect_ok("[spool]\nmax_wait = 1s\n\n[http] ; comment\n"
		  "listen=127.0.0.1:80  ; here\n[spool]\nmax_size: 2G");
	assert_int_equal(config.spool.max_wait, 1000);
	assert_int_equal(config.spool.max_size, UINT64_C(2) << 30);
	assert_int_equal(config.http.listen.n, 1);
	i = index_of("http", "listen");
	assert_string_equal(origins.of[i].file, "t");
	assert_int_equal(origins.of[i].line, 5);
	assert_int_equal(origins.of[index_of("spool", "max_size")].line, 7);
	assert_int_equal(origins.of[index_of("log", "level")].line, 0);
}

static void
test_forms_of_text(void **state)
{
	(void)state;
	expect_ok("\xef\xbb\xbf[http]\r\nworkers = 3\r\n\r\nlisten =\r\n\t"
		  "127.0.0.1:80\r\n");
	assert_int_equal(config.http.workers, 3);
	assert_int_equal(config.http.listen.n, 1);
	expect_ok("[http]\nworkers = 4 ; last line without an end");
	assert_int_equal(config.http.workers, 4);
	expect_ok("[spool]\ndirectory = /a;b # c\n");
	assert_string_equal(config.spool.directory, "/a;b # c");
}

static void
test_lists_go_on(void **state)
{
	(void)state;
	expect_ok("[clients]\ntrusted_proxies = 10.0.0.0/8\n"
		  "\n# between\n  ::1  192.0.2.1 ; why\n\t192.0.2.2\n"
		  "max_connections = 5\n");
	assert_int_equal(config.clients.trusted_proxies.n, 4);
	assert_int_equal(config.clients.max_connections, 5);
	expect_ok("[https]\nlisten =\n [::1]:443\n");
	assert_int_equal(config.https.listen.n, 1);
	expect_ok("[admin]\nlisten =\n");
	assert_int_equal(config.admin.listen.n, 0);
	expect_error("[http]\nlisten = 127.0.0.1:80\n workers = 2\n",
	    "t:3: [http] listen, continued here: \"workers\" is not an address "
	    "with a port (0.0.0.0:80, [::]:80); several are separated by "
	    "spaces");
	expect_error("[http]\nworkers = 2\n  3\n",
	    "t:3: an indented line continues a list, and [http] workers above "
	    "is none; a key begins in the first column");
	expect_error("[http]\n  workers = 2\n",
	    "t:2: the line is indented, but there is no list above that it "
	    "could continue");
	expect_error("  [http]\n",
	    "t:1: the line is indented, but there is no list above that it "
	    "could continue");
}

static const struct {
	const char *text, *error;
} wrong[] = {
    {"[spool]\n\nmax_wait = 5x\n",
	"t:3: [spool] max_wait = 5x: is not a duration (250ms, 10s, 5m, 2h, "
	"30d)"},
    {"[http]\nworkers = 65", "t:2: [http] workers = 65: is outside the range "
			     "0 to 64"},
    {"[http]\nworkers =\n", "t:2: [http] workers = : is not a number"},
    {"[spool]\ndirectory =\n", "t:2: [spool] directory = : may not be empty"},
    {"workers = 1\n", "t:1: workers stands before the first [section]"},
    {"junk\n", "t:1: the line is neither [section] nor `key = value`"},
    {"[http]\nlisten\n",
	"t:2: the line is neither [section] nor `key = value`"},
    /* What belongs to a wrong line is not told again. */
    {"[http]\nlisten 127.0.0.1\n  ::1\n",
	"t:2: the line is neither [section] nor `key = value`"},
    {"[http]\nworkers = 1\njunk\n  goes on\n",
	"t:3: the line is neither [section] nor `key = value`"},
    {"[http]\nlisen = a\n  b\n",
	"t:2: [http] lisen: there is no such key; did you mean listen?"},
    {"[htpp]\nlisten = a\n  b\njunk\n[log]\nlevel = info\n",
	"t:1: [htpp]: there is no such section; did you mean [http]?"},
    {"[elephants]\n",
	"t:1: [elephants]: there is no such section; there are [http] [https] "
	"[clients] [tracking] [sandbox] [spool] [postal] [main_db] "
	"[message_db] [links] [forwarder] [admin] [log]"},
    {"[]\n", "t:1: []: there is no such section; there are [http] [https] "
	     "[clients] [tracking] [sandbox] [spool] [postal] [main_db] "
	     "[message_db] [links] [forwarder] [admin] [log]"},
    {"[spool]\nmax-wait = 5s\n",
	"t:2: [spool] max-wait: there is no such key; did you mean max_wait?"},
    {"[http]\nmax_wait = 5s\n",
	"t:2: [http] max_wait: there is no such key here; it belongs to "
	"[spool]"},
    {"[http]\nelephants = 5s\n",
	"t:2: [http] elephants: there is no such key; there are listen, "
	"workers, public_address"},
    {"[http]\n = 5s\n", "t:2: the line is indented, but there is no list "
			"above that it could continue"},
    {"[http]\n= 5s\n",
	"t:2: [http] : there is no such key; there are listen, workers, "
	"public_address"},
    {"[http]\nan_awfully_long_name_that_is_longer_than_any_key_in_the_table = "
     "1\n",
	"t:2: [http] "
	"an_awfully_long_name_that_is_longer_than_any_key_in_the_tabl: there "
	"is no such key; there are listen, workers, public_address"},
    {"[http\nworkers = 1\n", "t:1: a [section] without its closing bracket"},
    {"[http] workers = 1\n",
	"t:1: only a comment (\" ; ...\") may follow [http] on its line"},
    {"[http];no space\n",
	"t:1: only a comment (\" ; ...\") may follow [http] on its line"},
    {"[http]\nworkers = 1\n[log]\n[http]\nworkers = 1\n",
	"t:5: [http] workers stands in line 2 already"},
    {"[http]\nlisten =\nlisten = 127.0.0.1:1\n  127.0.0.1:2\n",
	"t:3: [http] listen stands in line 2 already"},
    {"[http]\nworkers\r = 1\n",
	"t:2: the line holds a control character (0x0d)"},
    {"[http]\nworkers = 1\x7f\n",
	"t:2: the line holds a control character (0x7f)"},
    {"[ht\btp]\nworkers = 1\n",
	"t:1: the line holds a control character (0x08)"},
    {"[http]\nlisten = 127.0.0.1:80 127.0.0.1:80\n",
	"t:2: [http] listen has 127.0.0.1:80 twice"},
    {"[http]\nlisten = [::ffff:127.0.0.1]:80\n[https]\nlisten = "
     "127.0.0.1:80\n",
	"t:4: [https] listen has 127.0.0.1:80, and so has [http] listen"},
    {"[http]\nlisten = 127.0.0.1:9092\n",
	"t:2: [http] listen has 127.0.0.1:9092, and so has [admin] listen by "
	"default"},
    {"[https]\nlisten = [::]:80\n",
	"t:2: [https] listen has [::]:80, and so has [http] listen by "
	"default"},
};

static void
test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		expect_error(wrong[i].text, wrong[i].error);
}

static void
test_nul(void **state)
{
	(void)state;
	assert_int_equal(parse_bytes("[http]\nworkers = 1\0002\n", 21), -1);
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.list[0].text,
	    "t:2: the line holds a control character (0x00)");
	/* Nobody reads a comment. */
	assert_int_equal(parse_bytes("# \0\n", 4), 0);
}

static void
test_all_errors_in_order(void **state)
{
	static const char text[] = "x=1\n[http]\nworkers=x\njunk\n[nope\n";
	static const char *const starts[] = {
	    "t:1: ", "t:3: ", "t:4: ", "t:5: "};

	(void)state;
	assert_int_equal(parse_bytes(text, strlen(text)), -1);
	assert_int_equal(errors.n, ARRAY_LENGTH(starts));
	for (size_t i = 0; i < ARRAY_LENGTH(starts); i++)
		assert_memory_equal(
		    errors.list[i].text, starts[i], strlen(starts[i]));
}

static void
test_many_errors(void **state)
{
	char text[2 * (CONFIG_ERRORS_MAX + 8) + 1] = "";

	(void)state;
	for (size_t i = 0; i < CONFIG_ERRORS_MAX + 8; i++)
		memcpy(text + 2 * i, "x\n", 3);
	assert_int_equal(parse_bytes(text, strlen(text)), -1);
	assert_int_equal(errors.n, CONFIG_ERRORS_MAX + 8);
	assert_string_equal(errors.list[CONFIG_ERRORS_MAX - 1].text,
	    "t:32: the line is neither [section] nor `key = value`");
}

/* "[spool]\ndirectory=/xxx...", the second line of len bytes. */
static int
parse_line_of(size_t len, const char *start, const char *after)
{
	char text[1024];
	size_t used =
	    (size_t)snprintf(text, sizeof(text), "[spool]\n%s", start);
	size_t end = used + len - strlen(start);

	memset(text + used, 'x', end - used);
	(void)snprintf(text + end, sizeof(text) - end, "\n%s", after);
	return parse_bytes(text, strlen(text));
}

static void
test_long_lines(void **state)
{
	(void)state;
	assert_int_equal(parse_line_of(198, "directory=/", ""), 0);
	assert_int_equal(strlen(config.spool.directory), 188);
	assert_int_equal(parse_line_of(199, "directory=/", ""), -1);
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.list[0].text,
	    "t:2: the line is longer than 198 bytes; continue a list on the "
	    "next line, indented");
	/* Neither what continues it nor the keys of a section are told. */
	assert_int_equal(parse_line_of(199, "directory=/", "  x\n"), -1);
	assert_int_equal(errors.n, 1);
	assert_int_equal(parse_line_of(199, "[a", "b = 1\n  c\n"), -1);
	assert_int_equal(errors.n, 1);
	/* A long piece of a list; what follows still belongs to the list. */
	assert_int_equal(
	    parse_line_of(199, "[http]\nlisten=\n ", " 127.0.0.1:1\n"), -1);
	assert_int_equal(parse_line_of(800, "#", "max_wait = 1s\n"), 0);
	assert_int_equal(config.spool.max_wait, 1000);
}

static void
test_long_values_are_cut(void **state)
{
	static const char start[] = "t:2: [spool] retention = xxxx";
	static const char end[] =
	    "xxx...: is not a duration (250ms, 10s, 5m, 2h, 30d)";
	const char *text = errors.list[0].text;

	(void)state;
	assert_int_equal(parse_line_of(150, "retention=", ""), -1);
	assert_memory_equal(text, start, strlen(start));
	assert_string_equal(text + strlen(text) - strlen(end), end);
	assert_true(strlen(text) < 170);
}

static void
test_long_names_are_cut(void **state)
{
	static const char end[] =
	    "end:1: the line is neither [section] nor `key = value`";
	const char *text = errors.list[0].text;
	char name[500];

	(void)state;
	memset(name, 'n', sizeof(name));
	memcpy(name + sizeof(name) - 4, "end", 4);
	assert_int_equal(
	    config_parse(span_of("x"), name, &config, NULL, &errors), -1);
	assert_memory_equal(text, "...nnn", 6);
	assert_string_equal(text + strlen(text) - strlen(end), end);
}

/* --- files -------------------------------------------------------------- */

/* A directory of this test, and the tracker.conf that it would have. */
static char directory[64];
static char path[128];

static const char *
in_directory(const char *name)
{
	static char full[256];

	(void)snprintf(full, sizeof(full), "%s/%s", directory, name);
	return full;
}

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(in_directory(name), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int
make_directory(void **state)
{
	(void)state;
	(void)snprintf(directory, sizeof(directory), "/tmp/config_test.XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/tracker.conf", directory);
	return mkdir(in_directory("tracker.conf.d"), 0700);
}

static int
remove_directory(void **state)
{
	static const char *const names[] = {"tracker.conf.d/10-a.conf",
	    "tracker.conf.d/9-b.conf", "tracker.conf.d/Z.conf",
	    "tracker.conf.d/.hidden.conf", "tracker.conf.d/c.conf~",
	    "tracker.conf.d/.conf", "tracker.conf"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		(void)unlink(in_directory(names[i]));
	(void)rmdir(in_directory("tracker.conf"));
	(void)unlink(in_directory("tracker.conf.d"));
	(void)rmdir(in_directory("tracker.conf.d"));
	return rmdir(directory);
}

/* The only error of loading, after "directory/". */
static void
expect_load_error(const char *error)
{
	size_t len = strlen(directory) + 1;

	assert_int_equal(config_load(path, &config, &origins, &errors), -1);
	assert_string_equal(errors.list[0].text + len, error);
	assert_memory_equal(errors.list[0].text, directory, len - 1);
	assert_int_equal(errors.n, 1);
}

static void
test_drop_ins(void **state)
{
	size_t i = index_of("http", "workers");

	(void)state;
	write_file("tracker.conf",
	    "[http]\nworkers = 1\nlisten = 127.0.0.1:1\n[spool]\n"
	    "max_wait = 1s\n");
	assert_int_equal(config_load(path, &config, &origins, &errors), 0);
	assert_int_equal(config.http.workers, 1);
	assert_string_equal(origins.of[i].file, path);

	write_file("tracker.conf.d/10-a.conf", "[http]\nworkers = 2\n");
	write_file("tracker.conf.d/9-b.conf",
	    "\n[http]\nworkers = 3\nlisten = 127.0.0.1:2\n");
	write_file("tracker.conf.d/Z.conf", "[log]\nlevel = warn\n");
	write_file("tracker.conf.d/.hidden.conf", "junk\n");
	write_file("tracker.conf.d/.conf", "junk\n");
	write_file("tracker.conf.d/c.conf~", "junk\n");
	assert_int_equal(config_load(path, &config, &origins, &errors), 0);
	assert_int_equal(config.http.workers, 3);
	assert_int_equal(config.http.listen.n, 1);
	assert_int_equal(config.http.listen.list[0].port, 2);
	assert_int_equal(config.spool.max_wait, 1000);
	assert_int_equal(config.log.level, CONFIG_LEVEL_WARN);
	assert_string_equal(
	    origins.of[i].file, in_directory("tracker.conf.d/9-b.conf"));
	assert_int_equal(origins.of[i].line, 3);
}

static void
test_drop_in_errors(void **state)
{
	(void)state;
	write_file("tracker.conf", "");
	write_file("tracker.conf.d/Z.conf", "[http]\nworkers = x\n");
	expect_load_error("tracker.conf.d/Z.conf:2: [http] workers = x: is not "
			  "a number");
	assert_int_equal(unlink(in_directory("tracker.conf.d/Z.conf")), 0);
	assert_int_equal(
	    symlink("nowhere", in_directory("tracker.conf.d/Z.conf")), 0);
	expect_load_error("tracker.conf.d/Z.conf: cannot open: No such file or "
			  "directory");
	assert_int_equal(unlink(in_directory("tracker.conf.d/Z.conf")), 0);
	assert_int_equal(rmdir(in_directory("tracker.conf.d")), 0);
	assert_int_equal(config_load(path, &config, NULL, &errors), 0);
	write_file("tracker.conf.d", "");
	expect_load_error("tracker.conf.d: cannot list: Not a directory");
}

static void
test_missing_file(void **state)
{
	(void)state;
	expect_load_error("tracker.conf: cannot open: No such file or "
			  "directory");
	assert_int_equal(errors.list[0].code, ENOENT);
}

static void
test_odd_files(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	expect_load_error("tracker.conf: is not a regular file");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_load_error("tracker.conf: is not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("tracker.conf", path), 0);
	expect_load_error("tracker.conf: cannot open: Too many levels of "
			  "symbolic links");
	assert_int_equal(unlink(path), 0);
	/* A regular file whose first page nobody can read. */
	assert_int_equal(symlink("/proc/self/mem", path), 0);
	expect_load_error("tracker.conf: cannot read: Input/output error");
}

static void
test_unreadable_path(void **state)
{
	char longest[5000];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(config_load(longest, &config, NULL, &errors), -1);
	assert_int_equal(errors.n, 1);
	assert_non_null(strstr(errors.list[0].text, "File name too long"));
}

static void
test_file_size(void **state)
{
	static const off_t most = 1 << 20;
	char *text = malloc((size_t)most + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', (size_t)most);
	text[most] = '\0';
	write_file("tracker.conf", text);
	free(text);
	assert_int_equal(config_load(path, &config, NULL, &errors), 0);
	assert_int_equal(truncate(path, most + 1), 0);
	expect_load_error("tracker.conf: is larger than 1 MiB");
}

static void
test_default_path(void **state)
{
	static const char end[] = "/postal-tracker/tracker.conf";
	const char *found = config_default_path();

	(void)state;
	assert_int_equal(found[0], '/');
	assert_string_equal(found + strlen(found) - strlen(end), end);
	/* Where there is no such file, the defaults are in effect. */
	if (access(found, F_OK) != 0)
		assert_int_equal(config_load(NULL, &config, NULL, &errors), 0);
}

/* --- the tracker.conf that is shipped ----------------------------------- */

static void
test_shipped_file_is_defaults(void **state)
{
	struct config defaults;

	(void)state;
	config_defaults(&defaults);
	if (config_load("tracker.conf", &config, NULL, &errors) != 0)
		fail_msg("%s", errors.list[0].text);
	assert_same_config(&config, &defaults);
}

struct shipped {
	char section[64];
	char comment[1024]; /* the lines above, joined */
	size_t seen[CONFIG_DIRECTIVES_MAX];
};

/* Whether line is a key, commented out or not: a known one of the section
 * has its default and its documentation. */
static void
check_key(struct shipped *s, const char *key, const char *value)
{
	char range[CONFIG_RANGE_SIZE], expected[1024];
	size_t i = index_of(s->section, key);
	const struct config_directive *d = &config_directives[i];

	s->seen[i]++;
	assert_string_equal(value, d->initial);
	config_format_range(d, range, sizeof(range));
	(void)snprintf(
	    expected, sizeof(expected), "%s Value: %s", d->doc, range);
	assert_string_equal(s->comment, expected);
}

static void
read_shipped_line(struct shipped *s, const char *line)
{
	char key[64], value[256] = "";
	size_t used = strlen(s->comment);

	if (sscanf(line, "[%63[^]]]", s->section) == 1 || line[0] == '\0') {
		s->comment[0] = '\0';
	} else if (strncmp(line, "# ", 2) == 0) {
		(void)snprintf(s->comment + used, sizeof(s->comment) - used,
		    "%s%s", used > 0 ? " " : "", line + 2);
	} else if (s->section[0] != '\0') {
		assert_true(
		    sscanf(line, "%*[#]%63[a-z_] = %255[^\n]", key, value) >=
			1 ||
		    sscanf(line, "%63[a-z_] = %255[^\n]", key, value) >= 1);
		check_key(s, key, value);
		s->comment[0] = '\0';
	}
}

static void
test_shipped_file_is_the_table(void **state)
{
	FILE *f = fopen("tracker.conf", "re");
	static struct shipped s;
	char line[256];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		assert_true(strlen(line) <= 80);
		read_shipped_line(&s, line);
	}
	assert_int_equal(fclose(f), 0);
	for (size_t i = 0; i < config_n_directives; i++)
		if (s.seen[i] != 1)
			fail_msg("[%s] %s stands %zu times in tracker.conf",
			    config_directives[i].section,
			    config_directives[i].key, s.seen[i]);
}

/* With every `#` before a key taken away, it still says the same. */
static void
test_shipped_file_uncommented(void **state)
{
	struct config defaults;
	char text[32768];
	FILE *f = fopen("tracker.conf", "re");
	size_t len, to = 0;

	(void)state;
	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	assert_int_equal(fclose(f), 0);
	assert_true(len < sizeof(text));
	for (size_t i = 0; i < len; i++)
		if (text[i] != '#' || i + 1 == len || text[i + 1] < 'a' ||
		    text[i + 1] > 'z')
			text[to++] = text[i];
	assert_true(to == len - config_n_directives);
	if (parse_bytes(text, to) != 0)
		fail_msg("%s", errors.list[0].text);
	config_defaults(&defaults);
	assert_same_config(&config, &defaults);
	for (size_t i = 0; i < config_n_directives; i++)
		assert_true(origins.of[i].line > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_forms_of_text),
	    cmocka_unit_test(test_lists_go_on),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_all_errors_in_order),
	    cmocka_unit_test(test_many_errors),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_long_values_are_cut),
	    cmocka_unit_test(test_long_names_are_cut),
	    cmocka_unit_test_setup_teardown(
		test_drop_ins, make_directory, remove_directory),
	    cmocka_unit_test_setup_teardown(
		test_drop_in_errors, make_directory, remove_directory),
	    cmocka_unit_test_setup_teardown(
		test_missing_file, make_directory, remove_directory),
	    cmocka_unit_test_setup_teardown(
		test_odd_files, make_directory, remove_directory),
	    cmocka_unit_test(test_unreadable_path),
	    cmocka_unit_test_setup_teardown(
		test_file_size, make_directory, remove_directory),
	    cmocka_unit_test(test_default_path),
	    cmocka_unit_test(test_shipped_file_is_defaults),
	    cmocka_unit_test(test_shipped_file_is_the_table),
	    cmocka_unit_test(test_shipped_file_uncommented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
