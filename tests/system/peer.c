/*
 * peer.c - a hijacked web worker, or admin, against the real store
 *
 * Starts the store role of the real binary as the monitor would, gives it two
 * peers, and misbehaves as one of them. The other one, a worker, has to be
 * served all the time, the store has to ask for the replacement of the bad
 * one, with the right identity and reason, and to go on.
 *
 * usage: peer TRACKER SPOOL_DIRECTORY ATTACK
 * prints one line a step; exit 0 when the store did all of that.
 */
#include "hijack.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "monitor/place.h"

#define STORE_ID 60982

struct scene {
	struct ipc_channel monitor, good, bad;
	pid_t store;
	uint32_t server_id;
	uint64_t good_number;
};

/* --- the scene --------------------------------------------------------- */

static struct ipc_channel
offer(const struct scene *s, unsigned int role, uint64_t instance)
{
	return offer_channel(&s->monitor, role, instance);
}

static void
start_store(struct scene *s, const char *tracker, const char *directory)
{
	struct ipc_store_settings settings = {.mode = IPC_MODE_STANDALONE,
	    .durability = IPC_DURABILITY_SYNC,
	    .max_size = UINT64_C(1) << 30,
	    .retention_ms = UINT64_C(86400000),
	    .store_uid = STORE_ID,
	    .forwarder_uid = STORE_ID + 1,
	    .log_level = 6};
	struct config_user owner = {STORE_ID, STORE_ID, false};
	struct spawn spawn = {.role = IPC_STORE,
	    .params = {.flags = IPC_PARAM_ROOT,
		.log_level = 6,
		.uid = STORE_ID,
		.gid = STORE_ID},
	    .settings_type = IPC_STORE_SETTINGS,
	    .settings = &settings};
	struct err e;
	int spool = -1;

	if (place_open_spool(directory, &owner, &spool, &e) != 0)
		stop_with(e.text);
	spawn.fds = &spool;
	spawn.n_fds = 1;
	start_role(tracker, &spawn, &s->store, &s->monitor);
}

static void
learn_server(struct scene *s, const struct ipc_servers *servers)
{
	struct cursor c = cursor_of(servers->rows.records);
	struct ipc_server_row row;

	for (size_t i = 0; i < servers->rows.count; i++) {
		ipc_next(&c, &ipc_server_row_record, &row);
		s->server_id = row.id;
	}
}

static void
add_link(struct scene *s, const char *token, const char *url)
{
	struct ipc_channel tool = offer(s, IPC_TOOL, 1);
	struct ipc_hello hello = {IPC_VERSION, IPC_TOOL};
	struct ipc_link_add add = {
	    span_of("demo"), span_of(token), span_of(url)};
	struct ipc_received in;

	send_message(&tool, IPC_HELLO, &hello, -1);
	send_message(&tool, IPC_LINK_ADD, &add, -1);
	if (receive(&tool, &in) != IPC_OK || in.message->type != IPC_LINK_ADDED)
		stop_with("the link was not added");
	fd_close(&tool.fd);
}

/* --- what a good worker does ------------------------------------------- */

static void
send_event(const struct ipc_channel *c, uint64_t number, uint32_t server_id,
    uint8_t flags)
{
	static uint8_t rows[256];
	struct writer w = writer_of(rows, sizeof(rows));
	struct ipc_event event = {.at_us = 1700000000000000,
	    .kind = IPC_EVENT_OPEN,
	    .method = IPC_METHOD_GET,
	    .flags = flags,
	    .server_id = server_id,
	    .token = span_of("message")};
	struct ipc_events body = {.number = number, .rows = {.count = 1}};

	(void)ipc_put(&w, &ipc_event_record, &event);
	body.rows.records = writer_span(&w);
	send_message(c, IPC_EVENTS, &body, -1);
}

static void
send_batch(const struct ipc_channel *c, uint64_t number, uint32_t server_id)
{
	send_event(c, number, server_id, 0);
}

static void
use_good_worker(struct scene *s, const char *when)
{
	struct ipc_link link = {7, s->server_id, span_of("token")};
	struct ipc_received in;

	send_batch(&s->good, ++s->good_number, s->server_id);
	in = expect(&s->good, IPC_STORED);
	if (in.body.stored.number != s->good_number ||
	    in.body.stored.status != IPC_STORED_YES)
		stop_with("the good worker's batch was not stored");
	send_message(&s->good, IPC_LINK, &link, -1);
	in = expect(&s->good, IPC_LINKED);
	if (in.body.linked.status != IPC_LINKED_FOUND)
		stop_with("the good worker's link was not found");
	(void)printf("good worker served %s\n", when);
}

/* So busy that it reads nothing for a while: long URLs fill the channel, and
 * still it is told what became of its batch. */
static void
read_late(struct scene *s)
{
	static char url[60001] = "https://example.com/";
	struct ipc_link link = {7, s->server_id, span_of("long")};
	struct ipc_received in;
	int answers = 0;

	memset(url + strlen(url), 'x', sizeof(url) - 1 - strlen(url));
	add_link(s, "long", url);
	for (int i = 0; i < 8; i++)
		send_message(&s->bad, IPC_LINK, &link, -1);
	send_batch(&s->bad, 1, s->server_id);
	/* After this the store has heard all of it. */
	use_good_worker(s, "meanwhile");
	do
		if (receive(&s->bad, &in) != IPC_OK)
			stop_with("nobody said what became of the batch");
	while (in.message->type != IPC_STORED && ++answers < 20);
	(void)printf("the late one was told, behind %d answers\n", answers);
}

/* --- attacks ----------------------------------------------------------- */

/* A message that only the monitor may send. */
static void
attack_type(struct scene *s)
{
	struct ipc_roles body = {.rows = {0, {NULL, 0}}};

	send_message(&s->bad, IPC_ROLES, &body, -1);
}

static void
attack_unknown_type(struct scene *s)
{
	send_bytes(&s->bad, "\xff\xff", 2);
}

static void
attack_size(struct scene *s)
{
	static uint8_t big[IPC_RECORD_MAX];

	big[0] = IPC_EVENTS;
	send_bytes(&s->bad, big, IPC_BATCH_BYTES_MAX + 1);
}

static void
attack_form(struct scene *s)
{
	static const uint8_t kind_9[] = {
	    IPC_LINK, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 200, 'x'};

	send_bytes(&s->bad, kind_9, sizeof(kind_9));
}

static void
attack_order(struct scene *s)
{
	send_batch(&s->bad, 1, s->server_id);
	(void)expect(&s->bad, IPC_STORED);
	send_batch(&s->bad, 5, s->server_id);
}

static void
attack_server(struct scene *s)
{
	send_batch(&s->bad, 1, s->server_id + 4711);
}

/* What the store alone says: the forwarder would write no row. */
static void
attack_flag(struct scene *s)
{
	send_event(&s->bad, 1, s->server_id, IPC_EVENT_ROW_WRITTEN);
}

/* A path where a token belongs. */
static void
attack_challenge(struct scene *s)
{
	struct ipc_challenge challenge = {7, span_of("../spool/spool.db")};

	send_message(&s->bad, IPC_CHALLENGE, &challenge, -1);
}

static void
attack_descriptor(struct scene *s)
{
	struct ipc_link link = {7, s->server_id, span_of("token")};

	send_message(&s->bad, IPC_LINK, &link, STDERR_FILENO);
}

static void
attack_flood(struct scene *s)
{
	/* Stopped, so that all of them are there when it looks. */
	(void)kill(s->store, SIGSTOP);
	for (uint64_t i = 1; i <= 50; i++)
		send_batch(&s->bad, i, s->server_id);
	(void)kill(s->store, SIGCONT);
}

/* --- attacks of admin -------------------------------------------------- */

/* What it may ask, and gets; -1: the store has counted something else. */
static int
ask_as_admin(struct scene *s)
{
	struct ipc_status_get get = {0};
	struct ipc_commits_get commits = {0};
	struct ipc_permission_get permission = {span_of("click.example.com")};
	struct ipc_received in;
	uint64_t accepted;

	send_message(&s->bad, IPC_STATUS_GET, &get, -1);
	in = expect(&s->bad, IPC_STATUS);
	accepted = in.body.status.accepted;
	send_message(&s->bad, IPC_COMMITS_GET, &commits, -1);
	(void)expect(&s->bad, IPC_COMMITS);
	send_message(&s->bad, IPC_PERMISSION_GET, &permission, -1);
	in = expect(&s->bad, IPC_PERMISSION);
	if (in.body.permission.status != IPC_PERMISSION_NO)
		stop_with("stand-alone there are no tracking domains");
	return accepted == s->good_number ? 0 : -1;
}

static void
begin_as_admin(struct scene *s)
{
	if (ask_as_admin(s) != 0)
		stop_with("the numbers are wrong before");
}

/* Events, as if it were a worker. */
static void
attack_admin_events(struct scene *s)
{
	begin_as_admin(s);
	send_batch(&s->bad, 1, s->server_id);
}

/* A link, as if it were a tool. */
static void
attack_admin_link(struct scene *s)
{
	struct ipc_link_add add = {
	    span_of("demo"), span_of("evil"), span_of("https://evil.example/")};

	begin_as_admin(s);
	send_message(&s->bad, IPC_LINK_ADD, &add, -1);
}

/* As if it were the forwarder: events are settled and gone. */
static void
attack_admin_settle(struct scene *s)
{
	struct ipc_settle_row row = {1, 1};
	uint8_t bytes[16];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ipc_settle settle = {
	    .outcome = IPC_OUTCOME_WRITTEN, .rows = {.count = 1}};

	begin_as_admin(s);
	(void)ipc_put(&w, &ipc_settle_row_record, &row);
	settle.rows.records = writer_span(&w);
	send_message(&s->bad, IPC_SETTLE, &settle, -1);
}

static void
attack_admin_events_get(struct scene *s)
{
	struct ipc_events_get get = {0, 10};

	begin_as_admin(s);
	send_message(&s->bad, IPC_EVENTS_GET, &get, -1);
}

static void
attack_admin_form(struct scene *s)
{
	static const uint8_t empty[] = {IPC_PERMISSION_GET, 0, 0, 0};

	begin_as_admin(s);
	send_bytes(&s->bad, empty, sizeof(empty));
}

static void
attack_admin_descriptor(struct scene *s)
{
	struct ipc_status_get get = {0};

	send_message(&s->bad, IPC_STATUS_GET, &get, STDERR_FILENO);
}

/* Another question before the first is answered. */
static void
attack_admin_flood(struct scene *s)
{
	struct ipc_status_get get = {0};

	(void)kill(s->store, SIGSTOP);
	send_message(&s->bad, IPC_STATUS_GET, &get, -1);
	send_message(&s->bad, IPC_STATUS_GET, &get, -1);
	(void)kill(s->store, SIGCONT);
}

/* The one that comes after it sees that nothing was written. */
static void
check_as_admin(struct scene *s)
{
	fd_close(&s->bad.fd);
	s->bad = offer(s, IPC_ADMIN, BAD + 1);
	if (ask_as_admin(s) != 0)
		stop_with("the hijacked admin changed the numbers");
	(void)printf("another admin served, nothing was written\n");
}

static const struct {
	const char *name;
	void (*run)(struct scene *s);
	unsigned int reason;
	bool admin;
} attacks[] = {
    {"type", attack_type, IPC_BREACH_TYPE, false},
    {"unknown-type", attack_unknown_type, IPC_BREACH_TYPE, false},
    {"size", attack_size, IPC_BREACH_SIZE, false},
    {"form", attack_form, IPC_BREACH_FORM, false},
    {"order", attack_order, IPC_BREACH_ORDER, false},
    {"server", attack_server, IPC_BREACH_FORM, false},
    {"flag", attack_flag, IPC_BREACH_FORM, false},
    {"challenge", attack_challenge, IPC_BREACH_FORM, false},
    {"descriptor", attack_descriptor, IPC_BREACH_DESCRIPTORS, false},
    {"flood", attack_flood, IPC_BREACH_FLOOD, false},
    {"late", read_late, 0, false},
    {"admin-events", attack_admin_events, IPC_BREACH_TYPE, true},
    {"admin-link", attack_admin_link, IPC_BREACH_TYPE, true},
    {"admin-settle", attack_admin_settle, IPC_BREACH_TYPE, true},
    {"admin-events-get", attack_admin_events_get, IPC_BREACH_TYPE, true},
    {"admin-form", attack_admin_form, IPC_BREACH_FORM, true},
    {"admin-descriptor", attack_admin_descriptor, IPC_BREACH_DESCRIPTORS, true},
    {"admin-flood", attack_admin_flood, IPC_BREACH_FLOOD, true},
};

static void
expect_replacement(struct scene *s, unsigned int reason)
{
	struct ipc_received in;

	expect_accusation(&s->monitor, reason);
	while (receive(&s->bad, &in) == IPC_OK)
		;
	(void)printf("bad %s parted from: %s\n",
	    s->bad.self == IPC_ADMIN ? "admin" : "worker",
	    ipc_breach_text(reason));
}

static void
attack(struct scene *s, size_t i)
{
	struct ipc_received in;

	s->good = offer(s, IPC_WEB, GOOD);
	s->bad = offer(s, attacks[i].admin ? IPC_ADMIN : IPC_WEB, BAD);
	in = expect(&s->good, IPC_SERVERS);
	learn_server(s, &in.body.servers);
	if (!attacks[i].admin)
		(void)expect(&s->bad, IPC_SERVERS);
	use_good_worker(s, "before");
	attacks[i].run(s);
	if (attacks[i].reason != 0)
		expect_replacement(s, attacks[i].reason);
	use_good_worker(s, "after");
	if (attacks[i].admin)
		check_as_admin(s);
	stop_role(s->store, &s->monitor);
}

int
main(int argc, char **argv)
{
	struct scene s = {0};

	if (argc != 4)
		stop_with("usage: peer TRACKER SPOOL_DIRECTORY ATTACK");
	start_store(&s, argv[1], argv[2]);
	add_link(&s, "token", "https://example.com/");
	for (size_t i = 0; i < ARRAY_LENGTH(attacks); i++) {
		if (strcmp(attacks[i].name, argv[3]) != 0)
			continue;
		attack(&s, i);
		return 0;
	}
	stop_with("there is no such attack");
	return 1;
}
