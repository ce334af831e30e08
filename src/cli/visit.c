/*
 * visit.c - one request, as a reader of mail would make it
 *
 * Runs in `selftest`, which people type. Plain HTTP is asked here; HTTPS by
 * curl, because a client's TLS has no place in this program otherwise.
 */
#include "cli/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/number.h"

/* curl ends by itself; if not, it is ended so much later. */
#define CURL_GRACE_MS 2000
#define ANSWER_MAX 65536
#define AGENT "postal-tracker-selftest/" TRACKER_VERSION
#define CURL_ARGUMENTS_MAX 24

/* --- where ------------------------------------------------------------- */

static int
parse_port(const char *text, struct visit_place *place)
{
	uint64_t port = place->https ? 443 : 80;

	if (*text == ':') {
		size_t len = strspn(++text, "0123456789");

		if (number_parse((struct span){(const uint8_t *)text, len}, 1,
			UINT16_MAX, &port) != 0)
			return -1;
		text += len;
	}
	place->port = (uint16_t)port;
	return strcmp(text, "") == 0 || strcmp(text, "/") == 0 ? 0 : -1;
}

int
visit_parse(const char *url, struct visit_place *place, struct err *e)
{
	static const char host_bytes[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	const char *host = url;
	size_t len;

	*place = (struct visit_place){.https = false};
	if (strncmp(url, "http://", 7) == 0) {
		host += 7;
	} else if (strncmp(url, "https://", 8) == 0) {
		host += 8;
		place->https = true;
	}
	len =
	    host[0] == '[' ? strcspn(host, "]") + 1 : strspn(host, host_bytes);
	if (host == url || len == 0 || (host[0] == '[' && len < 4) ||
	    len > strlen(host) || len >= sizeof(place->host) ||
	    (host[0] == '[' &&
		strspn(host + 1, "0123456789abcdefABCDEF:.") != len - 2))
		return err_set(e,
		    "\"%.100s\" is not http://NAME or https://NAME, with a "
		    "port or without",
		    url);
	memcpy(place->host, host, len);
	if (parse_port(host + len, place) != 0)
		return err_set(e,
		    "\"%.100s\" has something behind the name that is no "
		    "port; the paths are those of the test",
		    url);
	return 0;
}

static bool
is_usual_port(const struct visit_place *place)
{
	return place->port == (place->https ? 443 : 80);
}

/* What stands in Host. */
static void
format_host(const struct visit_place *place, char *text, size_t size)
{
	if (is_usual_port(place))
		(void)snprintf(text, size, "%s", place->host);
	else
		(void)snprintf(text, size, "%s:%u", place->host, place->port);
}

void
visit_format(const struct visit_place *place, char text[VISIT_URL_SIZE])
{
	char host[VISIT_HOST_SIZE + 8];

	format_host(place, host, sizeof(host));
	(void)snprintf(
	    text, VISIT_URL_SIZE, "http%s://%s", place->https ? "s" : "", host);
}

/* --- the answer -------------------------------------------------------- */

static void
take_value(struct span line, const char *name, char value[VISIT_VALUE_SIZE])
{
	size_t len = strlen(name);
	struct span rest;

	if (line.len <= len || line.p[len] != ':' ||
	    !span_equal_nocase((struct span){line.p, len}, span_of(name)))
		return;
	rest = span_trim((struct span){line.p + len + 1, line.len - len - 1});
	if (span_to_text(rest, value, VISIT_VALUE_SIZE) != 0)
		value[0] = '\0';
}

static int
take_status(struct span line, struct visit_answer *answer)
{
	const uint8_t *space = memchr(line.p, ' ', line.len);
	uint64_t status;

	if (!span_starts(line, span_of("HTTP/")) || space == NULL ||
	    line.len - (size_t)(space - line.p) < 4 ||
	    number_parse((struct span){space + 1, 3}, 100, 599, &status) != 0)
		return -1;
	answer->status = (int)status;
	answer->type[0] = answer->location[0] = '\0';
	return 0;
}

/* Up to the line's end; moves text behind it. */
static struct span
next_line(struct span *text)
{
	const uint8_t *end = memchr(text->p, '\n', text->len);
	struct span line = *text;

	if (end != NULL)
		line.len = (size_t)(end - text->p);
	text->p += line.len + (end != NULL);
	text->len -= line.len + (end != NULL);
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	return line;
}

int
visit_read_head(struct span text, struct visit_answer *answer)
{
	struct span line = next_line(&text);

	if (take_status(line, answer) != 0)
		return -1;
	while (text.len > 0) {
		line = next_line(&text);
		if (line.len > 0) {
			take_value(line, "content-type", answer->type);
			take_value(line, "location", answer->location);
		} else if (answer->status >= 200 ||
			   !span_starts(text, span_of("HTTP/"))) {
			break;
		} else {
			/* One in between, such as 103. */
			line = next_line(&text);
			if (take_status(line, answer) != 0)
				return -1;
		}
	}
	return 0;
}

/* A request and what is answered. */
struct talk {
	const struct visit_place *place;
	const char *path;
	uint64_t within_ms, until_ms;
	uint8_t *bytes; /* ANSWER_MAX */
	size_t len;
};

/* All that comes, at most ANSWER_MAX bytes. -1: not all came in time. */
static int
read_all(struct talk *t, int fd, uint64_t until_ms)
{
	ssize_t n = 1;

	if (fd_set_nonblock(fd) != 0)
		return -1;
	while (n > 0 && t->len < ANSWER_MAX) {
		if (!fd_wait(fd, POLLIN, until_ms))
			return -1;
		n = read(fd, t->bytes + t->len, ANSWER_MAX - t->len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			n = 1;
		else if (n > 0)
			t->len += (size_t)n;
	}
	return 0;
}

static int
say_late(const struct talk *t, struct err *e)
{
	return err_set(e, "%s did not finish its answer within %g s",
	    t->place->host, (double)t->within_ms / 1000);
}

/* --- HTTP -------------------------------------------------------------- */

/* Connecting and sending have their limits from the kernel. */
static int
connect_to(const struct sockaddr *sa, socklen_t len, uint64_t until_ms)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t now = clock_mono_ms();
	uint64_t left_ms = now < until_ms ? until_ms - now : 1;
	struct timeval left = {.tv_sec = (time_t)(left_ms / 1000),
	    .tv_usec = (suseconds_t)(left_ms % 1000 * 1000)};

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) != 0 ||
	    connect(fd, sa, len) != 0)
		fd_close(&fd);
	return fd;
}

static int
connect_to_name(
    const struct visit_place *place, uint64_t until_ms, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
	char name[VISIT_HOST_SIZE], port[8];
	size_t len = strlen(place->host);
	bool brackets = place->host[0] == '[';
	int fd = -1, failed;

	(void)snprintf(name, sizeof(name), "%.*s",
	    (int)(brackets ? len - 2 : len), place->host + brackets);
	(void)snprintf(port, sizeof(port), "%u", place->port);
	failed = getaddrinfo(name, port, &hints, &all);
	if (failed != 0) {
		(void)err_set(e, "%s cannot be looked up: %s", name,
		    gai_strerror(failed));
		return -1;
	}
	for (const struct addrinfo *a = all; fd < 0 && a != NULL;
	     a = a->ai_next)
		fd = connect_to(a->ai_addr, a->ai_addrlen, until_ms);
	freeaddrinfo(all);
	if (fd < 0)
		(void)err_errno(e, "cannot connect to %s", place->host);
	return fd;
}

static int
open_connection(
    const struct visit_place *place, uint64_t until_ms, struct err *e)
{
	char shown[ENDPOINT_TEXT_SIZE];
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	if (place->direct.port == 0)
		return connect_to_name(place, until_ms, e);
	len = endpoint_to_sockaddr(&place->direct, &sa);
	fd = connect_to((const struct sockaddr *)&sa, len, until_ms);
	if (fd < 0) {
		endpoint_format(&place->direct, shown);
		(void)err_errno(e, "cannot connect to %s", shown);
	}
	return fd;
}

static int
visit_http(struct talk *t, struct err *e)
{
	char host[VISIT_HOST_SIZE + 8], request[2048];
	int fd = open_connection(t->place, t->until_ms, e), n, failed;

	if (fd < 0)
		return -1;
	format_host(t->place, host, sizeof(host));
	n = snprintf(request, sizeof(request),
	    "%sGET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: " AGENT
	    "\r\nConnection: close\r\n\r\n",
	    t->place->proxy_header ? "PROXY UNKNOWN\r\n" : "", t->path, host);
	if (n < 0 || (size_t)n >= sizeof(request) ||
	    send(fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
		(void)err_errno(e, "cannot ask %s", host);
		fd_close(&fd);
		return -1;
	}
	failed = read_all(t, fd, t->until_ms);
	fd_close(&fd);
	if (failed)
		return say_late(t, e);
	return t->len > 0 ? 0 : err_set(e, "%s closed without an answer", host);
}

/* --- HTTPS ------------------------------------------------------------- */

extern char **environ;

/* curl's output, its errors behind it, into fd. */
static int
start_curl(const char *arguments[CURL_ARGUMENTS_MAX], int fd, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	char *argv[CURL_ARGUMENTS_MAX];
	int failed;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -1;
	failed = posix_spawn_file_actions_addopen(
		     &actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
		 posix_spawn_file_actions_adddup2(&actions, fd, 1) != 0 ||
		 posix_spawn_file_actions_adddup2(&actions, fd, 2) != 0;
	/* It writes to none of them; its type says less. */
	memcpy(argv, arguments, sizeof(argv));
	if (!failed) {
		errno =
		    posix_spawnp(pid, "curl", &actions, NULL, argv, environ);
		failed = errno != 0;
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return failed ? -1 : 0;
}

static int
run_curl(
    struct talk *t, const char *arguments[CURL_ARGUMENTS_MAX], struct err *e)
{
	int ends[2], status = -1;
	bool late;
	pid_t pid = 0;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_errno(e, "cannot start curl");
	if (start_curl(arguments, ends[1], &pid) != 0) {
		(void)err_errno(e,
		    "HTTPS is asked by curl, which cannot be started (apt-get "
		    "install curl)");
		fd_close(&ends[0]);
		fd_close(&ends[1]);
		return -1;
	}
	fd_close(&ends[1]);
	late = read_all(t, ends[0], t->until_ms + CURL_GRACE_MS) != 0;
	fd_close(&ends[0]);
	/* One that has more to say does not end because nobody listens. */
	if (late || t->len == ANSWER_MAX)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (late)
		return say_late(t, e);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	while (t->len > 0 && t->bytes[t->len - 1] == '\n')
		t->len--;
	return err_set(e, "%.*s", (int)(t->len > 200 ? 200 : t->len),
	    (const char *)t->bytes);
}

static int
visit_https(struct talk *t, struct err *e)
{
	const struct visit_place *place = t->place;
	static const char agent[] = AGENT;
	char url[VISIT_URL_SIZE + 512], base[VISIT_URL_SIZE];
	char direct[ENDPOINT_TEXT_SIZE + 4] = "::", within[24];
	const char *arguments[CURL_ARGUMENTS_MAX] = {"curl", "-q", "--globoff",
	    "--silent", "--show-error", "--noproxy", "*", "--max-time", within,
	    "--user-agent", agent, "--output", "/dev/null", "--dump-header",
	    "-"};
	size_t n = 15;

	visit_format(place, base);
	(void)snprintf(url, sizeof(url), "%s%s", base, t->path);
	(void)snprintf(
	    within, sizeof(within), "%.3f", (double)t->within_ms / 1000);
	if (place->direct.port != 0) {
		endpoint_format(&place->direct, direct + 2);
		arguments[n++] = "--connect-to";
		arguments[n++] = direct;
		arguments[n++] = "--insecure";
	}
	arguments[n++] = "--";
	arguments[n] = url;
	return run_curl(t, arguments, e);
}

/* --- both -------------------------------------------------------------- */

int
visit(const struct visit_place *place, const char *path, uint64_t within_ms,
    struct visit_answer *answer, struct err *e)
{
	struct talk t = {.place = place,
	    .path = path,
	    .within_ms = within_ms,
	    .until_ms = clock_mono_ms() + within_ms,
	    .bytes = malloc(ANSWER_MAX)};
	int64_t begun = clock_wall_us();
	int failed;

	*answer = (struct visit_answer){.status = 0};
	if (t.bytes == NULL)
		return err_errno(e, "no memory");
	failed = place->https ? visit_https(&t, e) : visit_http(&t, e);
	if (!failed && visit_read_head((struct span){t.bytes, t.len}, answer))
		failed = err_set(e, "%s does not speak HTTP", place->host);
	answer->took_us = clock_wall_us() - begun;
	free(t.bytes);
	return failed;
}
