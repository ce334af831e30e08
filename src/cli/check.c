/*
 * check.c - `postal-tracker check`: a line each, with the remedy
 *
 * Changes nothing. To add a check: a function that prints its lines with
 * check_say(), in a file of its subject, and a row in the table at the end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "cli/check.h"
#include "cli/internal.h"

/* --- saying ------------------------------------------------------------ */

static bool
is_key(struct span section, struct span key)
{
	for (size_t i = 0; i < config_n_directives; i++)
		if (span_equal(
			section, span_of(config_directives[i].section)) &&
		    span_equal(key, span_of(config_directives[i].key)))
			return true;
	return false;
}

/* How long the subject at the start of a text is: "[section] key", a section
 * alone, or all up to a colon; 0: it names none. */
static size_t
subject_length(const char *text)
{
	size_t section = strcspn(text, "]"), word;
	const char *colon = strstr(text, ": ");

	if (text[0] != '[' || text[section] == '\0')
		return colon == NULL ? 0 : (size_t)(colon - text);
	if (text[section + 1] != ' ')
		return section + 1;
	word = strcspn(text + section + 2, " :");
	if (text[section + 2 + word] == ':' ||
	    is_key((struct span){(const uint8_t *)text + 1, section - 1},
		(struct span){(const uint8_t *)text + section + 2, word}))
		return section + 2 + word;
	return section + 1;
}

static void
put_json(const char *verdict, const char *text)
{
	bool good = strcmp(verdict, "ok") == 0;
	size_t subject = subject_length(text);
	const char *sentence = text + subject;
	const char *cut = good ? NULL : strstr(sentence, "; ");
	size_t len;

	sentence += strspn(sentence, ": ");
	len = cut != NULL ? (size_t)(cut - sentence) : strlen(sentence);
	(void)printf("{\"level\":\"%s\",\"subject\":",
	    good			   ? "ok"
	    : strcmp(verdict, "FAIL") == 0 ? "fail"
					   : "warn");
	json_string(stdout, (struct span){(const uint8_t *)text, subject});
	(void)printf(",\"sentence\":");
	json_string(stdout, (struct span){(const uint8_t *)sentence, len});
	(void)printf(",\"remedy\":");
	if (cut != NULL)
		json_string(stdout, span_of(cut + strlen("; ")));
	else
		(void)printf("null");
	(void)printf("}\n");
}

void
check_say(struct check *k, const char *verdict, const char *format, ...)
{
	char text[CHECK_LINE_SIZE];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	k->failed = k->failed || strcmp(verdict, "FAIL") == 0;
	if (k->json) {
		put_json(verdict, text);
		return;
	}
	(void)printf("%-4s  ", verdict);
	/* Some of it comes from other machines and other users. */
	plain_text(stdout, span_of(text));
	(void)fputc('\n', stdout);
}

bool
check_is_private(const struct addr *a)
{
	static const char *const texts[] = {"127.0.0.0/8", "10.0.0.0/8",
	    "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
	    "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"};
	struct network n;
	struct err e;

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		if (network_parse(span_of(texts[i]), &n, &e) == 0 &&
		    network_contains(&n, a))
			return true;
	return false;
}

/* --- what has no file of its own --------------------------------------- */

static void
check_status(struct check *k, const struct ipc_status *s)
{
	if (s->ready)
		check_say(k, "ok", "daemon: running and storing events");
	else
		check_say(k, "FAIL",
		    "daemon: running, but events are not stored: "
		    "%.*s",
		    (int)s->reason.len, (const char *)s->reason.p);
	check_limits_of_daemon(k);
	check_proxy_headers(k, s);
	if (k->config->postal.mode == CONFIG_MODE_MYSQL)
		check_forwarder(k, s);
}

/* One listens there, and does not answer as it should. */
static void
say_no_status(struct check *k, bool refused, const struct err *e)
{
	bool has_remedy = strstr(e->text, "; ") != NULL;

	if (geteuid() != 0 && (refused || e->code == EACCES))
		check_say(k, "warn", "daemon: not asked: %s%s", e->text,
		    has_remedy ? ", and run this as root"
			       : "; run this as root");
	else
		check_say(k, "FAIL", "daemon: it listens, but %s%s", e->text,
		    has_remedy ? "" : "; see its log and restart it");
}

static void
check_daemon(struct check *k)
{
	struct ipc_received answer = {.message = NULL};
	struct ipc_status_get get = {0};
	struct ask a;
	struct err e;

	if (ask_open(&a, k->config, false, &e) != 0) {
		if (e.code == 0)
			check_say(k, "ok", "daemon: not asked: %s", e.text);
		else
			say_no_status(k, false, &e);
	} else if (ask(&a, IPC_STATUS_GET, &get, IPC_STATUS, &answer, &e) !=
		   0) {
		say_no_status(k,
		    answer.message != NULL &&
			answer.message->type == IPC_REFUSAL,
		    &e);
	} else {
		check_status(k, &answer.body.status);
		check_clients(k, &a);
	}
	ask_close(&a);
}

/* --- all of it --------------------------------------------------------- */

static void (*const checks[])(struct check *k) = {
    check_kernel,
    check_users,
    check_limits,
    check_listeners,
    check_spool,
    check_clock,
    check_log,
    check_mysql,
    check_daemon,
    check_acme,
    check_certificates,
    check_domains,
};

/* The errors go to stderr, as those of every command do; for a program that
 * reads JSON they are lines too. */
static struct config *
load(struct check *k, const char *path)
{
	struct config_errors *errors = calloc(1, sizeof(*errors));
	struct config *c = calloc(1, sizeof(*c));

	if (errors != NULL && c != NULL &&
	    config_load(path, c, NULL, errors) == 0) {
		free(errors);
		return c;
	}
	for (size_t i = 0;
	     errors != NULL && i < errors->n && i < CONFIG_ERRORS_MAX; i++) {
		(void)fprintf(stderr, "%s\n", errors->list[i].text);
		if (k->json)
			check_say(k, "FAIL", "configuration: %s",
			    errors->list[i].text);
	}
	if (!k->json)
		check_say(k, "FAIL", "configuration: see above");
	free(errors);
	free(c);
	return NULL;
}

int
command_check(int argc, char **argv)
{
	struct check k = {.config = NULL};
	struct options o;
	struct config *c;

	if (options_parse(&o, argc, argv, OPTION_CONFIG | OPTION_JSON) != 0)
		return EX_USAGE;
	k.json = o.json;
	c = load(&k, o.config);
	k.config = c;
	if (c != NULL)
		check_say(&k, "ok", "configuration: %s",
		    o.config != NULL ? o.config : config_default_path());
	for (size_t i = 0; c != NULL && i < ARRAY_LENGTH(checks); i++)
		checks[i](&k);
	if (c == NULL)
		return EX_CONFIG;
	free(c);
	return k.failed ? EX_UNAVAILABLE : EX_OK;
}
