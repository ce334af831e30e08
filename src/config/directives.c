/*
 * directives.c - the table of everything that tracker.conf can say
 *
 * To add a key: a member in struct config, a row here, its lines in
 * tracker.conf (a test compares the two) and a test of what it does. Pure.
 */
#include "config/config.h"

#include <assert.h>
#include <stddef.h>

#include "base/array.h"

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)
#define TEXT_MOST (CONFIG_TEXT_SIZE - 1)
#define PATH_MOST (CONFIG_PATH_SIZE - 1)
/* sun_path of struct sockaddr_un, with its NUL, has 108 bytes. */
#define SOCKET_MOST 107

static const struct config_choice_name proxy_names[] = {
    {"no", CONFIG_PROXY_NO},
    {"yes", CONFIG_PROXY_YES},
    {"https", CONFIG_PROXY_HTTPS},
    {NULL, 0},
};

static const struct config_choice_name sandbox_names[] = {
    {"auto", CONFIG_SANDBOX_AUTO},
    {"required", CONFIG_SANDBOX_REQUIRED},
    {"best-effort", CONFIG_SANDBOX_BEST_EFFORT},
    {NULL, 0},
};

static const struct config_choice_name action_names[] = {
    {"trap", CONFIG_ACTION_TRAP},
    {"kill", CONFIG_ACTION_KILL},
    {NULL, 0},
};

static const struct config_choice_name durability_names[] = {
    {"sync", CONFIG_DURABILITY_SYNC},
    {"relaxed", CONFIG_DURABILITY_RELAXED},
    {NULL, 0},
};

static const struct config_choice_name mode_names[] = {
    {"standalone", CONFIG_MODE_STANDALONE},
    {"mysql", CONFIG_MODE_MYSQL},
    {NULL, 0},
};

static const struct config_choice_name level_names[] = {
    {"error", CONFIG_LEVEL_ERROR},
    {"warn", CONFIG_LEVEL_WARN},
    {"notice", CONFIG_LEVEL_NOTICE},
    {"info", CONFIG_LEVEL_INFO},
    {"debug", CONFIG_LEVEL_DEBUG},
    {NULL, 0},
};

static const struct config_choice_name access_names[] = {
    {"off", CONFIG_ACCESS_OFF},
    {"text", CONFIG_ACCESS_TEXT},
    {"json", CONFIG_ACCESS_JSON},
    {NULL, 0},
};

/* clang-format off: one shape for all rows. */
const struct config_directive config_directives[] = {
    {"http", "listen", CONFIG_ENDPOINTS, offsetof(struct config, http.listen),
	0, CONFIG_LISTEN_MAX, NULL, "0.0.0.0:80 [::]:80",
	"Where HTTP is answered."},
    {"http", "workers", CONFIG_NUMBER, offsetof(struct config, http.workers), 0,
	CONFIG_WORKERS_MAX, NULL, "0",
	"How many web processes share the work; 0 means one a core, at most "
	"64."},
    {"http", "public_address", CONFIG_TEXT,
	offsetof(struct config, http.public_address), 0, TEXT_MOST, NULL, "",
	"An address, or a name of some, that leads to this machine and is none "
	"of its own (NAT, a load balancer): tracking domains may lead there."},

    {"https", "listen", CONFIG_ENDPOINTS, offsetof(struct config, https.listen),
	0, CONFIG_LISTEN_MAX, NULL, "",
	"Where HTTPS is answered; empty means that there is none."},
    {"https", "certificates", CONFIG_PATH,
	offsetof(struct config, https.certificates), 0, PATH_MOST, NULL, "",
	"Directory of the certificates and their private keys."},
    {"https", "acme_challenges", CONFIG_PATH,
	offsetof(struct config, https.acme_challenges), 0, PATH_MOST, NULL, "",
	"Directory that an ACME client writes its HTTP challenges to; empty "
	"means that they are not answered."},
    {"https", "keepers", CONFIG_NUMBER, offsetof(struct config, https.keepers),
	1, 16, NULL, "1", "How many processes hold the private keys and sign."},
    {"https", "max_handshakes", CONFIG_NUMBER,
	offsetof(struct config, https.max_handshakes), 16, 65536, NULL, "1024",
	"How many TLS handshakes may be under way at the same time in each web "
	"process; further clients wait."},
    {"https", "handshake_timeout", CONFIG_DURATION,
	offsetof(struct config, https.handshake_timeout), SECOND / 10,
	10 * MINUTE, NULL, "10s", "How long a TLS handshake may take."},

    {"clients", "proxy_protocol", CONFIG_CHOICE,
	offsetof(struct config, clients.proxy_protocol), 0, 0, proxy_names,
	"no",
	"Whether trusted_proxies begin each connection with a PROXY protocol "
	"header (version 1 or 2): https, only on the ports of [https] listen."},
    {"clients", "trusted_proxies", CONFIG_NETWORKS,
	offsetof(struct config, clients.trusted_proxies), 0, CONFIG_TRUSTED_MAX,
	NULL, "",
	"The proxies whose PROXY header or X-Forwarded-For is believed; empty "
	"means none."},
    {"clients", "max_connections", CONFIG_NUMBER,
	offsetof(struct config, clients.max_connections), 1, 1000000, NULL,
	"10000",
	"How many connections may be open at the same time, all workers "
	"together."},
    {"clients", "max_connections_per_address", CONFIG_NUMBER,
	offsetof(struct config, clients.max_connections_per_address), 1, 65535,
	NULL, "500",
	"How many connections one client address (IPv6: one /64 network) may "
	"have open; trusted_proxies are exempt."},
    {"clients", "max_header_size", CONFIG_SIZE,
	offsetof(struct config, clients.max_header_size), KIB, 64 * KIB, NULL,
	"16k", "The largest request head; a larger one is answered with 431."},
    {"clients", "header_timeout", CONFIG_DURATION,
	offsetof(struct config, clients.header_timeout), SECOND / 10,
	10 * MINUTE, NULL, "10s",
	"How long a client may take to send a request head; then it is "
	"answered with 408."},
    {"clients", "idle_timeout", CONFIG_DURATION,
	offsetof(struct config, clients.idle_timeout), SECOND, HOUR, NULL,
	"30s", "How long a connection is kept open for the next request."},

    {"tracking", "count_head", CONFIG_BOOL,
	offsetof(struct config, tracking.count_head), 0, 0, NULL, "no",
	"Whether HEAD requests are recorded as opens and clicks."},

    {"sandbox", "sandbox", CONFIG_CHOICE,
	offsetof(struct config, sandbox.sandbox), 0, 0, sandbox_names, "auto",
	"Whether a process that cannot be locked up completely may run: "
	"required refuses, best-effort warns, auto is required when started "
	"as root."},
    {"sandbox", "action", CONFIG_CHOICE,
	offsetof(struct config, sandbox.action), 0, 0, action_names, "trap",
	"What a system call outside a role's policy does: trap names the call "
	"in the log and ends the process, kill ends it at once."},
    {"sandbox", "web_user", CONFIG_TEXT,
	offsetof(struct config, sandbox.web_user), 1, TEXT_MOST, NULL, "nobody",
	"The user, by name or number, that the web processes run as."},
    {"sandbox", "keeper_user", CONFIG_TEXT,
	offsetof(struct config, sandbox.keeper_user), 1, TEXT_MOST, NULL,
	"postal-tracker-keeper",
	"The user, by name or number, that the processes with the private "
	"keys run as."},
    {"sandbox", "store_user", CONFIG_TEXT,
	offsetof(struct config, sandbox.store_user), 1, TEXT_MOST, NULL,
	"postal-tracker-store",
	"The user, by name or number, that the process with the spool runs "
	"as."},
    {"sandbox", "binder", CONFIG_PATH, offsetof(struct config, sandbox.binder),
	0, SOCKET_MOST, NULL, "/run/postal-tracker/binder.sock",
	"The socket that ports are asked for where the service may not open "
	"them itself, as with the packaged units."},

    {"spool", "directory", CONFIG_PATH,
	offsetof(struct config, spool.directory), 1, PATH_MOST, NULL,
	"/var/lib/postal-tracker",
	"Where events and links are stored; made when it is missing."},
    {"spool", "socket", CONFIG_PATH, offsetof(struct config, spool.socket), 1,
	SOCKET_MOST, NULL, "/run/postal-tracker/store.sock",
	"The socket that the commands and the forwarder ask the store on."},
    {"spool", "durability", CONFIG_CHOICE,
	offsetof(struct config, spool.durability), 0, 0, durability_names,
	"sync",
	"When a reply leaves: sync waits until its event is on the disk, "
	"relaxed does not wait."},
    {"spool", "max_wait", CONFIG_DURATION,
	offsetof(struct config, spool.max_wait), 0, MINUTE, NULL, "250ms",
	"How long a reply waits for the disk at most; then it leaves and is "
	"counted as late."},
    {"spool", "max_size", CONFIG_SIZE, offsetof(struct config, spool.max_size),
	MIB, 16 * TIB, NULL, "1G",
	"How large the spool may grow; beyond that events are counted as "
	"lost and every visitor is still answered."},
    {"spool", "retention", CONFIG_DURATION,
	offsetof(struct config, spool.retention), SECOND, 36500 * DAY, NULL,
	"30d", "How long events are kept when [postal] mode is standalone."},

    {"postal", "mode", CONFIG_CHOICE, offsetof(struct config, postal.mode), 0,
	0, mode_names, "standalone",
	"Whether events stay here (standalone) or go to Postal's database "
	"(mysql)."},

    {"main_db", "host", CONFIG_TEXT, offsetof(struct config, main_db.host), 1,
	TEXT_MOST, NULL, "127.0.0.1",
	"The machine with Postal's main database."},
    {"main_db", "port", CONFIG_NUMBER, offsetof(struct config, main_db.port), 1,
	65535, NULL, "3306", "Its TCP port."},
    {"main_db", "socket", CONFIG_PATH, offsetof(struct config, main_db.socket),
	0, SOCKET_MOST, NULL, "",
	"A Unix socket to connect to instead of host and port."},
    {"main_db", "user", CONFIG_TEXT, offsetof(struct config, main_db.user), 1,
	TEXT_MOST, NULL, "postal", "The database user."},
    {"main_db", "password_file", CONFIG_PATH,
	offsetof(struct config, main_db.password_file), 0, PATH_MOST, NULL, "",
	"A file with that user's password on its first line; empty means "
	"that there is no password."},
    {"main_db", "database", CONFIG_TEXT,
	offsetof(struct config, main_db.database), 1, TEXT_MOST, NULL, "postal",
	"The name of the database."},
    {"main_db", "tls_ca", CONFIG_PATH, offsetof(struct config, main_db.tls_ca),
	0, PATH_MOST, NULL, "",
	"A file with the certificates of the authority that the server's "
	"certificate has to come from; empty means no TLS."},

    {"message_db", "host", CONFIG_TEXT,
	offsetof(struct config, message_db.host), 0, TEXT_MOST, NULL, "",
	"The machine with Postal's message databases; empty means as in "
	"[main_db]."},
    {"message_db", "port", CONFIG_NUMBER,
	offsetof(struct config, message_db.port), 0, 65535, NULL, "0",
	"Its TCP port; 0 means as in [main_db]."},
    {"message_db", "socket", CONFIG_PATH,
	offsetof(struct config, message_db.socket), 0, SOCKET_MOST, NULL, "",
	"A Unix socket to connect to instead of host and port; empty means as "
	"in [main_db], unless host is set."},
    {"message_db", "user", CONFIG_TEXT,
	offsetof(struct config, message_db.user), 0, TEXT_MOST, NULL, "",
	"The database user; empty means as in [main_db]."},
    {"message_db", "password_file", CONFIG_PATH,
	offsetof(struct config, message_db.password_file), 0, PATH_MOST, NULL,
	"",
	"A file with that user's password on its first line; empty means as "
	"in [main_db]."},
    {"message_db", "prefix", CONFIG_TEXT,
	offsetof(struct config, message_db.prefix), 1, TEXT_MOST, NULL,
	"postal",
	"What the names of the message databases begin with, before "
	"-server-1 and so on."},
    {"message_db", "tls_ca", CONFIG_PATH,
	offsetof(struct config, message_db.tls_ca), 0, PATH_MOST, NULL, "",
	"A file with the certificates of the authority that the server's "
	"certificate has to come from; empty means as in [main_db]."},

    {"links", "lookup_timeout", CONFIG_DURATION,
	offsetof(struct config, links.lookup_timeout), SECOND / 100, MINUTE,
	NULL, "2s",
	"How long a click on a link that is not known here waits for Postal's "
	"database."},
    {"links", "retention", CONFIG_DURATION,
	offsetof(struct config, links.retention), HOUR, 36500 * DAY, NULL,
	"90d", "How long links are kept here after Postal made them."},

    {"forwarder", "user", CONFIG_TEXT, offsetof(struct config, forwarder.user),
	1, TEXT_MOST, NULL, "postal-tracker-forwarder",
	"The user, by name or number, that the forwarder runs as."},
    {"forwarder", "batch", CONFIG_NUMBER,
	offsetof(struct config, forwarder.batch), 1, 5000, NULL, "500",
	"How many events go to the database in one transaction at most."},
    {"forwarder", "poll", CONFIG_DURATION,
	offsetof(struct config, forwarder.poll), SECOND / 20, MINUTE, NULL,
	"1s", "How often the database is asked for new links."},

    {"admin", "listen", CONFIG_ENDPOINTS, offsetof(struct config, admin.listen),
	0, CONFIG_LISTEN_MAX, NULL, "127.0.0.1:9092",
	"Where /health, /ready, /metrics and /tls-permission are answered, "
	"for those who watch; empty means nowhere."},

    {"log", "level", CONFIG_CHOICE, offsetof(struct config, log.level), 0, 0,
	level_names, "info", "The least important records that are logged."},
    {"log", "access", CONFIG_CHOICE, offsetof(struct config, log.access), 0, 0,
	access_names, "off",
	"Whether every request is logged, with the client's address: text is "
	"the combined format of other web servers, json an object a line."},
    {"log", "access_file", CONFIG_PATH,
	offsetof(struct config, log.access_file), 0, PATH_MOST, NULL, "",
	"The file that requests are logged to, opened anew at SIGUSR1 and at "
	"SIGHUP; empty means standard error, where the other records go."},
};
/* clang-format on */

const size_t config_n_directives = ARRAY_LENGTH(config_directives);

static_assert(ARRAY_LENGTH(config_directives) <= CONFIG_DIRECTIVES_MAX,
    "CONFIG_DIRECTIVES_MAX is too small");
