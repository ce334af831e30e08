/*
 * tls_server.c - a small HTTPS server for tests, of the rooms tls and keeper
 *
 * usage: tls-server [-w WORKERS] [-p PORT] [-s] [-r] [-d CHAIN KEY]
 *            [-c CHAIN KEY]...
 *
 * One process signs and serves, as it never is in the tracker. Signatures are
 * made behind each round of events, so that every handshake waits once. With
 * -w each worker has a port of its own, and all share their sessions. -s: no sessions. -r: the keeper refuses. GET /N
 * answers N bytes. Says "port N" on stdout, and on stderr a line of each
 * handshake and its end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keeper/sign.h"
#include "tls/tls.h"

#define KEYS_MAX 2000
#define FILE_MAX 262144
#define SESSIONS_SIZE (1u << 20)
#define OUT_SIZE 32768

struct peer {
	int fd;
	struct tls_conn *tls;
	struct peer *next; /* that waits for its signature */
	bool said;	   /* what became of the handshake */
	char head[4096];
	size_t head_len;
	size_t body_left;
	uint8_t out[OUT_SIZE];
	size_t out_at, out_len;
};

static struct server {
	struct tls_server tls;
	struct tls_sessions sessions;
	struct keeper_key *keys[KEYS_MAX];
	uint32_t n_keys;
	bool refuses;
	int epoll;
	struct peer *unsigned_peers;
} server;

static const uint8_t filler[4096];

static void
die(const char *what, const char *why)
{
	(void)fprintf(stderr, "tls-server: %s: %s\n", what, why);
	exit(1);
}

static struct span
read_file(const char *path)
{
	uint8_t *p = malloc(FILE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 && p != NULL ? read(fd, p, FILE_MAX) : -1;

	if (n < 0)
		die(path, strerror(errno));
	(void)close(fd);
	return (struct span){p, (size_t)n};
}

static void
add_pair(const char *chain_path, const char *key_path, bool fallback)
{
	struct span chain = read_file(chain_path), key = read_file(key_path);
	struct tls_set *set = server.tls.set;
	const struct tls_identity *id;
	struct err e;
	int bad;

	if (fallback)
		bad = tls_set_add_default(set, chain, server.n_keys, &e);
	else
		bad = tls_set_add(
		    set, chain, server.n_keys, (struct span){0}, &e);
	if (bad != 0)
		die(chain_path, e.text);
	id = tls_set_at(set, tls_set_size(set) - 1);
	server.keys[server.n_keys] =
	    keeper_key_new(key, &id->certificate.key, &e);
	if (server.keys[server.n_keys++] == NULL)
		die(key_path, e.text);
	free((void *)(uintptr_t)chain.p);
	free((void *)(uintptr_t)key.p);
}

static void
say(struct peer *p)
{
	struct tls_failure f = tls_failure(p->tls);
	struct tls_info info = tls_info(p->tls);

	if (p->said)
		return;
	p->said = true;
	if (f.reason != TLS_REASON_NONE)
		(void)fprintf(stderr,
		    "failed reason=\"%s\" alert=%u text=\"%s\" name=%.*s\n",
		    tls_reason_text(f.reason), f.alert, f.text,
		    (int)info.name.len, (const char *)info.name.p);
	else
		(void)fprintf(stderr,
		    "open suite=%s group=%d resumed=%d name=%.*s pid=%d\n",
		    info.suite, (int)info.group, info.resumed,
		    (int)info.name.len, (const char *)info.name.p,
		    (int)getpid());
}

static void
part(struct peer *p)
{
	for (struct peer **at = &server.unsigned_peers; *at != NULL;
	     at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		break;
	}
	(void)close(p->fd);
	tls_end(p->tls);
	free(p->tls);
	free(p);
}

/* --- the answer -------------------------------------------------------- */

static void
answer(struct peer *p)
{
	char head[128];
	int n;

	p->body_left = 0;
	(void)sscanf(p->head, "GET /%zu", &p->body_left);
	n = snprintf(head, sizeof(head),
	    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", p->body_left);
	(void)tls_write(
	    p->tls, (struct span){(const uint8_t *)head, (size_t)n});
}

static void
read_request(struct peer *p)
{
	struct span s = tls_plaintext(p->tls);
	size_t room = sizeof(p->head) - 1 - p->head_len;
	char *end;

	s.len = s.len < room ? s.len : room;
	if (s.len > 0) {
		memcpy(p->head + p->head_len, s.p, s.len);
		p->head_len += s.len;
		p->head[p->head_len] = '\0';
		tls_consume(p->tls, s.len);
	}
	end = strstr(p->head, "\r\n\r\n");
	if (end == NULL)
		return;
	answer(p);
	p->head_len -= (size_t)(end + 4 - p->head);
	memmove(p->head, end + 4, p->head_len + 1);
}

static void
write_body(struct peer *p)
{
	while (p->body_left > 0) {
		size_t n = p->body_left < sizeof(filler) ? p->body_left
							 : sizeof(filler);

		n = tls_write(p->tls, (struct span){filler, n});
		if (n == 0)
			return;
		p->body_left -= n;
	}
}

/* --- bytes ------------------------------------------------------------- */

/* false: the socket is full, or there is nothing. */
static bool
send_some(struct peer *p)
{
	ssize_t n;

	if (p->out_len == 0) {
		p->out_at = 0;
		p->out_len = tls_take(p->tls, p->out, sizeof(p->out));
	}
	if (p->out_len == 0)
		return false;
	n = send(p->fd, p->out + p->out_at, p->out_len, MSG_NOSIGNAL);
	if (n < 0)
		return false;
	p->out_at += (size_t)n;
	p->out_len -= (size_t)n;
	return true;
}

/* true: something came. 0 bytes or an error end it. */
static bool
receive_some(struct peer *p, bool *over)
{
	static uint8_t in[TLS_FEED_MAX];
	ssize_t n = recv(p->fd, in, sizeof(in), 0);

	if (n > 0) {
		tls_feed(p->tls, (struct span){in, (size_t)n});
		return true;
	}
	*over = n == 0 || errno != EAGAIN;
	return false;
}

static void
go_on(struct peer *p)
{
	bool over = false, moved;

	do {
		moved = false;
		if (tls_wants_input(p->tls) && p->body_left == 0)
			moved = receive_some(p, &over);
		if (tls_state(p->tls) == TLS_OPEN) {
			say(p);
			if (p->body_left == 0)
				read_request(p);
			write_body(p);
		}
		while (send_some(p)) {
			write_body(p);
			moved = true;
		}
	} while (moved && !over);
	if (tls_state(p->tls) == TLS_WANT_SIGNATURE) {
		for (struct peer *q = server.unsigned_peers; q; q = q->next)
			if (q == p)
				return;
		p->next = server.unsigned_peers;
		server.unsigned_peers = p;
		return;
	}
	if (tls_state(p->tls) == TLS_FAILED)
		say(p);
	if (over || ((tls_state(p->tls) == TLS_FAILED ||
			 tls_state(p->tls) == TLS_CLOSED) &&
			p->out_len == 0)) {
		(void)shutdown(p->fd, SHUT_WR);
		part(p);
	}
}

static void
sign(struct peer *p)
{
	struct tls_wanted w = tls_wanted(p->tls);
	uint8_t signature[TLS_SIGNATURE_MAX];
	size_t len = 0;

	if (server.refuses || keeper_sign(server.keys[w.key_id], w.hash,
				  w.bytes, signature, &len) != KEEPER_SIGNED)
		len = 0;
	tls_signed(p->tls, (struct span){signature, len});
}

static void
welcome(int listener)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct epoll_event ev = {
	    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	void *memory = aligned_alloc(4096, tls_conn_size());
	int one = 1;

	if (p == NULL || memory == NULL)
		die("memory", "none");
	p->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (p->fd < 0) {
		free(p);
		free(memory);
		return;
	}
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	p->tls = tls_begin(&server.tls, memory);
	ev.data.ptr = p;
	(void)epoll_ctl(server.epoll, EPOLL_CTL_ADD, p->fd, &ev);
}

static void
serve(int listener)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	struct epoll_event events[64];

	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	(void)epoll_ctl(server.epoll, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(server.epoll, events, 64, -1);

		server.tls.now_s = (uint32_t)time(NULL);
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				welcome(listener);
			else
				go_on(events[i].data.ptr);
		while (server.unsigned_peers != NULL) {
			struct peer *p = server.unsigned_peers;

			server.unsigned_peers = p->next;
			sign(p);
			go_on(p);
		}
	}
}

static int
listen_on(uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		die("listen", strerror(errno));
	(void)printf("port %u\n", ntohs(sa.sin_port));
	(void)fflush(stdout);
	return fd;
}

static void
serve_all(int workers)
{
	for (int i = 0; i < workers; i++) {
		int fd = listen_on(0);
		pid_t pid = fork();

		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(fd);
		}
		(void)close(fd);
		if (pid < 0)
			die("fork", strerror(errno));
	}
	while (wait(NULL) > 0)
		;
}

int
main(int argc, char **argv)
{
	struct hash_key key;
	struct err e;
	int workers = 1;
	uint16_t port = 0;
	void *memory = mmap(NULL, SESSIONS_SIZE, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || tls_init(&e) != 0 ||
	    keeper_key_init(&e) != 0)
		die("start", "cannot");
	tls_random(&key, sizeof(key));
	tls_sessions_open(&server.sessions, memory, SESSIONS_SIZE, &key);
	server.tls = (struct tls_server){.set = tls_set_new(&key),
	    .sessions = &server.sessions,
	    .session_life_s = 3600,
	    .wall_s = (int64_t)time(NULL),
	    .random = tls_random};
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-s") == 0)
			server.tls.sessions = NULL;
		else if (strcmp(argv[i], "-r") == 0)
			server.refuses = true;
		else if (strcmp(argv[i], "-w") == 0 && i + 1 < argc)
			workers = atoi(argv[++i]);
		else if (strcmp(argv[i], "-p") == 0 && i + 1 < argc)
			port = (uint16_t)atoi(argv[++i]);
		else if ((strcmp(argv[i], "-c") == 0 ||
			     strcmp(argv[i], "-d") == 0) &&
			 i + 2 < argc && server.n_keys < KEYS_MAX) {
			add_pair(argv[i + 1], argv[i + 2], argv[i][1] == 'd');
			i += 2;
		} else
			die(argv[i], "unknown");
	}
	if (workers > 1)
		serve_all(workers);
	else
		serve(listen_on(port));
	return 0;
}
