/*
 * challenge.c - ACME challenges, from the directory that a client writes
 *
 * Runs in the store, which has the directory as a descriptor. The name of the
 * file is the token: of characters that no path is made of, asked for by
 * strangers. Source: RFC 8555, section 8.3.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* Security: again, because the worker may be hijacked. An empty one is a
 * question too. */
static bool
is_token(struct span token)
{
	for (size_t i = 0; i < token.len; i++) {
		uint8_t c = ascii_lower(token.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != '_')
			return false;
	}
	return true;
}

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

unsigned int
challenge_answer(struct worker *w, const struct ipc_challenge *challenge)
{
	struct store *s = w->store;
	struct ipc_challenged answer = {
	    .ask = challenge->ask, .status = IPC_CHALLENGE_OFF};
	uint8_t text[IPC_CHALLENGE_TEXT_MAX];

	if (!is_token(challenge->token))
		return IPC_BREACH_FORM;
	if (s->challenges_fd >= 0) {
		answer.text = read_challenge(s, challenge->token, text);
		answer.status = answer.text.len > 0 ? IPC_CHALLENGE_FOUND
						    : IPC_CHALLENGE_NONE;
	}
	/* No room: the worker asks no more than it has connections, and a
	 * visitor that is not answered in time is told to try again. */
	(void)ipc_send(&w->channel, s->scratch, IPC_CHALLENGED, &answer, -1);
	return 0;
}
