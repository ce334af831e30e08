/*
 * check_tracking.c - `postal-tracker check`: Postal's own opinion of its
 * tracking domains
 *
 * Postal looks at their DNS once an hour. As long as it does not call a
 * domain OK, it sends mail of that domain without any tracking, and says so
 * nowhere but in its web interface.
 */
#include <stdio.h>

#include "cli/check_mysql.h"

/* More of them are a line together. */
#define LINES_MOST 20

static const char text[] =
    "SELECT CONCAT(t.name, '.', d.name), IFNULL(t.dns_status, ''),"
    " REPLACE(IFNULL(t.dns_error, ''), '; ', ', ')"
    " FROM track_domains t JOIN domains d ON d.id = t.domain_id"
    " WHERE IFNULL(t.dns_status, '') <> 'OK' ORDER BY 1, t.id";

static void
say_domain(struct check_mysql *m, const struct sql_cell *cells)
{
	if (cells[1].text.len == 0)
		check_say(m->k, "warn",
		    "tracking domain %.*s: Postal has not looked at its DNS "
		    "yet, and does not track its mail before; press Check DNS "
		    "for it in Postal's web interface",
		    (int)cells[0].text.len, (const char *)cells[0].text.p);
	else
		check_say(m->k, "warn",
		    "tracking domain %.*s: Postal calls its DNS %.*s and does "
		    "not track its mail%s%.*s; set the CNAME to "
		    "dns.track_domain "
		    "of postal.yml, then press Check DNS in Postal's web "
		    "interface",
		    (int)cells[0].text.len, (const char *)cells[0].text.p,
		    (int)cells[1].text.len, (const char *)cells[1].text.p,
		    cells[2].text.len > 0 ? ": " : "", (int)cells[2].text.len,
		    (const char *)cells[2].text.p);
}

void
check_tracking_domains(struct check_mysql *m)
{
	struct sql_statement s;
	struct err e = {.text = ""};
	size_t n = 0;
	int got = -1;

	if (database_query(m->d.main, text, NULL, 0, &s, &e) == 0)
		while ((got = sql_fetch(&s, &e)) == 1)
			if (n++ < LINES_MOST)
				say_domain(m, s.cells);
	if (n > LINES_MOST)
		check_say(m->k, "warn",
		    "tracking domains: %zu more are not OK for Postal; see "
		    "dns_status in its table track_domains",
		    n - LINES_MOST);
	/* A missing grant, table or column was said before. */
	if (got == 0 && n == 0)
		check_say(m->k, "ok",
		    "tracking domains: Postal calls the DNS of all of them "
		    "OK");
	sql_statement_clear(&s);
}
