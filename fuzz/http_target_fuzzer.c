/*
 * http_target_fuzzer.c - the token decoder on any bytes
 *
 * Property: it decides as the naive reference below, which is written from
 * the routes' description and not from the decoder.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz/demand.h"
#include "http/target.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The word that begins at `at`: its length. */
static size_t
word_at(const char *s, size_t at)
{
	return strspn(s + at,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789-");
}

struct guess {
	enum http_route route;
	size_t server, server_len, token, token_len;
};

static bool
is_img(const char *s, size_t len)
{
	return len == 3 && (s[0] | 32) == 'i' && (s[1] | 32) == 'm' &&
	       (s[2] | 32) == 'g';
}

#define CHALLENGES "/.well-known/acme-challenge/"
#define CHALLENGES_LEN (sizeof(CHALLENGES) - 1)

/* path: NUL-terminated, no query, no scheme. */
static struct guess
guess_path(const char *path)
{
	struct guess g = {.route = HTTP_ROUTE_OTHER};
	size_t at[3], len[3], n = 0, i = 0;

	if (strcmp(path, "/robots.txt") == 0) {
		g.route = HTTP_ROUTE_ROBOTS;
		return g;
	}
	if (strncmp(path, CHALLENGES, CHALLENGES_LEN) == 0) {
		g.route = HTTP_ROUTE_CHALLENGE;
		g.token = CHALLENGES_LEN;
		for (i = g.token; path[i] != '\0'; i++)
			if (path[i] != '_' && word_at(path, i) == 0)
				return g;
		if (i - g.token <= HTTP_CHALLENGE_TOKEN_MAX)
			g.token_len = i - g.token;
		return g;
	}
	while (n < 3 && path[i] == '/' && word_at(path, i + 1) > 0) {
		at[n] = i + 1;
		len[n] = word_at(path, i + 1);
		i += 1 + len[n];
		n++;
	}
	if (n == 3 && is_img(path + at[0], len[0]))
		return (struct guess){
		    HTTP_ROUTE_OPEN, at[1], len[1], at[2], len[2]};
	if (n >= 2)
		return (struct guess){
		    HTTP_ROUTE_CLICK, at[0], len[0], at[1], len[1]};
	return g;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_target t = http_target_decode((struct span){data, size});
	char *path = malloc(size + 1);
	size_t start = 0;
	struct guess g;

	demand(path != NULL);
	memcpy(path, data, size);
	path[size] = '\0';
	/* A request target never holds NUL; the reference ends there. */
	if (memchr(data, 0, size) != NULL) {
		free(path);
		return 0;
	}
	if (strncasecmp(path, "http://", 7) == 0)
		start = 7 + strcspn(path + 7, "/?");
	else if (strncasecmp(path, "https://", 8) == 0)
		start = 8 + strcspn(path + 8, "/?");
	path[start + strcspn(path + start, "?")] = '\0';
	g = guess_path(path + start);
	demand(t.route == g.route);
	if (g.route == HTTP_ROUTE_OPEN || g.route == HTTP_ROUTE_CLICK) {
		demand(t.server.p == data + start + g.server);
		demand(t.server.len == g.server_len);
		demand(t.token.p == data + start + g.token);
		demand(t.token.len == g.token_len);
	}
	if (g.route == HTTP_ROUTE_CHALLENGE) {
		demand(t.token.len == g.token_len);
		demand(g.token_len == 0 || t.token.p == data + start + g.token);
	}
	free(path);
	return 0;
}
