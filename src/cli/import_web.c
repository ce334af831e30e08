/*
 * import_web.c - `import-config`: listeners, proxies, the tracking domain
 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/number.h"
#include "cli/import_config.h"

#define LIST_SIZE 180

static bool
is_true(const char *text)
{
	return text != NULL &&
	       (strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 ||
		   strcasecmp(text, "on") == 0);
}

static const char *
text_of(struct import *im, const char *path)
{
	return import_text(im, import_find(im->file, path));
}

/* --- the Fast Server of 1.x -------------------------------------------- */

/* "192.0.2.1:80 [2001:db8::1]:80" of one address, or of a list. */
static bool
list_addresses(struct import *im, uint64_t port, char list[LIST_SIZE],
    const struct import_entry **first)
{
	size_t used = 0;

	*first = NULL;
	for (size_t i = 0; i < im->file->n; i++) {
		const struct import_entry *entry = &im->file->entries[i];
		const char *text;
		int n;

		if ((strcmp(entry->path, "fast_server.bind_address") != 0 &&
			strcmp(entry->path, "fast_server.bind_address[]") !=
			    0) ||
		    entry->kind == IMPORT_CONTAINER)
			continue;
		text = import_text(im, entry);
		if (text == NULL)
			continue;
		*first = *first == NULL ? entry : *first;
		n = snprintf(list + used, LIST_SIZE - used,
		    strchr(text, ':') != NULL ? "%s[%s]:%u" : "%s%s:%u",
		    used > 0 ? " " : "", text, (unsigned int)port);
		if (n < 0 || (size_t)n >= LIST_SIZE - used)
			return false;
		used += (size_t)n;
	}
	return true;
}

static uint64_t
port_of(struct import *im, const char *path, uint64_t otherwise)
{
	const struct import_entry *entry = import_find(im->file, path);
	const char *text = import_text(im, entry);
	char where[IMPORT_WHERE_SIZE];
	uint64_t port = otherwise;

	if (text != NULL &&
	    number_parse(span_of(text), 1, UINT16_MAX, &port) != 0) {
		import_place(im, entry, where);
		import_wrong(
		    im, where, "%s: \"%.40s\" is not a port", path, text);
	}
	return port;
}

static void
put_fast_listen(struct import *im)
{
	uint64_t port = port_of(im, "fast_server.port", 80);
	uint64_t tls = port_of(im, "fast_server.ssl_port", 443);
	const struct import_entry *first;
	char list[LIST_SIZE], where[IMPORT_WHERE_SIZE], from[160];

	if (!list_addresses(im, port, list, &first)) {
		import_comment(im, "http",
		    "fast_server.bind_address has too many addresses for one "
		    "line; write them here");
		return;
	}
	if (first == NULL) {
		import_comment(im, "http",
		    "fast_server.bind_address is missing; the default is all "
		    "addresses");
		return;
	}
	import_place(im, first, where);
	(void)snprintf(from, sizeof(from),
	    "%s:%u, fast_server.bind_address and port", im->name, first->line);
	import_put(im, "http", "listen", list, where, from);
	(void)list_addresses(im, tls, list, &first);
	import_comment(im, "https",
	    "fast_server.ssl_port: once there are certificates (CERTIFICATES "
	    "in postal-tracker(8)):");
	import_comment(im, NULL, "#listen = %s", list);
	import_comment(im, NULL,
	    "#certificates = /var/lib/postal-tracker-acme/certificates");
}

/* Postal asks every peer for the header; here proxies are named. */
static void
put_fast_proxy(struct import *im)
{
	const struct import_entry *entry =
	    import_find(im->file, "fast_server.proxy_protocol");
	char from[160];

	if (!is_true(import_text(im, entry)))
		return;
	(void)snprintf(from, sizeof(from), "%s:%u, fast_server.proxy_protocol",
	    im->name, entry->line);
	import_put(im, "clients", "proxy_protocol", "yes", from, from);
	import_comment(im, NULL,
	    "Only proxies that are named below are believed: add their "
	    "addresses.");
}

static void
put_behind_proxy(struct import *im)
{
	import_comment(im, "http",
	    "Postal answered tracking behind its web server. Behind the same "
	    "proxy, listen here");
	import_comment(im, NULL,
	    "and point the proxy's upstream of the tracking domains to it:");
	import_comment(im, NULL, "#listen = 127.0.0.1:5010");
}

static void
put_fast_server(struct import *im)
{
	if (is_true(text_of(im, "fast_server.enabled"))) {
		put_fast_listen(im);
		put_fast_proxy(im);
	} else {
		put_behind_proxy(im);
	}
}

/* --- proxies ----------------------------------------------------------- */

/* Ruby takes 10.0.0.1/8 for 10.0.0.0/8; here bits behind the prefix are a
 * typing error. */
static int
parse_network(const char *text, struct network *n, struct err *e)
{
	const char *slash = strchr(text, '/');
	uint64_t prefix;

	if (network_parse(span_of(text), n, e) == 0)
		return 0;
	if (slash == NULL ||
	    addr_parse(
		(struct span){(const uint8_t *)text, (size_t)(slash - text)},
		&n->addr) != 0 ||
	    number_parse(span_of(slash + 1), 0, addr_is_v4(&n->addr) ? 32 : 128,
		&prefix) != 0)
		return -1;
	n->prefix = (uint8_t)(prefix + (addr_is_v4(&n->addr) ? 96 : 0));
	for (unsigned int i = n->prefix; i < 128; i++)
		n->addr.ip[i / 8] &= (uint8_t) ~(0x80U >> (i % 8));
	return 0;
}

struct proxies {
	char list[4096];
	size_t used;
};

static void
add_proxy(
    struct import *im, struct proxies *p, const char *text, const char *where)
{
	char shown[NETWORK_TEXT_SIZE];
	struct network n;
	struct err e;

	if (parse_network(text, &n, &e) != 0) {
		import_wrong(im, where,
		    "trusted_proxies: \"%.60s\" is not an address or network",
		    text);
		return;
	}
	network_format(&n, shown);
	/* There already. */
	if (strcmp(shown, "127.0.0.1") == 0 || strcmp(shown, "::1") == 0)
		return;
	if (p->used + strlen(shown) + 16 > sizeof(p->list)) {
		import_wrong(im, where, "trusted_proxies: too many of them");
		return;
	}
	/* A line each: lines are short. */
	p->used += (size_t)snprintf(
	    p->list + p->used, sizeof(p->list) - p->used, "\n    %s", shown);
}

static void
add_from_environment(struct import *im, struct proxies *p, const char *set)
{
	char *copy = strdup(set), *state = NULL;

	for (char *one = copy == NULL ? NULL : strtok_r(copy, ", ", &state);
	     one != NULL; one = strtok_r(NULL, ", ", &state))
		add_proxy(im, p, one, "POSTAL_TRUSTED_PROXIES");
	free(copy);
}

static void
add_from_file(struct import *im, struct proxies *p)
{
	char where[IMPORT_WHERE_SIZE];

	for (size_t i = 0; im->file != NULL && i < im->file->n; i++) {
		const struct import_entry *entry = &im->file->entries[i];
		const char *text;

		if (strcmp(entry->path, "postal.trusted_proxies[]") != 0)
			continue;
		text = import_text(im, entry);
		import_place(im, entry, where);
		if (text != NULL)
			add_proxy(im, p, text, where);
	}
}

static void
put_proxies(struct import *im)
{
	const char *set = getenv("POSTAL_TRUSTED_PROXIES");
	struct proxies p = {.used = 0};

	if (im->format != 1 && set != NULL && set[0] != '\0')
		add_from_environment(im, &p, set);
	else if (im->format == 2)
		add_from_file(im, &p);
	import_comment(im, "clients",
	    "Postal believes a proxy on its own machine, and%s; fd00::/8 too "
	    "since 3.1.",
	    p.used > 0 ? " postal.trusted_proxies" : " (3.x) no other one");
	(void)fprintf(im->out, "trusted_proxies = 127.0.0.1 ::1%.*s\n",
	    (int)p.used, p.list);
}

/* --- the tracking domain ----------------------------------------------- */

static void
put_track_domain(struct import *im)
{
	static const char bytes[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	const char *set = getenv("DNS_TRACK_DOMAIN");
	const char *text = text_of(im, "dns.track_domain");

	if (im->format != 1 && set != NULL && set[0] != '\0')
		text = set;
	if (text == NULL || text[0] == '\0' || strlen(text) > 100 ||
	    text[strspn(text, bytes)] != '\0')
		return;
	(void)fprintf(im->out, "\n");
	import_comment(im, NULL,
	    "dns.track_domain, which tracking domains are a CNAME of, has no "
	    "key here:");
	import_comment(
	    im, NULL, "`postal-tracker domains` takes --target %s", text);
}

void
import_put_web(struct import *im)
{
	if (im->format == 1)
		put_fast_server(im);
	else
		put_behind_proxy(im);
	put_proxies(im);
	put_track_domain(im);
}
