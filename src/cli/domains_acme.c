/*
 * domains_acme.c - what the ACME client noted of a name
 *
 * Run by `postal-tracker domains`. The file is written by
 * packaging/acme/postal-tracker-acme, an unprivileged user's script: lines of
 * key=value, of which a wrong one makes the whole unknown.
 */
#include "cli/domains.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/number.h"

#define FILE_MAX_SIZE 2048
/* Year 9999. */
#define TIME_MOST UINT64_C(253402300799)

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
take_line(struct domains_acme *a, struct span line)
{
	struct span v;

	if (is_key(line, "failures=", &v))
		return number_parse(v, 0, UINT32_MAX, &a->failures);
	if (is_key(line, "tried=", &v))
		return take_time(v, &a->tried);
	if (is_key(line, "next=", &v))
		return take_time(v, &a->next);
	if (is_key(line, "error=", &v)) {
		if (v.len >= sizeof(a->error))
			v.len = sizeof(a->error) - 1;
		return span_to_text(v, a->error, sizeof(a->error));
	}
	return -1;
}

void
domains_read_acme(
    struct domains_acme *a, const char *directory, const char *name)
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
		if (take_line(a, (struct span){(const uint8_t *)at,
				     (size_t)(end - at)}) != 0) {
			*a = (struct domains_acme){.known = false};
			return;
		}
		len -= end + 1 - at;
		at = end + 1;
	}
	a->known = true;
}
