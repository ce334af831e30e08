/*
 * link.c - `postal-tracker link add`: links for stand-alone use
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/internal.h"

static int
add(const struct config *c, const struct options *o)
{
	struct ipc_link_add body = {.server = span_of(o->server),
	    .token = span_of(o->token == NULL ? "" : o->token),
	    .url = span_of(o->rest[1])};
	const struct ipc_link_added *added;
	struct ipc_received answer;
	struct ask a;
	struct err e;
	int failed;

	failed = ask_open(&a, c, true, &e) != 0 ||
		 ask(&a, IPC_LINK_ADD, &body, IPC_LINK_ADDED, &answer, &e) != 0;
	if (failed) {
		(void)fprintf(stderr, "postal-tracker link add: %s\n", e.text);
	} else {
		added = &answer.body.link_added;
		(void)fputc('/', stdout);
		plain_text(stdout, added->server);
		(void)fputc('/', stdout);
		plain_text(stdout, added->token);
		(void)fputc('\n', stdout);
	}
	ask_close(&a);
	return failed ? EX_UNAVAILABLE : EX_OK;
}

/* What would not even fit into the message; the store checks the rest. */
static const char *
wrong_with(const struct options *o)
{
	if (o->n_rest != 2 || strcmp(o->rest[0], "add") != 0)
		return "expects `add`, --server TOKEN and one URL";
	if (o->server == NULL)
		return "--server TOKEN is missing: the first part of the URL "
		       "path, such as `demo`";
	if (o->server[0] == '\0' || strlen(o->server) > IPC_TOKEN_MAX ||
	    (o->token != NULL && strlen(o->token) > IPC_TOKEN_MAX))
		return "a token has 1 to 255 characters";
	if (o->token != NULL && o->token[0] == '\0')
		return "an empty --token; leave it away to have one made";
	if (o->rest[1][0] == '\0' || strlen(o->rest[1]) > IPC_URL_MAX)
		return "a URL has 1 to 65535 characters";
	return NULL;
}

int
command_link(int argc, char **argv)
{
	const char *wrong;
	struct options o;
	struct config *c;
	int exit_code;

	if (options_parse(&o, argc, argv,
		OPTION_CONFIG | OPTION_SERVER | OPTION_TOKEN | OPTION_REST) !=
	    0)
		return EX_USAGE;
	wrong = wrong_with(&o);
	if (wrong != NULL)
		return cli_usage_error(argv[0], wrong);
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	exit_code = add(c, &o);
	free(c);
	return exit_code;
}
