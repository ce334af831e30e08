/*
 * domains_acme.c - what the ACME client noted of a name
 *
 * Run by `postal-tracker domains`. The file is written by
 * packaging/acme/postal-tracker-acme, an unprivileged user's script: lines of
 * key=value, of which a wrong one makes the whole unknown, and so does another
 * authority than the one that is asked now.
 */
#include "cli/domains.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/number.h"

#define FILE_MAX_SIZE 2048
#define LINE_MAX_SIZE 1024
/* Year 9999. */
#define TIME_MOST UINT64_C(253402300799)

/* --- the authority ----------------------------------------------------- */

/* The value when the line has this key. */
static bool
is_key(struct span line, const char *key, struct span *value)
{
	size_t len = strlen(key);

	if (line.len < len || memcmp(line.p, key, len) != 0)
		return false;
	*value = (struct span){line.p + len, line.len - len};
	return true;
}

static struct span
without_quotes(struct span v)
{
	if (v.len >= 2 && (v.p[0] == '"' || v.p[0] == '\'') &&
	    v.p[v.len - 1] == v.p[0])
		return (struct span){v.p + 1, v.len - 2};
	return v;
}

void
domains_read_authority(const char *path, char authority[DOMAINS_AUTHORITY_SIZE])
{
	const char *set = getenv("ACME_URL");
	char line[LINE_MAX_SIZE];
	struct span v;
	FILE *f = NULL;

	authority[0] = '\0';
	if (set != NULL && set[0] != '\0')
		(void)span_to_text(
		    span_of(set), authority, DOMAINS_AUTHORITY_SIZE);
	else
		f = fopen(path, "re");
	/* The last one counts. */
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		if (is_key(span_trim(span_of(line)), "ACME_URL=", &v))
			(void)span_to_text(without_quotes(v), authority,
			    DOMAINS_AUTHORITY_SIZE);
	}
	if (f != NULL)
		(void)fclose(f);
	if (authority[0] == '\0')
		(void)span_to_text(span_of(DOMAINS_AUTHORITY), authority,
		    DOMAINS_AUTHORITY_SIZE);
}

/* --- what was noted ---------------------------------------------------- */

static ssize_t
read_file(const char *directory, const char *name, char *text)
{
	int dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
	struct stat st;
	ssize_t n = -1;

	fd = dir_fd < 0 ? -1
			: openat(dir_fd, name,
			      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
				  O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = read(fd, text, FILE_MAX_SIZE);
	fd_close(&fd);
	fd_close(&dir_fd);
	return n;
}

static int
take_time(struct span value, int64_t *time)
{
	uint64_t n;

	if (number_parse(value, 0, TIME_MOST, &n) != 0)
		return -1;
	*time = (int64_t)n;
	return 0;
}

static int
take_line(struct domains_acme *a, const char *authority, struct span line)
{
	struct span v;

	if (is_key(line, "failures=", &v))
		return number_parse(v, 0, UINT32_MAX, &a->failures);
	if (is_key(line, "tried=", &v))
		return take_time(v, &a->tried);
	if (is_key(line, "next=", &v))
		return take_time(v, &a->next);
	if (is_key(line, "url=", &v))
		return span_equal(v, span_of(authority)) ? 0 : -1;
	if (is_key(line, "error=", &v)) {
		if (v.len >= sizeof(a->error))
			v.len = sizeof(a->error) - 1;
		return span_to_text(v, a->error, sizeof(a->error));
	}
	return -1;
}

void
domains_read_acme(struct domains_acme *a, const char *directory,
    const char *authority, const char *name)
{
	char text[FILE_MAX_SIZE];
	ssize_t len = read_file(directory, name, text);
	const char *at = text, *end;

	*a = (struct domains_acme){.known = false};
	if (len <= 0)
		return;
	while (len > 0) {
		end = memchr(at, '\n', (size_t)len);
		if (end == NULL)
			break;
		if (take_line(a, authority,
			(struct span){
			    (const uint8_t *)at, (size_t)(end - at)}) != 0) {
			*a = (struct domains_acme){.known = false};
			return;
		}
		len -= end + 1 - at;
		at = end + 1;
	}
	a->known = true;
}
