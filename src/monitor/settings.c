/*
 * settings.c - tracker.conf as the messages that roles get
 *
 * Pure but for looking up users and counting cores.
 */
#include "monitor/settings.h"

#include <assert.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "http/access.h"

/* A visitor of a morning is known until the evening. */
#define SESSION_LIFE_S (12 * 3600)

int
users_find(const struct config *c, struct users *u, struct err *e)
{
	if (config_user_find(c->sandbox.web_user, &u->web, e) != 0 ||
	    config_user_find(c->sandbox.keeper_user, &u->keeper, e) != 0 ||
	    config_user_find(c->sandbox.store_user, &u->store, e) != 0 ||
	    config_user_find(c->forwarder.user, &u->forwarder, e) != 0)
		return -1;
	return 0;
}

static struct ipc_list
trusted_list(const struct config *c, uint8_t bytes[SETTINGS_TRUSTED_SIZE])
{
	const struct config_networks *networks = &c->clients.trusted_proxies;
	struct writer w = writer_of(bytes, SETTINGS_TRUSTED_SIZE);

	for (size_t i = 0; i < networks->n; i++) {
		struct ipc_network row = {.prefix = networks->list[i].prefix};
		int failed;

		memcpy(row.ip, networks->list[i].addr.ip, sizeof(row.ip));
		failed = ipc_put(&w, &ipc_network_record, &row);
		assert(failed == 0);
	}
	return (struct ipc_list){(uint16_t)networks->n, writer_span(&w)};
}

static uint8_t
durability(const struct config *c)
{
	return c->spool.durability == CONFIG_DURABILITY_RELAXED
		   ? IPC_DURABILITY_RELAXED
		   : IPC_DURABILITY_SYNC;
}

static uint8_t
proxy(const struct config *c)
{
	switch (c->clients.proxy_protocol) {
	case CONFIG_PROXY_YES:
		return IPC_PROXY_ALL;
	case CONFIG_PROXY_HTTPS:
		return IPC_PROXY_HTTPS;
	default:
		return IPC_PROXY_NONE;
	}
}

static uint8_t
access_format(const struct config *c)
{
	switch (c->log.access) {
	case CONFIG_ACCESS_TEXT:
		return HTTP_ACCESS_TEXT;
	case CONFIG_ACCESS_JSON:
		return HTTP_ACCESS_JSON;
	default:
		return HTTP_ACCESS_OFF;
	}
}

struct ipc_web_settings
settings_for_web(const struct config *c, unsigned int workers,
    uint8_t trusted[SETTINGS_TRUSTED_SIZE])
{
	uint64_t share = (c->clients.max_connections + workers - 1) / workers;

	return (struct ipc_web_settings){
	    .workers = (uint16_t)workers,
	    .session_life_s = SESSION_LIFE_S,
	    .handshakes_max = (uint32_t)c->https.max_handshakes,
	    .handshake_timeout_ms = (uint32_t)c->https.handshake_timeout,
	    .access = access_format(c),
	    .count_head = c->tracking.count_head,
	    .proxy_protocol = proxy(c),
	    .durability = durability(c),
	    .max_wait_ms = (uint32_t)c->spool.max_wait,
	    .max_connections = (uint32_t)share,
	    .max_connections_per_address =
		(uint32_t)c->clients.max_connections_per_address,
	    .max_header_size = (uint32_t)c->clients.max_header_size,
	    .header_timeout_ms = (uint32_t)c->clients.header_timeout,
	    .idle_timeout_ms = (uint32_t)c->clients.idle_timeout,
	    .lookup_timeout_ms = (uint32_t)c->links.lookup_timeout,
	    .trusted = trusted_list(c, trusted),
	};
}

struct ipc_store_settings
settings_for_store(const struct config *c, const struct users *u)
{
	/* Not started as root, every role runs as whoever started it. */
	bool root = geteuid() == 0;

	return (struct ipc_store_settings){
	    .mode = c->postal.mode == CONFIG_MODE_MYSQL ? IPC_MODE_MYSQL
							: IPC_MODE_STANDALONE,
	    .durability = durability(c),
	    .max_size = c->spool.max_size,
	    .retention_ms = c->spool.retention,
	    .lookup_timeout_ms = (uint32_t)c->links.lookup_timeout,
	    .store_uid = root ? u->store.uid : geteuid(),
	    .forwarder_uid = u->forwarder.uid,
	    .log_level = settings_log_level(c),
	};
}

uint8_t
settings_log_level(const struct config *c)
{
	switch (c->log.level) {
	case CONFIG_LEVEL_ERROR:
		return LOG_LEVEL_ERR;
	case CONFIG_LEVEL_WARN:
		return LOG_LEVEL_WARN;
	case CONFIG_LEVEL_NOTICE:
		return LOG_LEVEL_NOTICE;
	case CONFIG_LEVEL_DEBUG:
		return LOG_LEVEL_DEBUG;
	default:
		return LOG_LEVEL_INFO;
	}
}

uint64_t
settings_monitor_fds(const struct config *c)
{
	/* Twice: during a reload the old ones are there, too. */
	return 80 +
	       2 * (c->http.listen.n + c->https.listen.n + c->admin.listen.n) +
	       2 * (settings_workers(c) + c->https.keepers);
}

uint64_t
settings_descriptors(const struct config *c)
{
	unsigned int workers = settings_workers(c);
	uint64_t worker = (c->clients.max_connections + workers - 1) / workers +
			  SETTINGS_WORKER_FDS;
	uint64_t monitor = 2 * IPC_PAIRS_MAX + settings_monitor_fds(c);

	return worker > monitor ? worker : monitor;
}

unsigned int
settings_workers(const struct config *c)
{
	cpu_set_t cores;
	int n = 1;

	if (c->http.workers > 0)
		return (unsigned int)c->http.workers;
	if (sched_getaffinity(0, sizeof(cores), &cores) == 0)
		n = CPU_COUNT(&cores);
	if (n > CONFIG_WORKERS_MAX)
		n = CONFIG_WORKERS_MAX;
	return n < 1 ? 1 : (unsigned int)n;
}
