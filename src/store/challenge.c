/*
 * challenge.c - ACME challenges, from the directory that a client writes, or
 * from Postal's table
 *
 * Runs in the store, which has the directory as a descriptor. The name of the
 * file is the token: of characters that no path is made of, asked for by
 * strangers. What is not there is looked for in the replica. Source: RFC 8555, section 8.3.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static void
warn_of_file(struct store *s, const char *name, const char *why)
{
	uint64_t held_back;

	if (log_limit_pass(&s->log_challenges, s->loop.now_ms, &held_back))
		log_warn("challenge token=%s error=\"%s\": the ACME client "
			 "has to write a file that this user can read "
			 "more=%" PRIu64,
		    name, why, held_back);
}

/* How many bytes the file has; -1: it cannot be the answer, *why says why. */
static ssize_t
read_whole(int fd, uint8_t *text, const char **why)
{
	ssize_t n, len = 0;
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		*why = "not a regular file";
		return -1;
	}
	if (st.st_size > IPC_CHALLENGE_TEXT_MAX) {
		*why = "too large";
		return -1;
	}
	while (len < IPC_CHALLENGE_TEXT_MAX &&
	       (n = read(fd, text + len,
		    (size_t)(IPC_CHALLENGE_TEXT_MAX - len))) != 0) {
		if (n < 0) {
			*why = strerror(errno);
			return -1;
		}
		len += n;
	}
	return len;
}

/* What the file holds, without the end of its last line; empty: nothing that
 * could be answered. */
static struct span
read_challenge(
    struct store *s, struct span token, uint8_t text[IPC_CHALLENGE_TEXT_MAX])
{
	static const int flags =
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	char name[IPC_CHALLENGE_TOKEN_MAX + 1];
	const char *why = "empty";
	ssize_t len = -1;
	int fd;

	if (token.len == 0 || span_to_text(token, name, sizeof(name)) != 0)
		return (struct span){NULL, 0};
	fd = openat(s->challenges_fd, name, flags);
	if (fd < 0 && errno == ENOENT)
		return (struct span){NULL, 0};
	if (fd < 0)
		why = strerror(errno);
	else
		len = read_whole(fd, text, &why);
	fd_close(&fd);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	if (len <= 0) {
		warn_of_file(s, name, why);
		return (struct span){NULL, 0};
	}
	return (struct span){text, (size_t)len};
}

/* --- answers ----------------------------------------------------------- */

static void
send(struct worker *w, uint64_t ask, enum ipc_challenge_status status,
    struct span text)
{
	struct ipc_challenged answer = {ask, (uint8_t)status, text};

	/* No room: the worker asks no more than it has connections, and a
	 * visitor that is not answered in time is told to try again. */
	(void)ipc_send(
	    &w->channel, w->store->scratch, IPC_CHALLENGED, &answer, -1);
}

/* Lent until replica_end_challenge. */
static struct span
find_in_replica(struct store *s, struct span token)
{
	if (s->settings.mode != IPC_MODE_MYSQL || token.len == 0)
		return (struct span){NULL, 0};
	return replica_find_challenge(&s->links, token);
}

bool
challenge_is_known(struct store *s, struct span token)
{
	bool known = find_in_replica(s, token).len > 0;

	replica_end_challenge(&s->links);
	return known;
}

/* False: it is not known. */
static bool
answer_from_replica(struct worker *w, const struct ipc_challenge *challenge)
{
	struct store *s = w->store;
	struct span text = find_in_replica(s, challenge->token);
	bool known = text.len > 0 && text.len <= IPC_CHALLENGE_TEXT_MAX;

	if (known)
		send(w, challenge->ask, IPC_CHALLENGE_FOUND, text);
	replica_end_challenge(&s->links);
	return known;
}

/* Whether challenges are answered at all. */
static enum ipc_challenge_status
status_of_none(struct store *s)
{
	if (s->challenges_fd >= 0 || (s->settings.mode == IPC_MODE_MYSQL &&
					 replica_has_challenges(&s->links)))
		return IPC_CHALLENGE_NONE;
	return IPC_CHALLENGE_OFF;
}

void
challenge_answer_known(struct worker *w, const struct ipc_challenge *challenge)
{
	if (!answer_from_replica(w, challenge))
		send(w, challenge->ask, status_of_none(w->store),
		    (struct span){NULL, 0});
}

unsigned int
challenge_answer(struct worker *w, const struct ipc_challenge *challenge)
{
	struct store *s = w->store;
	uint8_t text[IPC_CHALLENGE_TEXT_MAX];
	struct span found = {NULL, 0};

	/* Security: again, because the worker may be hijacked. An empty one is
	 * a question too. */
	if (!span_is_base64url(challenge->token))
		return IPC_BREACH_FORM;
	if (s->challenges_fd >= 0)
		found = read_challenge(s, challenge->token, text);
	if (found.len > 0)
		send(w, challenge->ask, IPC_CHALLENGE_FOUND, found);
	else if (!answer_from_replica(w, challenge) &&
		 (challenge->token.len == 0 || !challenges_wait(w, challenge)))
		send(w, challenge->ask, status_of_none(s), found);
	return 0;
}
