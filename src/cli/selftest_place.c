/*
 * selftest_place.c - `postal-tracker selftest`: where to ask when nobody says
 */
#include "cli/selftest.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* An address to connect to for one that is listened on. */
static struct endpoint
reachable(const struct endpoint *listened)
{
	struct endpoint at = *listened;

	if (addr_is_any(&at.addr))
		(void)addr_parse(
		    span_of(addr_is_v4(&at.addr) ? "127.0.0.1" : "::1"),
		    &at.addr);
	return at;
}

/* A connection to oneself comes from the same address. */
static bool
is_trusted(const struct config *c, const struct endpoint *at)
{
	return networks_contain(c->clients.trusted_proxies.list,
	    c->clients.trusted_proxies.n, &at->addr);
}

static void
place_http(const struct config *c, struct visit_place *place)
{
	place->direct = reachable(&c->http.listen.list[0]);
	place->port = 80;
	(void)snprintf(place->host, sizeof(place->host), "localhost");
	place->proxy_header = c->clients.proxy_protocol == CONFIG_PROXY_YES &&
			      is_trusted(c, &place->direct);
}

/* Security: an ACME user chose the name, and it goes into a URL for curl, which
 * takes braces and brackets for a pattern of many. */
static bool
is_host(const char *name)
{
	struct visit_place place;
	char url[VISIT_URL_SIZE];
	struct err e;

	(void)snprintf(url, sizeof(url), "https://%.*s", VISIT_HOST_SIZE, name);
	return visit_parse(url, &place, &e) == 0 &&
	       strcmp(place.host, name) == 0;
}

/* The first name, bytewise, that has a pair. */
static int
find_name(const char *directory, char *name, size_t size)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	name[0] = '\0';
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < size &&
		    strcmp(entry->d_name, "README") != 0 &&
		    is_host(entry->d_name) &&
		    (name[0] == '\0' || strcmp(entry->d_name, name) < 0))
			(void)snprintf(name, size, "%s", entry->d_name);
	if (dir != NULL)
		(void)closedir(dir);
	return name[0] == '\0' ? -1 : 0;
}

static int
place_https(const struct config *c, struct visit_place *place, struct err *e)
{
	place->https = true;
	place->direct = reachable(&c->https.listen.list[0]);
	place->port = 443;
	if (c->clients.proxy_protocol != CONFIG_PROXY_NO &&
	    is_trusted(c, &place->direct))
		return err_set(e,
		    "HTTPS behind PROXY headers can only be asked through the "
		    "proxy; give --url https://NAME");
	if (find_name(
		c->https.certificates, place->host, sizeof(place->host)) != 0)
		return err_set(e,
		    "no name has a certificate in [https] certificates; give "
		    "--url https://NAME");
	return 0;
}

int
selftest_place(const struct config *c, const char *url,
    struct visit_place *place, struct err *e)
{
	*place = (struct visit_place){.https = false};
	if (url != NULL)
		return visit_parse(url, place, e);
	if (c->http.listen.n > 0) {
		place_http(c, place);
		return 0;
	}
	if (c->https.listen.n > 0)
		return place_https(c, place, e);
	return err_set(e, "[http] listen names no address");
}
