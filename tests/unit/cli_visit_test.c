/*
 * cli_visit_test.c - where selftest asks, how it reads what is answered, and
 * how long it waits
 */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "cli/visit.h"

static void
test_urls(void **state)
{
	static const struct {
		const char *url, *host, *shown;
		uint16_t port;
		bool https;
	} good[] = {
	    {"http://a.example", "a.example", "http://a.example", 80, false},
	    {"http://a.example/", "a.example", "http://a.example", 80, false},
	    {"https://a.example:443", "a.example", "https://a.example", 443,
		true},
	    {"https://a-1.example:8443/", "a-1.example",
		"https://a-1.example:8443", 8443, true},
	    {"http://192.0.2.1:80", "192.0.2.1", "http://192.0.2.1", 80, false},
	    {"http://[2001:db8::1]:81", "[2001:db8::1]",
		"http://[2001:db8::1]:81", 81, false},
	};
	char shown[VISIT_URL_SIZE];
	struct visit_place place;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		assert_int_equal(visit_parse(good[i].url, &place, &e), 0);
		assert_string_equal(place.host, good[i].host);
		assert_int_equal(place.port, good[i].port);
		assert_int_equal(place.https, good[i].https);
		visit_format(&place, shown);
		assert_string_equal(shown, good[i].shown);
	}
}

static void
test_wrong_urls(void **state)
{
	static const char *const wrong[] = {"", "http://", "https://", "a",
	    "a.example", "ftp://a", "HTTP://a", "http://a b", "http://a/b",
	    "http://a?b", "http://a:", "http://a:0", "http://a:65536",
	    "http://a:80x", "http://a@b", "http://[::1", "http://[]",
	    "http://[a]b", "http://[g::1]", "http://a\r\nb"};
	char text[600] = "http://";
	struct visit_place place;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_int_equal(visit_parse(wrong[i], &place, &e), -1);
	memset(text + strlen(text), 'a', VISIT_HOST_SIZE);
	assert_int_equal(visit_parse(text, &place, &e), -1);
}

static int
read_head(const char *text, struct visit_answer *a)
{
	*a = (struct visit_answer){.status = 0};
	return visit_read_head(span_of(text), a);
}

static void
test_heads(void **state)
{
	struct visit_answer a;

	(void)state;
	assert_int_equal(read_head("HTTP/1.1 200 OK\r\nContent-Type: image/png"
				   "\r\nX: y\r\n\r\nLocation: /body\r\n",
			     &a),
	    0);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.type, "image/png");
	assert_string_equal(a.location, "");
	/* As curl shows HTTP/2, and one in between. */
	assert_int_equal(read_head("HTTP/2 103 \r\nlocation: /no\r\n\r\n"
				   "HTTP/2 307 \r\nlocation:  http://b/ \r\n",
			     &a),
	    0);
	assert_int_equal(a.status, 307);
	assert_string_equal(a.location, "http://b/");
	/* Bare line ends, a name without a value, one that only begins so. */
	assert_int_equal(
	    read_head("HTTP/1.0 404 x\nContent-Typed: a\nLocation:\n", &a), 0);
	assert_int_equal(a.status, 404);
	assert_string_equal(a.type, "");
	assert_string_equal(a.location, "");
}

static void
test_what_is_no_head(void **state)
{
	static const char *const wrong[] = {"", "\n", "HTTP/1.1", "HTTP/1.1 ",
	    "HTTP/1.1 20", "HTTP/1.1 abc", "HTTP/1.1 999 x", "SSH-2.0-x\r\n",
	    "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 y"};
	char long_value[2 * VISIT_VALUE_SIZE] = "HTTP/1.1 200 x\r\nlocation: ";
	struct visit_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_int_equal(read_head(wrong[i], &a), -1);
	/* A value that does not fit is none. */
	memset(long_value + strlen(long_value), 'a', VISIT_VALUE_SIZE);
	assert_int_equal(read_head(long_value, &a), 0);
	assert_string_equal(a.location, "");
}

/* --- a server that takes its time --------------------------------------- */

/* An answer, and then a byte each 10 ms, without end. */
static _Noreturn void
trickle(int listener)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nX-Long: ";
	char request[2048];
	int fd;

	(void)alarm(60);
	fd = accept(listener, NULL, NULL);

	if (fd < 0 || read(fd, request, sizeof(request)) <= 0 ||
	    write(fd, head, sizeof(head) - 1) < 0)
		_exit(1);
	for (;;) {
		if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
			_exit(0);
		(void)usleep(10000);
	}
}

static void
visit_slow(bool https, const char *why)
{
	struct sockaddr_in sa = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(sa);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t begun = clock_mono_ms();
	struct visit_answer a;
	struct visit_place place = {.https = https, .host = "127.0.0.1"};
	struct err e = {0};
	pid_t child;

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(
	    getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	place.port = ntohs(sa.sin_port);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		trickle(listener);
	(void)close(listener);
	assert_int_equal(visit(&place, "/", 300, &a, &e), -1);
	assert_true(clock_mono_ms() - begun >= 300);
	assert_true(clock_mono_ms() - begun < VISIT_WITHIN_MS);
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	if (strstr(e.text, why) == NULL)
		fail_msg("%s", e.text);
}

static void
test_an_answer_without_end(void **state)
{
	(void)state;
	/* Instead of waiting for ever. */
	(void)alarm(60);
	visit_slow(false, "127.0.0.1 did not finish its answer within 0.3 s");
	(void)alarm(0);
}

/* Another curl, that does this. */
static void
put_curl(char *directory, const char *script)
{
	char path[64];
	FILE *f;

	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/curl", directory);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(
	    fprintf(f, "#!/bin/sh\nPATH=/usr/bin:/bin\n%s\n", script) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", directory);
	assert_int_equal(setenv("PATH", path, 1), 0);
}

static void
take_curl(const char *directory)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/curl", directory);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

/* A curl that does not end as it is told. */
static void
test_a_curl_without_end(void **state)
{
	char directory[] = "/tmp/visit-test.XXXXXX";

	(void)state;
	put_curl(directory, "exec sleep 100");
	(void)alarm(60);
	visit_slow(true, "127.0.0.1 did not finish its answer within 0.3 s");
	(void)alarm(0);
	take_curl(directory);
}

/* What visit makes of such a curl. */
static int
visit_by_curl(const char *script, const char *path, struct visit_answer *a)
{
	const struct visit_place place = {
	    .https = true, .host = "127.0.0.1", .port = 1};
	char directory[] = "/tmp/visit-test.XXXXXX";
	struct err e;
	int failed;

	put_curl(directory, script);
	(void)alarm(60);
	failed = visit(&place, path, 30000, a, &e);
	(void)alarm(0);
	take_curl(directory);
	return failed;
}

/* It goes on with the next URL when one cannot be written. */
static void
test_a_curl_that_says_too_much(void **state)
{
	struct visit_answer a;

	(void)state;
	assert_int_equal(visit_by_curl("head -c 65536 /dev/zero\ntrap '' PIPE\n"
				       "exec sleep 100",
			     "/", &a),
	    -1);
}

/* One URL, whatever a token looks like. */
static void
test_a_curl_that_asks_once(void **state)
{
	struct visit_answer a;

	(void)state;
	assert_int_equal(
	    visit_by_curl("case \" $* \" in *' --globoff '*/\\[1-9\\]' ') "
			  "printf 'HTTP/1.1 204 No\\r\\n\\r\\n' ;; esac",
		"/[1-9]", &a),
	    0);
	assert_int_equal(a.status, 204);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_wrong_urls),
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_what_is_no_head),
	    cmocka_unit_test(test_an_answer_without_end),
	    cmocka_unit_test(test_a_curl_without_end),
	    cmocka_unit_test(test_a_curl_that_says_too_much),
	    cmocka_unit_test(test_a_curl_that_asks_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
