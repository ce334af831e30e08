/*
 * options.c - options of the commands
 *
 * To add one: a letter in internal.h, a row of long_options, and a row of flags
 * or texts, or a line in set_option.
 */
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/number.h"
#include "cli/internal.h"

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"json", no_argument, NULL, OPTION_JSON},
    {"follow", no_argument, NULL, OPTION_FOLLOW},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"server", required_argument, NULL, OPTION_SERVER},
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"needing", no_argument, NULL, OPTION_NEEDING},
    {"state", required_argument, NULL, OPTION_STATE},
    {"target", required_argument, NULL, OPTION_TARGET},
    {"url", required_argument, NULL, OPTION_URL},
    {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
    {"show-password", no_argument, NULL, OPTION_SHOW_PASSWORD},
    {"all", no_argument, NULL, OPTION_ALL},
    {"watch", optional_argument, NULL, OPTION_WATCH},
    {NULL, 0, NULL, 0},
};

/* Those that only say yes. */
static const struct {
	int option;
	size_t offset; /* of a bool in struct options */
} flags[] = {
    {OPTION_JSON, offsetof(struct options, json)},
    {OPTION_FOLLOW, offsetof(struct options, follow)},
    {OPTION_NEEDING, offsetof(struct options, needing)},
    {OPTION_SHOW_PASSWORD, offsetof(struct options, show_password)},
    {OPTION_ALL, offsetof(struct options, all)},
    {OPTION_WATCH, offsetof(struct options, watch)},
};

/* Those whose value is taken as it is. */
static const struct {
	int option;
	size_t offset; /* of a const char * in struct options */
} texts[] = {
    {OPTION_CONFIG, offsetof(struct options, config)},
    {OPTION_SERVER, offsetof(struct options, server)},
    {OPTION_TOKEN, offsetof(struct options, token)},
    {OPTION_STATE, offsetof(struct options, state)},
    {OPTION_URL, offsetof(struct options, url)},
    {OPTION_PASSWORD_FILE, offsetof(struct options, password_file)},
};

static int
set_option(struct options *o, int option, const char *value)
{
	char *at = (char *)o;

	for (size_t i = 0; i < ARRAY_LENGTH(flags); i++)
		if (flags[i].option == option)
			*(bool *)(void *)(at + flags[i].offset) = true;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		if (texts[i].option == option)
			*(const char **)(void *)(at + texts[i].offset) = value;
	if (option == OPTION_SINCE)
		return number_parse(span_of(value), 0, INT64_MAX, &o->since);
	if (option == OPTION_WATCH && value != NULL)
		return number_parse(
		    span_of(value), 1, OPTION_WATCH_MAX, &o->watch_seconds);
	if (option == OPTION_TARGET) {
		if (o->n_targets == OPTION_TARGETS_MAX)
			return -1;
		o->targets[o->n_targets++] = value;
	}
	return 0;
}

int
options_parse(struct options *o, int argc, char **argv, unsigned int allowed)
{
	char what[256];
	int option;

	*o = (struct options){0};
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":c:", long_options, NULL)) !=
	       -1) {
		if (option == 'c')
			option = OPTION_CONFIG;
		if (option == '?' || option == ':' ||
		    ((unsigned int)option & allowed) == 0) {
			(void)snprintf(what, sizeof(what),
			    option == ':' ? "%s needs a value"
					  : "there is no option %s here",
			    argv[optind - 1]);
			(void)cli_usage_error(argv[0], what);
			return -1;
		}
		if (set_option(o, option, optarg) != 0) {
			(void)snprintf(what, sizeof(what),
			    option == OPTION_TARGET
				? "\"%s\" is one --target too many"
			    : option == OPTION_WATCH
				? "\"%s\": --watch takes whole seconds, from 1 "
				  "to 86400"
				: "\"%s\" is not a sequence number",
			    optarg);
			(void)cli_usage_error(argv[0], what);
			return -1;
		}
	}
	o->rest = argv + optind;
	o->n_rest = argc - optind;
	if (o->n_rest > 0 && (allowed & OPTION_REST) == 0) {
		(void)cli_usage_error(argv[0], "takes no arguments");
		return -1;
	}
	return 0;
}

struct config *
options_load_config(const struct options *o, struct config_origins *origins)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *c = calloc(1, sizeof(*c));

	if (errors == NULL || c == NULL ||
	    config_load(o->config, c, origins, errors) != 0) {
		for (size_t i = 0;
		     errors != NULL && i < errors->n && i < CONFIG_ERRORS_MAX;
		     i++)
			(void)fprintf(stderr, "%s\n", errors->list[i].text);
		free(c);
		c = NULL;
	}
	free(errors);
	return c;
}
