/*
 * check_listen.c - `postal-tracker check`: whether each address can be
 * listened on, and who has it
 */
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/fd.h"
#include "cli/check.h"
#include "monitor/holder.h"
#include "monitor/listen.h"

static pid_t
parent_of(pid_t pid)
{
	char path[64], line[512];
	int parent = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f != NULL && parent == 0 && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "PPid: %d", &parent);
	if (f != NULL)
		(void)fclose(f);
	return (pid_t)parent;
}

/* Monitor or role of the daemon that this configuration is of. */
static bool
is_our_daemon(const struct check *k, const struct holder *h)
{
	pid_t daemon = ask_daemon(k->config);

	return daemon > 0 && (h->pid == daemon || parent_of(h->pid) == daemon);
}

/* Whoever holds the port for us; NULL: a stranger. */
static const char *
friend_of(const struct check *k, const struct holder *h)
{
	if (is_our_daemon(k, h))
		return "served by postal-tracker";
	/* Socket activation; whose unit it is, systemd knows. */
	if (h->pid == 1 && strcmp(h->name, "systemd") == 0)
		return "held by systemd for a .socket unit";
	return NULL;
}

static void
check_listener(struct check *k, const char *section, const struct endpoint *at)
{
	char shown[ENDPOINT_TEXT_SIZE];
	const char *by = NULL;
	struct holder h = {.pid = 0};
	struct err e;
	int fd = -1;

	endpoint_format(at, shown);
	if (listener_bind(at, section, &fd, &e) == 0) {
		check_say(k, "ok", "[%s] listen %s: free", section, shown);
		fd_close(&fd);
		return;
	}
	if (e.code == EADDRINUSE && holder_find(at, &h) == 0)
		by = friend_of(k, &h);
	if (by != NULL)
		check_say(k, "ok", "[%s] listen %s: %s (pid %d)", section,
		    shown, by, (int)h.pid);
	else if (e.code == EADDRINUSE && strcmp(h.name, "postal-tracker") == 0)
		check_say(k, "FAIL",
		    "[%s] listen %s: another postal-tracker (pid %d) has the "
		    "port, "
		    "which is not the one of [spool] socket %s; stop it, or "
		    "give one of both another address or port",
		    section, shown, (int)h.pid, k->config->spool.socket);
	else
		check_say(k, "FAIL", "[%s] listen %s", section, e.text);
}

struct listen_key {
	const char *section;
	const struct config_endpoints *list;
};

/* Whether one of them keeps the other from being bound. */
static bool
collide(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port &&
	       addr_is_v4(&a->addr) == addr_is_v4(&b->addr) &&
	       (addr_equal(&a->addr, &b->addr) || addr_is_any(&a->addr) ||
		   addr_is_any(&b->addr));
}

static void
check_collisions(struct check *k, const struct listen_key *one,
    const struct listen_key *other)
{
	char a[ENDPOINT_TEXT_SIZE], b[ENDPOINT_TEXT_SIZE];

	for (size_t i = 0; i < one->list->n; i++) {
		for (size_t j = one == other ? i + 1 : 0; j < other->list->n;
		     j++) {
			if (!collide(
				&one->list->list[i], &other->list->list[j]))
				continue;
			endpoint_format(&one->list->list[i], a);
			endpoint_format(&other->list->list[j], b);
			check_say(k, "FAIL",
			    "[%s] listen %s and [%s] listen %s are the same "
			    "port of one address; take one of them out",
			    one->section, a, other->section, b);
		}
	}
}

/* Whoever reaches the admin listener is told everything. */
static void
check_public(struct check *k, const struct endpoint *at)
{
	char shown[ENDPOINT_TEXT_SIZE];

	endpoint_format(at, shown);
	if (!check_is_private(&at->addr))
		check_say(k, "warn",
		    "[admin] listen %s: a public address, and whoever reaches "
		    "it reads the numbers and asks for tracking domains; use "
		    "127.0.0.1, or a firewall",
		    shown);
}

void
check_listeners(struct check *k)
{
	const struct listen_key keys[] = {
	    {"http", &k->config->http.listen},
	    {"https", &k->config->https.listen},
	    {"admin", &k->config->admin.listen},
	};

	if (keys[0].list->n == 0 && keys[1].list->n == 0)
		check_say(k, "FAIL",
		    "[http] listen names no address; write one, such as "
		    "0.0.0.0:80");
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		for (size_t j = 0; j < keys[i].list->n; j++)
			check_listener(
			    k, keys[i].section, &keys[i].list->list[j]);
		for (size_t j = 0; j <= i; j++)
			check_collisions(k, &keys[j], &keys[i]);
	}
	for (size_t i = 0; i < k->config->admin.listen.n; i++)
		check_public(k, &k->config->admin.listen.list[i]);
}
