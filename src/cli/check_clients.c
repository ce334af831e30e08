/*
 * check_clients.c - `postal-tracker check`: whether visitors' addresses get
 * here, or that of a proxy in their place
 */
#include <inttypes.h>
#include <string.h>

#include "cli/check.h"
#include "ipc/counter.h"

/* Fewer may well be one person who tries it out. */
#define EVENTS_LEAST 20

static void
say_one_address(struct check *k, const struct ipc_clients *c)
{
	const struct config_networks *trusted =
	    &k->config->clients.trusted_proxies;
	char shown[ADDR_TEXT_SIZE];
	struct addr a;

	memcpy(a.ip, c->ip, sizeof(a.ip));
	addr_format(&a, shown);
	if (c->n < EVENTS_LEAST || !check_is_private(&a))
		check_say(k, "ok", "clients: not all of one private address");
	else if (!networks_contain(trusted->list, trusted->n, &a))
		check_say(k, "warn",
		    "clients: the last %" PRIu64
		    " opens and clicks all came from %s, which looks like a "
		    "proxy whose word about its visitors is not believed; set "
		    "[clients] trusted_proxies = %s",
		    c->n, shown, shown);
	else if (k->config->clients.proxy_protocol == CONFIG_PROXY_YES)
		check_say(k, "warn",
		    "clients: the last %" PRIu64
		    " opens and clicks came from the proxy %s itself, which "
		    "does not say for whom; have it send PROXY headers "
		    "(haproxy: `send-proxy-v2`)",
		    c->n, shown);
	else
		check_say(k, "warn",
		    "clients: the last %" PRIu64
		    " opens and clicks came from the proxy %s itself, which "
		    "does not say for whom; have it send X-Forwarded-For "
		    "(nginx: `proxy_set_header X-Forwarded-For "
		    "$proxy_add_x_forwarded_for`)",
		    c->n, shown);
}

void
check_clients(struct check *k, struct ask *a)
{
	struct ipc_clients_get get = {0};
	struct ipc_received answer;
	struct err e;

	if (ask(a, IPC_CLIENTS_GET, &get, IPC_CLIENTS, &answer, &e) == 0)
		say_one_address(k, &answer.body.clients);
	else
		check_say(k, "warn",
		    "clients: %s; restart the daemon after an upgrade", e.text);
}

void
check_proxy_headers(struct check *k, const struct ipc_status *s)
{
	uint64_t strange =
	    ask_counter(&s->counters, COUNTER_PROXY_HEADERS_UNEXPECTED);
	uint64_t bad = ask_counter(&s->counters, COUNTER_PROXY_HEADERS_BAD);

	if (strange > 0)
		check_say(k, "warn",
		    "[clients] proxy_protocol: %" PRIu64
		    " connections began with a PROXY header that was not "
		    "expected and were refused; set proxy_protocol = yes, and "
		    "the proxy's address in trusted_proxies",
		    strange);
	if (bad > 0)
		check_say(k, "warn",
		    "[clients] proxy_protocol: %" PRIu64
		    " connections of trusted_proxies had no proper PROXY "
		    "header; have the proxy send it (haproxy: "
		    "`send-proxy-v2`), or set proxy_protocol = no",
		    bad);
}
