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

/*
 * What may hold an address of ours; false: a stranger does. Asked is the
 * kernel: what a store says of ports is what the store says, and an address
 * may be of another network.
 */
static bool
say_friend(struct check *k, const char *section, const char *shown,
    const struct holder *h)
{
	pid_t daemon = ask_daemon(k->config);

	if (daemon > 0 && holder_has(h, daemon)) {
		check_say(k, "ok",
		    "[%s] listen %s: served by postal-tracker (pid %d)%s",
		    section, shown, (int)daemon,
		    h->by_systemd ? ", kept by systemd" : "");
		return true;
	}
	if (!h->by_systemd || h->pid != 1)
		return false;
	if (daemon > 0)
		/* systemd starts no socket for a service that runs. */
		check_say(k, "FAIL",
		    "[%s] listen %s: held by systemd for a .socket unit that "
		    "is not the running daemon's; `systemctl list-sockets` "
		    "names it: stop it, or choose another [%s] listen",
		    section, shown, section);
	else
		/* Whose unit it is, systemd knows. */
		check_say(k, "warn",
		    "[%s] listen %s: held by systemd for a .socket unit; "
		    "`systemctl list-sockets` names it: it has to be "
		    "postal-tracker.socket",
		    section, shown);
	return true;
}

static void
check_listener(struct check *k, const char *section, const struct endpoint *at)
{
	char shown[ENDPOINT_TEXT_SIZE];
	struct holder h = {.pid = 0};
	struct err e;
	int fd = -1;

	endpoint_format(at, shown);
	if (listener_bind(at, section, &fd, &e) == 0) {
		check_say(k, "ok", "[%s] listen %s: free", section, shown);
		fd_close(&fd);
		return;
	}
	if (e.code == EADDRINUSE && holder_find(at, &h) == 0 &&
	    say_friend(k, section, shown, &h))
		return;
	if (e.code == EADDRINUSE && strcmp(h.name, "postal-tracker") == 0)
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
