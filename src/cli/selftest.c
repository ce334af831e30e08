/*
 * selftest.c - `postal-tracker selftest`: one open and one click through the
 * running service, and where they arrived
 *
 * The store makes up a token for this connection (store/selftest.c), this
 * command asks for its picture and its link as a reader of mail does, and the
 * store says what became of both events. With Postal the forwarder takes them
 * the whole way: into a transaction of the message database, where it looks
 * for their message, finds none, moves the ledger and settles them as
 * unmatched. No row is written, so nobody's webhook is called.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/internal.h"
#include "cli/selftest.h"
#include "cli/visit.h"

/* Workers learn of a made-up server within this; it took them 1 ms. */
#define KNOWN_WITHIN_MS 5000
#define ARRIVED_WITHIN_MS 20000
#define LOOK_EVERY_US 5000

enum { OPEN, CLICK };
#define EVENTS SELFTEST_EVENTS

static const struct {
	const char *name;
	const char *prefix; /* of its path */
	int status;
} events[EVENTS] = {{"open", "/img", 200}, {"click", "", 307}};

/* --- saying ------------------------------------------------------------ */

void
selftest_say(struct selftest_run *t, const char *verdict, const char *step,
    int64_t took_us, const char *format, ...)
{
	bool bad = strcmp(verdict, "FAIL") == 0;
	char text[2048];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	t->failed = t->failed || bad;
	if (!t->options->json) {
		(void)printf("%-4s  %s: ", verdict, step);
		plain_text(stdout, span_of(text));
		if (took_us >= 0)
			(void)printf(", after %" PRId64 ".%" PRId64 " ms",
			    took_us / 1000, took_us / 100 % 10);
		(void)printf("\n");
		return;
	}
	(void)printf("{\"level\":\"%s\",\"step\":\"%s\",\"text\":",
	    bad ? "fail" : verdict, step);
	json_string(stdout, span_of(text));
	if (took_us >= 0)
		(void)printf(",\"after_us\":%" PRId64 "}\n", took_us);
	else
		(void)printf(",\"after_us\":null}\n");
}

/* --- asking the store -------------------------------------------------- */

/* Security: it becomes a part of a request that root makes. */
static bool
is_token(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~' || strchr("/?#", *text) != NULL)
			return false;
	return true;
}

static int
take_step(struct selftest_run *t, enum ipc_selftest_step step, struct err *e)
{
	const char *server = t->options->server;
	struct ipc_selftest body = {(uint8_t)step,
	    span_of(
		step == IPC_SELFTEST_BEGIN && server != NULL ? server : "")};
	struct ipc_received answer;
	const struct ipc_selftest_state *s = &answer.body.selftest_state;
	struct cursor c;

	if (ask(&t->ask, IPC_SELFTEST, &body, IPC_SELFTEST_STATE, &answer, e) !=
	    0)
		return -1;
	c = cursor_of(s->rows.records);
	for (size_t i = 0; i < EVENTS; i++)
		ipc_next(&c, &ipc_selftest_row_record, &t->rows[i]);
	t->state = *s;
	if (span_to_text(s->server, t->server, sizeof(t->server)) != 0 ||
	    span_to_text(s->token, t->token, sizeof(t->token)) != 0 ||
	    span_to_text(s->reason, t->reason, sizeof(t->reason)) != 0 ||
	    !is_token(t->server) || !is_token(t->token))
		return err_set(e, "the store sent tokens that are none");
	return 0;
}

/* --- the requests ------------------------------------------------------ */

static int
ask_for(struct selftest_run *t, size_t i, struct visit_answer *a, struct err *e)
{
	char path[2 * IPC_TOKEN_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", events[i].prefix,
	    t->server, t->token);
	t->asked_us[i] = clock_wall_us();
	return visit(&t->place, path, VISIT_WITHIN_MS, a, e);
}

static bool
is_right(size_t i, const struct visit_answer *a)
{
	return a->status == events[i].status &&
	       (i == OPEN ? strcmp(a->type, "image/png") == 0
			  : strcmp(a->location, IPC_SELFTEST_URL) == 0);
}

/* A worker does not know the made-up server at once. */
static void
play(struct selftest_run *t, size_t i)
{
	uint64_t until = clock_mono_ms() + KNOWN_WITHIN_MS;
	struct visit_answer a = {.status = 0};
	struct err e;
	int failed;

	do {
		failed = ask_for(t, i, &a, &e);
	} while (!failed && (a.status == 404 || a.status == 503) &&
		 clock_mono_ms() < until && usleep(LOOK_EVERY_US) == 0);
	if (failed)
		selftest_say(t, "FAIL", events[i].name, -1,
		    "no answer: %s; is the service running, and does a "
		    "firewall or a proxy stand between?",
		    e.text);
	else if (!is_right(i, &a))
		selftest_say(t, "FAIL", events[i].name, -1,
		    "answered %d %s %s, and that is not this service's answer; "
		    "does the name lead to this machine, and does the proxy "
		    "pass these paths on?",
		    a.status, a.type, a.location);
	else
		selftest_say(t, "ok", events[i].name, a.took_us,
		    "answered %d %s", a.status,
		    i == OPEN ? a.type : a.location);
}

/* --- where they arrived ------------------------------------------------ */

static bool
has_arrived(const struct selftest_run *t, size_t i)
{
	return t->rows[i].stored_us != 0 &&
	       (t->state.mode == IPC_MODE_STANDALONE ||
		   t->rows[i].outcome != IPC_SELFTEST_NOTHING);
}

/* Whether the forwarder is at work; or there is nothing to wait for. */
static bool
forwarder_works(struct selftest_run *t)
{
	struct ipc_status_get get = {0};
	struct ipc_received answer;
	const struct ipc_status *s = &answer.body.status;
	struct err e;

	if (t->state.mode != IPC_MODE_MYSQL)
		return true;
	if (ask(&t->ask, IPC_STATUS_GET, &get, IPC_STATUS, &answer, &e) != 0)
		selftest_say(t, "FAIL", "forwarder", -1, "%s", e.text);
	else if (!s->forwarder)
		selftest_say(t, "FAIL", "forwarder", -1,
		    "not connected to the daemon; start `postal-tracker "
		    "forward`, or see its log");
	else if (!s->forwarder_state.connected)
		selftest_say(t, "FAIL", "forwarder", -1,
		    "not connected to MySQL; `postal-tracker check` says why");
	else
		return true;
	return false;
}

/* until: what is not there by then will not come. */
static int
wait_for_events(struct selftest_run *t, struct err *e)
{
	uint64_t within = forwarder_works(t) ? ARRIVED_WITHIN_MS : 1000;
	uint64_t until = clock_mono_ms() + (t->failed ? 1000 : within);

	do {
		if (take_step(t, IPC_SELFTEST_LOOK, e) != 0)
			return -1;
	} while (!(has_arrived(t, OPEN) && has_arrived(t, CLICK)) &&
		 clock_mono_ms() < until && usleep(LOOK_EVERY_US) == 0);
	return 0;
}

static void
say_stored(struct selftest_run *t, size_t i)
{
	const struct ipc_selftest_row *row = &t->rows[i];
	char ip[ADDR_TEXT_SIZE];
	struct addr a;

	memcpy(a.ip, row->ip, sizeof(a.ip));
	addr_format(&a, ip);
	if (row->stored_us != 0)
		selftest_say(t, "ok", events[i].name,
		    row->stored_us - t->asked_us[i],
		    "on stable storage as event %" PRIu64
		    ", of a visitor at %s",
		    row->seq, ip);
	else
		selftest_say(t, "FAIL", events[i].name, -1,
		    "did not arrive in this daemon's spool; if it was "
		    "answered, then by something else");
}

static void
say_settled(struct selftest_run *t, size_t i)
{
	const struct ipc_selftest_row *row = &t->rows[i];
	int64_t took = row->settled_us - t->asked_us[i];

	switch (row->outcome) {
	case IPC_SELFTEST_UNMATCHED:
		selftest_say(t, "ok", events[i].name, took,
		    "taken to Postal's database by the forwarder, where no "
		    "message has its token");
		break;
	case IPC_SELFTEST_WRITTEN:
		selftest_say(t, "FAIL", events[i].name, took,
		    "written for a message of Postal's that cannot be; "
		    "please report this");
		break;
	case IPC_SELFTEST_ASIDE:
		selftest_say(t, "FAIL", events[i].name, took,
		    "set aside: %s; `postal-tracker check` says more (this "
		    "event ends when the database can be written again)",
		    t->reason);
		break;
	default:
		selftest_say(t, "FAIL", events[i].name, -1,
		    "the forwarder did not take it to Postal's database in "
		    "time; see `postal-tracker status`");
	}
}

static void
say_where(struct selftest_run *t)
{
	for (size_t i = 0; i < EVENTS; i++) {
		say_stored(t, i);
		if (t->state.mode == IPC_MODE_MYSQL &&
		    t->rows[i].stored_us != 0)
			say_settled(t, i);
	}
}

/* Nothing more than was shown. */
static void
say_meaning(const struct selftest_run *t)
{
	if (t->options->json)
		return;
	if (t->state.mode == IPC_MODE_MYSQL)
		(void)printf(
		    "\nShown: requests reach this service, their events are "
		    "stored, and the forwarder\ntakes them into a transaction "
		    "of the message database, where their message is not\n"
		    "there. So no row of theirs was written; what was "
		    "rehearsed "
		    "beside it was rolled\nback. Both events count as "
		    "unmatched "
		    "in `status`; nothing else is left but a gap\nin the ids "
		    "of "
		    "loads, clicks and webhook_requests.\n");
	else
		(void)printf(
		    "\nShown: requests reach this service and their events "
		    "are stored. They are removed\nagain and count as "
		    "unmatched in `status`, and nothing else is left.\n");
}

/* --- all of it --------------------------------------------------------- */

static void
say_place(struct selftest_run *t)
{
	char shown[VISIT_URL_SIZE], direct[ENDPOINT_TEXT_SIZE];

	visit_format(&t->place, shown);
	if (t->place.direct.port == 0) {
		selftest_say(
		    t, "ok", "place", -1, "%s/, server %s", shown, t->server);
		return;
	}
	endpoint_format(&t->place.direct, direct);
	selftest_say(t, "ok", "place", -1, "%s/ at %s, server %s", shown,
	    direct, t->server);
}

static int
run_steps(struct selftest_run *t, struct err *e)
{
	if (take_step(t, IPC_SELFTEST_BEGIN, e) != 0)
		return -1;
	say_place(t);
	for (size_t i = 0; i < EVENTS; i++)
		play(t, i);
	if (wait_for_events(t, e) != 0)
		return -1;
	say_where(t);
	if (t->state.mode == IPC_MODE_MYSQL)
		selftest_rehearse(t);
	return take_step(t, IPC_SELFTEST_END, e);
}

static int
run(const struct config *c, const struct options *o)
{
	struct selftest_run *t = calloc(1, sizeof(*t));
	struct err e;
	int failed;

	if (t == NULL)
		return EX_OSERR;
	t->config = c;
	t->options = o;
	t->ask = (struct ask){
	    .channel = {.fd = -1}, .monitor = {.fd = -1}, .spool_fd = -1};
	failed = selftest_place(c, o->url, &t->place, &e) != 0 ||
		 ask_open(&t->ask, c, false, &e) != 0 || run_steps(t, &e) != 0;
	if (failed)
		(void)fprintf(stderr, "postal-tracker selftest: %s\n", e.text);
	else if (!t->failed)
		say_meaning(t);
	failed = failed || t->failed;
	ask_close(&t->ask);
	free(t);
	return failed ? EX_UNAVAILABLE : EX_OK;
}

int
command_selftest(int argc, char **argv)
{
	struct options o;
	struct config *c;
	int exit_code;

	if (options_parse(&o, argc, argv,
		OPTION_CONFIG | OPTION_JSON | OPTION_URL | OPTION_SERVER) != 0)
		return EX_USAGE;
	if (o.server != NULL &&
	    (o.server[0] == '\0' || strlen(o.server) > IPC_TOKEN_MAX))
		return cli_usage_error(
		    argv[0], "a token has 1 to 255 characters");
	c = options_load_config(&o, NULL);
	if (c == NULL)
		return EX_CONFIG;
	exit_code = run(c, &o);
	free(c);
	return exit_code;
}
