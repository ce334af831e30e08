/*
 * fdstore.c - listening sockets that systemd keeps for the next monitor
 *
 * Runs in the monitor.
 */
#include "monitor/fdstore.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "listen-"

bool
fdstore_is_name(const char *name)
{
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

/* A name may have any character but colons. */
static void
tell(
    const struct notify *n, const char *what, const struct endpoint *at, int fd)
{
	char shown[ENDPOINT_TEXT_SIZE], text[ENDPOINT_TEXT_SIZE + 64];

	endpoint_format(at, shown);
	for (char *c = shown; *c != '\0'; c++)
		if (*c == ':')
			*c = '_';
	(void)snprintf(
	    text, sizeof(text), "%s=1\nFDNAME=" PREFIX "%s", what, shown);
	notify_send_fd(n, text, fd);
}

static bool
is_kept(const struct fdstore *s, const struct endpoint *at)
{
	for (size_t i = 0; i < s->n; i++)
		if (endpoint_equal(&s->at[i], at))
			return true;
	return false;
}

static bool
is_open(const struct listeners *l, const struct endpoint *at)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->list[i].inherited && endpoint_equal(&l->list[i].at, at))
			return true;
	return false;
}

void
fdstore_take(struct fdstore *s, const struct listeners *inherited)
{
	for (size_t i = 0; i < inherited->n; i++)
		if (!inherited->list[i].inherited)
			s->at[s->n++] = inherited->list[i].at;
}

void
fdstore_update(
    struct fdstore *s, const struct notify *n, const struct listeners *l)
{
	struct fdstore next = {.n = 0};

	for (size_t i = 0; i < s->n; i++)
		if (!is_open(l, &s->at[i]))
			tell(n, "FDSTOREREMOVE", &s->at[i], -1);
	for (size_t i = 0; i < l->n; i++) {
		if (l->list[i].inherited)
			continue;
		if (!is_kept(s, &l->list[i].at))
			tell(n, "FDSTORE", &l->list[i].at, l->list[i].fd);
		next.at[next.n++] = l->list[i].at;
	}
	*s = next;
}
