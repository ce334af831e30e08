/*
 * value.c - one value of tracker.conf: text to struct config and back
 *
 * Pure. A type is a row of the table `types`: how it is read, written and
 * described.
 */
#include "config/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/number.h"

/* How much of a wrong word stands in an error. */
#define SHOWN_MAX 80

/* Where the value stands in c. */
static void *
place_of(struct config *c, const struct config_directive *d)
{
	return (char *)c + d->offset;
}

static const void *
value_of(const struct config *c, const struct config_directive *d)
{
	return (const char *)c + d->offset;
}

static int
shown_len(struct span text)
{
	return text.len < SHOWN_MAX ? (int)text.len : SHOWN_MAX;
}

static int
outside_range(const struct config_directive *d, struct err *e)
{
	char range[CONFIG_RANGE_SIZE];

	config_format_range(d, range, sizeof(range));
	return err_set(e, "is outside the range %s", range);
}

/* --- yes or no, and one of several names -------------------------------- */

static int
parse_bool(struct config *c, const struct config_directive *d, struct span text,
    struct err *e)
{
	bool yes = span_equal(text, span_of("yes"));

	if (!yes && !span_equal(text, span_of("no")))
		return err_set(e, "is neither yes nor no");
	*(bool *)place_of(c, d) = yes;
	return 0;
}

static void
format_bool(
    const struct config *c, const struct config_directive *d, struct writer *w)
{
	writer_text(w, *(const bool *)value_of(c, d) ? "yes" : "no");
}

static void
describe_bool(const struct config_directive *d, struct writer *w)
{
	(void)d;
	writer_text(w, "yes or no");
}

static int
parse_choice(struct config *c, const struct config_directive *d,
    struct span text, struct err *e)
{
	char range[CONFIG_RANGE_SIZE];
	const struct config_choice_name *n;

	for (n = d->choices; n->name != NULL; n++) {
		if (span_equal(text, span_of(n->name))) {
			*(enum config_choice *)place_of(c, d) = n->value;
			return 0;
		}
	}
	config_format_range(d, range, sizeof(range));
	return err_set(e, "has to be %s", range);
}

static void
format_choice(
    const struct config *c, const struct config_directive *d, struct writer *w)
{
	writer_text(w,
	    config_choice_text(d, *(const enum config_choice *)value_of(c, d)));
}

static void
describe_choice(const struct config_directive *d, struct writer *w)
{
	const struct config_choice_name *n;

	for (n = d->choices; n->name != NULL; n++) {
		if (n != d->choices)
			writer_text(w, n[1].name == NULL ? " or " : ", ");
		writer_text(w, n->name);
	}
}

/* --- quantities --------------------------------------------------------- */

static void
number_format(uint64_t value, char text[NUMBER_TEXT_SIZE])
{
	(void)snprintf(text, NUMBER_TEXT_SIZE, "%" PRIu64, value);
}

static int
any_number_parse(struct span text, uint64_t *value)
{
	return number_parse(text, 0, UINT64_MAX, value);
}

static const struct quantity {
	int (*parse)(struct span text, uint64_t *value);
	void (*format)(uint64_t value, char text[NUMBER_TEXT_SIZE]);
	const char *complaint;
} quantities[] = {
    [CONFIG_NUMBER] = {any_number_parse, number_format, "is not a number"},
    [CONFIG_DURATION] = {duration_parse, duration_format,
	"is not a duration (250ms, 10s, 5m, 2h, 30d)"},
    [CONFIG_SIZE] = {size_parse, size_format,
	"is not a size (512, 16k, 64M, 2G)"},
};

static int
parse_quantity(struct config *c, const struct config_directive *d,
    struct span text, struct err *e)
{
	const struct quantity *q = &quantities[d->type];
	uint64_t value;

	if (q->parse(text, &value) != 0)
		return err_set(e, "%s", q->complaint);
	if (value < d->least || value > d->most)
		return outside_range(d, e);
	*(uint64_t *)place_of(c, d) = value;
	return 0;
}

static void
format_quantity(
    const struct config *c, const struct config_directive *d, struct writer *w)
{
	char text[NUMBER_TEXT_SIZE];

	quantities[d->type].format(*(const uint64_t *)value_of(c, d), text);
	writer_text(w, text);
}

static void
describe_quantity(const struct config_directive *d, struct writer *w)
{
	char text[NUMBER_TEXT_SIZE];

	quantities[d->type].format(d->least, text);
	writer_text(w, d->least == 0 ? "0" : text);
	writer_text(w, " to ");
	quantities[d->type].format(d->most, text);
	writer_text(w, text);
}

/* --- texts and paths ---------------------------------------------------- */

static int
copy_text(struct config *c, const struct config_directive *d, struct span text,
    struct err *e)
{
	int failed;

	if (text.len < d->least)
		return err_set(e, "may not be empty");
	if (text.len > d->most)
		return err_set(e, "is longer than %" PRIu64 " bytes", d->most);
	failed = span_to_text(text, place_of(c, d), (size_t)d->most + 1);
	assert(failed == 0);
	return 0;
}

static int
parse_text(struct config *c, const struct config_directive *d, struct span text,
    struct err *e)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] <= ' ' || text.p[i] == 0x7f ||
		    strchr("\"';", text.p[i]) != NULL)
			return err_set(
			    e, "may not hold spaces, quotes or semicolons");
	return copy_text(c, d, text, e);
}

static int
parse_path(struct config *c, const struct config_directive *d, struct span text,
    struct err *e)
{
	if (text.len > 0 && text.p[0] != '/')
		return err_set(
		    e, "is not an absolute path; it has to begin with /");
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < ' ' || text.p[i] == 0x7f)
			return err_set(e, "holds a control character");
	return copy_text(c, d, text, e);
}

static void
format_text(
    const struct config *c, const struct config_directive *d, struct writer *w)
{
	writer_text(w, value_of(c, d));
}

static void
describe_text(const struct config_directive *d, struct writer *w)
{
	writer_text(w, d->least > 0 ? "a name" : "a name, or empty");
}

static void
describe_path(const struct config_directive *d, struct writer *w)
{
	writer_text(w,
	    d->least > 0 ? "an absolute path" : "an absolute path, or empty");
}

/* --- lists -------------------------------------------------------------- */

/* The next word of rest; empty when there is none. */
static struct span
next_word(struct span *rest)
{
	struct span word = span_trim(*rest);
	size_t len = 0;

	while (len < word.len && word.p[len] != ' ' && word.p[len] != '\t')
		len++;
	*rest = (struct span){word.p, word.len - len};
	if (len > 0)
		rest->p += len;
	word.len = len;
	return word;
}

static int
too_many(const struct config_directive *d, struct err *e)
{
	return err_set(e, "has more than %" PRIu64 " elements", d->most);
}

static int
parse_endpoints(struct config *c, const struct config_directive *d,
    struct span text, struct err *e)
{
	struct config_endpoints *to = place_of(c, d);
	struct span word;

	while ((word = next_word(&text)).len > 0) {
		struct endpoint parsed;

		if (endpoint_parse(word, &parsed) != 0)
			return err_set(e,
			    "\"%.*s\" is not an address with a port "
			    "(0.0.0.0:80, [::]:80); several are separated by "
			    "spaces",
			    shown_len(word), (const char *)word.p);
		if (to->n >= d->most)
			return too_many(d, e);
		to->list[to->n++] = parsed;
	}
	return 0;
}

static void
format_endpoints(
    const struct config *c, const struct config_directive *d, struct writer *w)
{
	const struct config_endpoints *from = value_of(c, d);
	char text[ENDPOINT_TEXT_SIZE];

	for (size_t i = 0; i < from->n; i++) {
		endpoint_format(&from->list[i], text);
		writer_text(w, i > 0 ? " " : "");
		writer_text(w, text);
	}
}

static void
describe_endpoints(const struct config_directive *d, struct writer *w)
{
	(void)d;
	writer_text(w, "addresses with ports, separated by spaces");
}

static int
parse_networks(struct config *c, const struct config_directive *d,
    struct span text, struct err *e)
{
	struct config_networks *to = place_of(c, d);
	struct span word;

	while ((word = next_word(&text)).len > 0) {
		struct network parsed;

		if (network_parse(word, &parsed, e) != 0) {
			char cause[ERR_TEXT_SIZE];

			memcpy(cause, e->text, sizeof(cause));
			return err_set(e,
			    "\"%.*s\" %.300s; several are separated by spaces",
			    shown_len(word), (const char *)word.p, cause);
		}
		if (to->n >= d->most)
			return too_many(d, e);
		to->list[to->n++] = parsed;
	}
	return 0;
}

static void
format_networks(
    const struct config *c, const struct config_directive *d, struct writer *w)
{
	const struct config_networks *from = value_of(c, d);
	char text[NETWORK_TEXT_SIZE];

	for (size_t i = 0; i < from->n; i++) {
		network_format(&from->list[i], text);
		writer_text(w, i > 0 ? " " : "");
		writer_text(w, text);
	}
}

static void
describe_networks(const struct config_directive *d, struct writer *w)
{
	(void)d;
	writer_text(w, "addresses and networks, separated by spaces");
}

/* --- the types ---------------------------------------------------------- */

static const struct value_type {
	int (*parse)(struct config *c, const struct config_directive *d,
	    struct span text, struct err *e);
	void (*format)(const struct config *c, const struct config_directive *d,
	    struct writer *w);
	void (*describe)(const struct config_directive *d, struct writer *w);
} types[] = {
    [CONFIG_BOOL] = {parse_bool, format_bool, describe_bool},
    [CONFIG_NUMBER] = {parse_quantity, format_quantity, describe_quantity},
    [CONFIG_DURATION] = {parse_quantity, format_quantity, describe_quantity},
    [CONFIG_SIZE] = {parse_quantity, format_quantity, describe_quantity},
    [CONFIG_CHOICE] = {parse_choice, format_choice, describe_choice},
    [CONFIG_TEXT] = {parse_text, format_text, describe_text},
    [CONFIG_PATH] = {parse_path, format_text, describe_path},
    [CONFIG_ENDPOINTS] = {parse_endpoints, format_endpoints,
	describe_endpoints},
    [CONFIG_NETWORKS] = {parse_networks, format_networks, describe_networks},
};

bool
config_value_is_list(const struct config_directive *d)
{
	return d->type == CONFIG_ENDPOINTS || d->type == CONFIG_NETWORKS;
}

int
config_value_add(struct config *c, const struct config_directive *d,
    struct span text, struct err *e)
{
	return types[d->type].parse(c, d, span_trim(text), e);
}

void
config_value_clear(struct config *c, const struct config_directive *d)
{
	if (d->type == CONFIG_ENDPOINTS)
		((struct config_endpoints *)place_of(c, d))->n = 0;
	else if (d->type == CONFIG_NETWORKS)
		((struct config_networks *)place_of(c, d))->n = 0;
}

const struct config_endpoints *
config_value_endpoints(const struct config *c, const struct config_directive *d)
{
	return d->type == CONFIG_ENDPOINTS ? value_of(c, d) : NULL;
}

/* Ends the text that w wrote into whole, and copies what fits to text. */
static void
cut(const char *whole, char *text, size_t size)
{
	(void)snprintf(text, size, "%s", whole);
}

void
config_format_value(const struct config *c, const struct config_directive *d,
    char *text, size_t size)
{
	char whole[CONFIG_VALUE_SIZE];
	struct writer w = writer_of(whole, sizeof(whole) - 1);

	types[d->type].format(c, d, &w);
	assert(!w.full);
	whole[w.len] = '\0';
	cut(whole, text, size);
}

void
config_format_range(const struct config_directive *d, char *text, size_t size)
{
	char whole[CONFIG_RANGE_SIZE];
	struct writer w = writer_of(whole, sizeof(whole) - 1);

	types[d->type].describe(d, &w);
	assert(!w.full);
	whole[w.len] = '\0';
	cut(whole, text, size);
}

const char *
config_choice_text(const struct config_directive *d, enum config_choice value)
{
	const struct config_choice_name *n = d->choices;

	while (n->name != NULL && n->value != value)
		n++;
	return n->name != NULL ? n->name : "?";
}

void
config_defaults(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];
		struct err e;
		int failed = config_value_add(c, d, span_of(d->initial), &e);

		assert(failed == 0);
	}
}
