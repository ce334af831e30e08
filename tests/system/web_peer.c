/*
 * web_peer.c - a hijacked store, or logger, against a real web worker
 *
 * Starts the web role of the real binary as the monitor would, and floods it
 * as its store or its logger. Visitors have to be answered all the time, and
 * what came in one go has to be taken to its last message. Or, with "crossed",
 * answers as its store what was not asked.
 *
 * usage: web-peer TRACKER ATTACK
 * prints one line a step; exit 0 when the worker did all of that.
 */
#include "hijack.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fd.h"
#include "http/access.h"
#include "ipc/counter.h"
#include "monitor/place.h"

#define NOBODY 65534
#define FLOODERS 4
#define VISITORS 20
#define ANSWER_WITHIN_S 5
/* A table of servers, as long as a message may be. */
#define ROWS 8000
#define CHANNEL_SIZE (16 << 20)
#define LESS 10
/* At once: several rounds' worth, and no more than a channel holds. */
#define AT_ONCE 150

struct scene {
	struct ipc_channel monitor, store, logger;
	pid_t web;
	struct sockaddr_in at;
	pid_t flooders[FLOODERS];
};

/* --- the scene --------------------------------------------------------- */

static int
open_listener(struct scene *s)
{
	socklen_t len = sizeof(s->at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	s->at = (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	if (fd < 0 || bind(fd, (struct sockaddr *)&s->at, len) != 0 ||
	    listen(fd, 64) != 0 ||
	    getsockname(fd, (struct sockaddr *)&s->at, &len) != 0)
		stop_with("no listener");
	return fd;
}

static int
open_memory(off_t size)
{
	int fd = memfd_create("web-peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, size) != 0)
		stop_with("no memory file");
	return fd;
}

static void
start_web(struct scene *s, const char *tracker)
{
	struct ipc_web_settings settings = {.workers = 1,
	    .n_listeners = 1,
	    .handshakes_max = 1,
	    .handshake_timeout_ms = 10000,
	    .access = HTTP_ACCESS_TEXT,
	    .durability = IPC_DURABILITY_SYNC,
	    .max_wait_ms = 250,
	    .max_connections = 100,
	    .max_connections_per_address = 100,
	    .max_header_size = 8192,
	    .header_timeout_ms = 10000,
	    .idle_timeout_ms = 10000,
	    .lookup_timeout_ms = 2000};
	int fds[] = {-1, open_memory(IPC_WEB_SLICE_SIZE),
	    open_memory(IPC_SESSIONS_SIZE), open_listener(s)};
	struct spawn spawn = {.role = IPC_WEB,
	    .params = {.flags = IPC_PARAM_ROOT,
		.log_level = 6,
		.uid = NOBODY,
		.gid = NOBODY},
	    .settings_type = IPC_WEB_SETTINGS,
	    .settings = &settings,
	    .fds = fds,
	    .n_fds = ARRAY_LENGTH(fds)};
	struct err e;

	if (place_open_empty("/tmp/x", &fds[0], &e) != 0)
		stop_with(e.text);
	start_role(tracker, &spawn, &s->web, &s->monitor);
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
		fd_close(&fds[i]);
}

/* n servers, of which the last has this token. */
static struct ipc_servers
table_of(struct writer *w, unsigned int n, const char *last)
{
	struct ipc_servers body = {.flags = IPC_PART_FIRST | IPC_PART_LAST,
	    .rows = {(uint16_t)n, {NULL, 0}}};

	for (unsigned int i = 1; i <= n; i++) {
		struct ipc_server_row row = {i, span_of(last)};
		char token[8];

		(void)snprintf(token, sizeof(token), "%06u", i);
		if (i < n)
			row.token = span_of(token);
		if (ipc_put(w, &ipc_server_row_record, &row) != 0)
			stop_with("the table is too long");
	}
	body.rows.records = writer_span(w);
	return body;
}

static void
send_server(const struct ipc_channel *c, const char *token)
{
	uint8_t bytes[64];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ipc_servers body = table_of(&w, 1, token);

	send_message(c, IPC_SERVERS, &body, -1);
}

/* --- a visitor --------------------------------------------------------- */

/* Asks for path on a connection of its own. */
static int
begin_visit(const struct scene *s, const char *path)
{
	const struct timeval within = {.tv_sec = ANSWER_WITHIN_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[256];

	(void)snprintf(text, sizeof(text),
	    "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &within, sizeof(within)) !=
		0 ||
	    connect(fd, (const struct sockaddr *)&s->at, sizeof(s->at)) != 0 ||
	    send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		stop_with("cannot visit");
	return fd;
}

/* What is answered, in time. */
static int
end_visit(int fd)
{
	char text[2048];
	int status = 0;
	ssize_t n;

	n = recv(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		stop_with("a visitor was not answered");
	text[n] = '\0';
	if (sscanf(text, "HTTP/1.1 %d", &status) != 1)
		stop_with("a visitor got nonsense");
	fd_close(&fd);
	return status;
}

static int
visit(const struct scene *s, const char *path)
{
	return end_visit(begin_visit(s, path));
}

static void
visit_often(const struct scene *s, const char *when)
{
	for (int i = 0; i < VISITORS; i++)
		if (visit(s, "/") != 200)
			stop_with("a visitor got something else");
	(void)printf("visitors answered %s\n", when);
}

/* --- floods ------------------------------------------------------------ */

/* A message as bytes, made once. */
static uint8_t record[IPC_RECORD_MAX];
static size_t record_len;

static void
make_record(enum ipc_type type, const void *body)
{
	struct writer w = writer_of(record, sizeof(record));

	if (ipc_encode(&w, type, body) != 0)
		stop_with("no such message");
	record_len = w.len;
}

static void
make_lost(void)
{
	struct ipc_lines_lost lost = {1};

	make_record(IPC_LINES_LOST, &lost);
}

/* To a visitor that there is not. */
static void
make_linked(void)
{
	struct ipc_linked linked = {
	    .ask = UINT64_C(1) << 40, .status = IPC_LINKED_NONE};

	make_record(IPC_LINKED, &linked);
}

static void
make_table(void)
{
	static uint8_t bytes[IPC_RECORD_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ipc_servers body = table_of(&w, ROWS, "demo");

	make_record(IPC_SERVERS, &body);
}

/* As many as the worker takes, and whenever there is room one more. The
 * channel holds more than it would otherwise and the worker has less of a core,
 * so that it is never empty, however few cores there are to fill it. */
static void
begin_flood(struct scene *s, const struct ipc_channel *c)
{
	const int size = CHANNEL_SIZE;

	/* Sending waits; the worker's end stays as it is. */
	if (setsockopt(
		c->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0 ||
	    fcntl(c->fd, F_SETFL, 0) != 0)
		stop_with("cannot flood");
	for (int i = 0; i < FLOODERS; i++) {
		s->flooders[i] = fork();
		if (s->flooders[i] < 0)
			stop_with("cannot flood");
		if (s->flooders[i] == 0)
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (s->flooders[i] == 0)
			send_bytes(c, record, record_len);
	}
}

static void
end_flood(struct scene *s)
{
	for (int i = 0; i < FLOODERS; i++) {
		int status = 0;

		/* One that had ended by itself found no worker any more. */
		if (kill(s->flooders[i], SIGKILL) != 0 ||
		    waitpid(s->flooders[i], &status, 0) != s->flooders[i] ||
		    !WIFSIGNALED(status))
			stop_with("the flood ended before its time");
	}
}

/* --- what came in one go ----------------------------------------------- */

/* Stopped, so that all of them are there when it looks. */
static void
send_at_once(struct scene *s, const struct ipc_channel *c)
{
	(void)kill(s->web, SIGSTOP);
	for (int i = 0; i < AT_ONCE; i++)
		send_bytes(c, record, record_len);
}

/* The worker's counter of lines that were dropped, as it tells the store. */
static uint64_t
count_dropped(const struct scene *s)
{
	struct ipc_received in = expect(&s->store, IPC_COUNTERS);
	struct cursor c = cursor_of(in.body.counters.rows.records);
	struct ipc_counter_row row = {0, 0};

	for (size_t i = 0; i < in.body.counters.rows.count; i++) {
		ipc_next(&c, &ipc_counter_row_record, &row);
		if (row.counter == COUNTER_ACCESS_LINES_DROPPED)
			return row.value;
	}
	stop_with("the counter is not there");
}

static void
store_at_once(struct scene *s)
{
	uint64_t until = clock_mono_ms() + 10000;

	make_linked();
	send_at_once(s, &s->store);
	send_server(&s->store, "late");
	(void)kill(s->web, SIGCONT);
	while (visit(s, "/late/x") == 404)
		if (clock_mono_ms() > until)
			stop_with("the last message was not taken");
}

static void
logger_at_once(struct scene *s)
{
	uint64_t n;

	make_lost();
	send_at_once(s, &s->logger);
	(void)kill(s->web, SIGCONT);
	do
		n = count_dropped(s);
	while (n < AT_ONCE);
	if (n != AT_ONCE)
		stop_with("more were lost than were said");
}

/* --- answers to another question --------------------------------------- */

static void
send_challenged(struct scene *s, uint64_t ask)
{
	struct ipc_challenged body = {
	    ask, IPC_CHALLENGE_FOUND, span_of("a challenge")};

	send_message(&s->store, IPC_CHALLENGED, &body, -1);
}

static void
send_no_link(struct scene *s, uint64_t ask)
{
	struct ipc_linked body = {.ask = ask, .status = IPC_LINKED_NONE};

	send_message(&s->store, IPC_LINKED, &body, -1);
}

/* The wrong kind first: it is as if it had not come. */
static void
cross(struct scene *s)
{
	int fd = begin_visit(s, "/demo/link");
	uint64_t ask = expect(&s->store, IPC_LINK).body.link.ask;

	send_challenged(s, ask);
	send_no_link(s, ask);
	if (end_visit(fd) != 404)
		stop_with("a click was answered with a challenge");
	(void)printf("a click was answered as one\n");
	fd = begin_visit(s, "/.well-known/acme-challenge/x");
	ask = expect(&s->store, IPC_CHALLENGE).body.challenge.ask;
	send_no_link(s, ask);
	send_challenged(s, ask);
	if (end_visit(fd) != 200)
		stop_with("a challenge was answered with a link");
	(void)printf("a challenge was answered as one\n");
}

/* --- attacks ----------------------------------------------------------- */

static void
attack_store(struct scene *s)
{
	store_at_once(s);
	begin_flood(s, &s->store);
}

static void
attack_tables(struct scene *s)
{
	store_at_once(s);
	make_table();
	begin_flood(s, &s->store);
}

static void
attack_logger(struct scene *s)
{
	logger_at_once(s);
	begin_flood(s, &s->logger);
}

static const struct {
	const char *name;
	void (*run)(struct scene *s);
} attacks[] = {
    {"store", attack_store},
    {"store-tables", attack_tables},
    {"logger", attack_logger},
};

static int
end(const struct scene *s)
{
	(void)kill(s->web, SIGKILL);
	return waitpid(s->web, NULL, 0) == s->web ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct scene s = {.web = 0};

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		stop_with("usage: web-peer TRACKER ATTACK");
	start_web(&s, argv[1]);
	s.store = offer_channel(&s.monitor, IPC_STORE, 1);
	s.logger = offer_channel(&s.monitor, IPC_LOGGER, 1);
	send_server(&s.store, "demo");
	visit_often(&s, "before");
	if (strcmp(argv[2], "crossed") == 0) {
		cross(&s);
		return end(&s);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(attacks); i++) {
		if (strcmp(argv[2], attacks[i].name) != 0)
			continue;
		attacks[i].run(&s);
		(void)printf("all taken\n");
		visit_often(&s, "while flooded");
		end_flood(&s);
		visit_often(&s, "after");
		return end(&s);
	}
	stop_with("no such attack");
}
