/*
 * suggest.c - the nearest name to one that nobody knows
 *
 * Pure. Names in tracker.conf are typed by people; an error that names what
 * was probably meant saves a look into the manual.
 */
#include "config/internal.h"

#include <string.h>

#define NAME_MAX_LEN 48
#define SHOWN_MAX 60

static size_t
least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, one row at a time; names are short. */
static size_t
distance(struct span a, struct span b)
{
	size_t row[NAME_MAX_LEN + 1];

	if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 0; i < a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b.len; j++) {
			size_t change = diagonal + (a.p[i] != b.p[j]);

			diagonal = row[j + 1];
			row[j + 1] =
			    least_of(change, least_of(row[j], row[j + 1]) + 1);
		}
	}
	return row[b.len];
}

/* Whether so many changes are still a slip and not another word. */
static bool
is_near(size_t changes, const char *name)
{
	return changes <= (strlen(name) + 2) / 3;
}

static bool
is_new_section(size_t i)
{
	return i == 0 || strcmp(config_directives[i].section,
			     config_directives[i - 1].section) != 0;
}

void
config_unknown_section(struct span section, struct err *e)
{
	int len = (int)least_of(section.len, SHOWN_MAX);
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	char all[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < config_n_directives; i++) {
		const char *name = config_directives[i].section;
		size_t changes = distance(section, span_of(name));

		if (is_near(changes, name) && changes < best) {
			best = changes;
			nearest = name;
		}
		if (is_new_section(i) && used < sizeof(all))
			used += (size_t)snprintf(all + used, sizeof(all) - used,
			    "%s[%s]", i == 0 ? "" : " ", name);
	}
	if (nearest != NULL)
		(void)err_set(e,
		    "[%.*s]: there is no such section; did you mean [%s]?", len,
		    (const char *)section.p, nearest);
	else
		(void)err_set(e,
		    "[%.*s]: there is no such section; there are %s", len,
		    (const char *)section.p, all);
}

void
config_unknown_key(const char *section, const char *key, struct err *e)
{
	const char *nearest = NULL, *elsewhere = NULL;
	size_t best = SIZE_MAX;
	char all[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];
		size_t changes = distance(span_of(key), span_of(d->key));

		if (changes == 0 && elsewhere == NULL)
			elsewhere = d->section;
		if (strcmp(d->section, section) != 0)
			continue;
		if (used < sizeof(all))
			used += (size_t)snprintf(all + used, sizeof(all) - used,
			    "%s%s", used == 0 ? "" : ", ", d->key);
		if (is_near(changes, d->key) && changes < best) {
			best = changes;
			nearest = d->key;
		}
	}
	if (elsewhere != NULL)
		(void)err_set(e,
		    "[%s] %.*s: there is no such key here; it belongs to [%s]",
		    section, SHOWN_MAX, key, elsewhere);
	else if (nearest != NULL)
		(void)err_set(e,
		    "[%s] %.*s: there is no such key; did you mean %s?",
		    section, SHOWN_MAX, key, nearest);
	else
		(void)err_set(e,
		    "[%s] %.*s: there is no such key; there are %s", section,
		    SHOWN_MAX, key, all);
}
