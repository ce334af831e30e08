/*
 * feed.c - the forwarder's side of store.sock
 *
 * Runs in the forwarder. The store is the stronger side: it says who we are,
 * and what it says wrong ends the connection.
 */
#include "forward/feed.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* A disk that is slow, not one that is dead. */
#define ANSWER_WITHIN_MS 30000

int
feed_open(struct feed *f, struct err *e)
{
	*f = (struct feed){.channel = {-1, IPC_FORWARDER, IPC_STORE}};
	f->buffer = malloc(IPC_RECORD_MAX);
	f->scratch = malloc(IPC_RECORD_MAX);
	f->searches = calloc(FEED_SEARCHES, sizeof(f->searches[0]));
	if (f->buffer == NULL || f->scratch == NULL || f->searches == NULL)
		return err_errno(e, "no memory");
	return 0;
}

bool
feed_is_up(const struct feed *f)
{
	return f->channel.fd >= 0;
}

void
feed_drop(struct feed *f)
{
	fd_close(&f->channel.fd);
	f->due = f->due_asked = f->challenges_due = false;
	f->n_searches = 0;
}

/* --- receiving --------------------------------------------------------- */

static void
note_search(struct feed *f, const struct ipc_search *search)
{
	struct feed_search *s;

	/* The store has no more asks than that; what is too much times out. */
	if (f->n_searches == FEED_SEARCHES)
		return;
	s = &f->searches[f->n_searches++];
	s->ask = search->ask;
	s->server_id = search->server_id;
	s->len = (uint8_t)search->token.len;
	memcpy(s->token, search->token.p, search->token.len);
}

/* True when the message was one that comes unasked, and is noted. */
static bool
note(struct feed *f, const struct ipc_received *in, enum ipc_type wanted)
{
	switch (in->message->type) {
	case IPC_SEARCH:
		note_search(f, &in->body.search);
		return true;
	case IPC_DUE:
		if (wanted == IPC_DUE && !f->due_asked)
			return false;
		f->due_asked = false;
		f->due = true;
		return true;
	case IPC_CHALLENGES_DUE:
		f->challenges_due = true;
		return true;
	default:
		return false;
	}
}

static int
gone(struct feed *f, const struct ipc_received *in, enum ipc_result got,
    struct err *e)
{
	feed_drop(f);
	if (got == IPC_BREACH)
		return err_set(e,
		    "the store sent %s; are daemon and forwarder of the same "
		    "version?",
		    ipc_breach_text(in->breach));
	return err_set(e, "the store closed the connection");
}

/* IPC_OK: an answer is in *in. IPC_AGAIN: nothing more is there. */
static int
receive(struct feed *f, enum ipc_type wanted, struct ipc_received *in,
    bool *got_answer, struct err *e)
{
	enum ipc_result got;

	*got_answer = false;
	while ((got = ipc_receive(&f->channel, f->buffer, in)) == IPC_OK) {
		if (note(f, in, wanted))
			continue;
		*got_answer = true;
		return 0;
	}
	return got == IPC_AGAIN ? 0 : gone(f, in, got, e);
}

int
feed_listen(struct feed *f, struct err *e)
{
	struct ipc_received in = {.message = NULL};
	bool got_answer;

	if (!feed_is_up(f))
		return err_set(e, "not connected to the store");
	if (receive(f, 0, &in, &got_answer, e) != 0)
		return -1;
	if (!got_answer)
		return 0;
	if (in.message->type == IPC_REFUSAL)
		(void)err_set(e, "%.*s", (int)in.body.refusal.reason.len,
		    (const char *)in.body.refusal.reason.p);
	else
		(void)err_set(e, "the store sent an answer to no question");
	feed_drop(f);
	return -1;
}

/* --- asking ------------------------------------------------------------ */

static int
wait_for(struct feed *f, short events, uint64_t until_ms, struct err *e)
{
	if (fd_wait(f->channel.fd, events, until_ms))
		return 0;
	feed_drop(f);
	return err_set(e, "the store does not answer; see its log");
}

static int
send_all(struct feed *f, enum ipc_type type, const void *body, uint64_t until,
    struct err *e)
{
	enum ipc_result sent;

	while ((sent = ipc_send(&f->channel, f->scratch, type, body, -1)) ==
	       IPC_AGAIN)
		if (wait_for(f, POLLOUT, until, e) != 0)
			return -1;
	/* It may have said why: the reason waits to be read. */
	(void)sent;
	return 0;
}

int
feed_ask(struct feed *f, enum ipc_type type, const void *body,
    enum ipc_type wanted, struct ipc_received *answer, struct err *e)
{
	uint64_t until = clock_mono_ms() + ANSWER_WITHIN_MS;
	bool got_answer = false;

	if (!feed_is_up(f))
		return err_set(e, "not connected to the store");
	if (send_all(f, type, body, until, e) != 0)
		return -1;
	while (!got_answer) {
		if (wait_for(f, POLLIN, until, e) != 0 ||
		    receive(f, wanted, answer, &got_answer, e) != 0)
			return -1;
	}
	if (answer->message->type == IPC_REFUSAL)
		return err_set(e, "the store refuses: %.*s",
		    (int)answer->body.refusal.reason.len,
		    (const char *)answer->body.refusal.reason.p);
	if (answer->message->type != wanted) {
		feed_drop(f);
		return err_set(e, "the store sent another answer");
	}
	return 0;
}

int
feed_tell(struct feed *f, enum ipc_type type, const void *body, uint64_t *n,
    struct err *e)
{
	struct ipc_received answer;

	if (feed_ask(f, type, body, IPC_DONE, &answer, e) != 0)
		return -1;
	if (n != NULL)
		*n = answer.body.done.n;
	return 0;
}

void
feed_say(struct feed *f, enum ipc_type type, const void *body)
{
	struct err ignored;

	/* A store that is gone is noticed by the next question. */
	if (feed_is_up(f))
		(void)send_all(f, type, body,
		    clock_mono_ms() + ANSWER_WITHIN_MS, &ignored);
}

void
feed_await_events(struct feed *f)
{
	struct ipc_due_get get = {.after_seq = 0, .most = 1, .wait = 1};

	if (f->due || f->due_asked || !feed_is_up(f))
		return;
	feed_say(f, IPC_DUE_GET, &get);
	f->due_asked = feed_is_up(f);
}

/* --- connecting -------------------------------------------------------- */

static int
check_peer(int fd, uid_t store_uid, const char *path, struct err *e)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return err_errno(e, "[spool] socket %s", path);
	if (who.uid != 0 && who.uid != store_uid && who.uid != geteuid())
		return err_set(e,
		    "[spool] socket %s was made by uid %d, which is neither "
		    "root nor the store's user",
		    path, (int)who.uid);
	return 0;
}

static int
greet(struct feed *f, struct err *e)
{
	struct ipc_hello hello = {
	    .version = IPC_VERSION, .role = IPC_FORWARDER};
	struct ipc_received answer;

	if (feed_ask(f, IPC_HELLO, &hello, IPC_WELCOME, &answer, e) != 0)
		return -1;
	memcpy(f->node, answer.body.welcome.node, sizeof(f->node));
	f->start_seq = answer.body.welcome.start_seq;
	f->last_seq = answer.body.welcome.last_seq;
	f->session++;
	return 0;
}

int
feed_connect(struct feed *f, const char *path, uid_t store_uid, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    span_to_text(span_of(path), sa.sun_path, sizeof(sa.sun_path)) !=
		0 ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		(void)err_errno(e, "[spool] socket %s", path);
		fd_close(&fd);
		return -1;
	}
	if (check_peer(fd, store_uid, path, e) != 0) {
		fd_close(&fd);
		return -1;
	}
	f->channel.fd = fd;
	if (greet(f, e) != 0) {
		feed_drop(f);
		return -1;
	}
	return 0;
}
