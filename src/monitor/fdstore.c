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
static bool
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
	return notify_send_fd(n, text, fd);
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
		if (is_open(l, &s->at[i]) ||
		    !tell(n, "FDSTOREREMOVE", &s->at[i], -1))
			next.at[next.n++] = s->at[i];
	/* No room for one: when what could not be removed has gone. */
	for (size_t i = 0; i < l->n && next.n < CONFIG_LISTEN_MAX; i++) {
		const struct listener *each = &l->list[i];

		if (!each->inherited && !is_kept(s, &each->at) &&
		    tell(n, "FDSTORE", &each->at, each->fd))
			next.at[next.n++] = each->at;
	}
	*s = next;
}
