/*
 * check_certificates.c - `postal-tracker check`: each pair of [https]
 * certificates, and who is served it
 *
 * Looks as the monitor does, asks a keeper as the monitor does, and finds
 * names as a web worker does. Chains are read here; keys are not, see match.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "cli/check_pairs.h"
#include "monitor/settings.h"

/* --- looking ----------------------------------------------------------- */

static struct pair_look *
add_pair(struct pairs_look *l, const char *name)
{
	struct pair_look *grown =
	    array_with_room(l->list, l->n, sizeof(*grown));
	char *copy = strdup(name);

	if (grown != NULL)
		l->list = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		return NULL;
	}
	grown[l->n] = (struct pair_look){.name = copy};
	return &grown[l->n++];
}

/* Enters the chain where a worker would. */
static void
enter(struct pairs_look *l, struct pair_look *one, int chain_fd)
{
	size_t len = 0;
	ssize_t n = 1;
	struct span pem;
	struct err e;
	int failed;

	while (n > 0 && len < IPC_CHAIN_FILE_MAX) {
		n = pread(chain_fd, l->pem + len, IPC_CHAIN_FILE_MAX - len,
		    (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	}
	pem = (struct span){l->pem, len};
	failed = strcmp(one->name, "default") == 0
		     ? tls_set_add_default(l->set, pem, (uint32_t)l->n, &e)
		     : tls_set_add(
			   l->set, pem, (uint32_t)l->n, span_of(one->name), &e);
	if (failed == 0)
		one->identity = tls_set_at(l->set, tls_set_size(l->set) - 1);
	else
		(void)snprintf(one->reason, sizeof(one->reason),
		    "fullchain.pem: %s", e.text);
}

static void
on_pair(void *owner, const char *name, int chain_fd, int key_fd)
{
	struct pairs_look *l = owner;
	struct pair_look *one = add_pair(l, name);
	struct ipc_pair_result seen = {.ok = 0};
	struct err e = {0};

	if (l->has_keeper && !match_has_time(&l->match)) {
		l->has_keeper = false;
		check_say(l->k, "warn",
		    "[https] certificates: keys were not compared from %s on, "
		    "the keeper takes too long; find out which pair it is by "
		    "taking some away",
		    name);
	}
	if (one != NULL && l->has_keeper) {
		if (match_pair(&l->match, name, chain_fd, key_fd, &seen, &e) !=
		    0)
			(void)snprintf(
			    one->reason, sizeof(one->reason), "%s", e.text);
		else if (!seen.ok)
			(void)span_to_text(
			    seen.reason, one->reason, sizeof(one->reason));
	}
	if (one != NULL && one->reason[0] == '\0')
		enter(l, one, chain_fd);
	fd_close(&chain_fd);
	fd_close(&key_fd);
}

static void
on_unreadable(void *owner, const char *name, const struct err *e)
{
	struct pair_look *one = add_pair(owner, name);

	if (one != NULL)
		(void)snprintf(one->reason, sizeof(one->reason), "%s", e->text);
}

/* Of the first look there is nothing gone. */
static void
on_gone(void *owner, const char *name)
{
	(void)owner;
	(void)name;
}

static void
on_too_many(void *owner)
{
	struct pairs_look *l = owner;

	check_say(l->k, "FAIL",
	    "[https] certificates: there are more than %d pairs, and the "
	    "others are not served; take away what is not used",
	    CERTIFICATES_MAX);
}

/* --- descriptors ------------------------------------------------------- */

static void
check_limit(struct pairs_look *l, const char *whose, rlim_t limit)
{
	const struct config *c = l->k->config;
	uint64_t needed = settings_monitor_fds(c) + 2 * l->n;

	if (limit < needed)
		check_say(l->k, "FAIL",
		    "[https] certificates: %zu pairs need %" PRIu64
		    " descriptors, and %s may open %" PRIu64
		    ", so that not all are served; set LimitNOFILE=%" PRIu64
		    " in its unit (or ulimit -n)",
		    l->n, needed, whose, (uint64_t)limit,
		    settings_descriptors(c));
}

/* --- all of them ------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	const struct pair_look *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void
check_descriptors(struct pairs_look *l)
{
	pid_t monitor = ask_daemon(l->k->config);
	struct rlimit limit;

	if (monitor == 0)
		/* It would try the same. */
		check_limit(l, "a daemon started from here",
		    (rlim_t)fd_raise_limit_to(
			settings_descriptors(l->k->config)));
	else if (prlimit(monitor, RLIMIT_NOFILE, NULL, &limit) == 0)
		check_limit(l, "the running daemon", limit.rlim_max);
}

static void
read_states(struct pairs_look *l)
{
	struct ask a;
	struct err e;

	l->has_states = ask_open(&a, l->k->config, false, &e) == 0 &&
			certificate_states_read(&a, &l->states, &e) == 0 &&
			l->states.n > 0;
	ask_close(&a);
}

static int
look(struct pairs_look *l, struct err *e)
{
	const struct certificates_found found = {
	    l, on_pair, on_unreadable, on_gone, on_too_many};
	struct hash_key key = {0, 0};

	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		return err_errno(e, "no random bytes");
	l->set = tls_set_new(&key);
	l->pem = malloc(IPC_CHAIN_FILE_MAX);
	if (l->set == NULL || l->pem == NULL)
		return err_errno(e, "no memory");
	return certificates_look(
	    &l->directory, l->k->config->https.certificates, true, &found, e);
}

static void
check_all(struct pairs_look *l)
{
	struct err e;

	l->has_keeper = match_open(&l->match, l->k->config, &e) == 0;
	if (!l->has_keeper)
		check_say(l->k, "warn",
		    "[https] certificates: no keeper could be started to "
		    "compare keys: %s",
		    e.text);
	if (look(l, &e) != 0) {
		check_say(l->k, "FAIL",
		    "[https] certificates: %s; name a directory that holds "
		    "<name>/fullchain.pem and <name>/privkey.pem",
		    e.text);
		return;
	}
	read_states(l);
	if (check_pairs_of_rows(l) == 0 && l->n == 0)
		check_say(l->k, "warn",
		    "[https] certificates %s: there is no pair in it, and "
		    "every TLS handshake fails with unrecognized_name; get "
		    "certificates: CERTIFICATES in postal-tracker(8)",
		    l->k->config->https.certificates);
	if (l->n > 0)
		qsort(l->list, l->n, sizeof(l->list[0]), by_name);
	check_descriptors(l);
	for (size_t i = 0; i < l->n; i++)
		check_pair(l, &l->list[i]);
	if (l->n_good > CHECK_PAIRS_LINES)
		check_say(l->k, "ok", "certificates: %zu more are in order",
		    l->n_good - CHECK_PAIRS_LINES);
}

void
check_certificates(struct check *k)
{
	const struct config *c = k->config;
	struct pairs_look l = {.k = k,
	    .now = (int64_t)time(NULL),
	    .match = {.monitor = {.fd = -1}}};

	if (c->https.certificates[0] == '\0') {
		if (c->https.listen.n > 0)
			read_states(&l);
		if (c->https.listen.n > 0 && check_pairs_of_rows(&l) == 0)
			check_say(k, "FAIL",
			    "[https] certificates: it is not set, and every "
			    "TLS handshake fails with unrecognized_name; name "
			    "the directory of the certificates");
		certificate_states_clear(&l.states);
		return;
	}
	check_all(&l);
	match_close(&l.match);
	certificates_clear(&l.directory);
	certificate_states_clear(&l.states);
	tls_set_release(l.set);
	for (size_t i = 0; i < l.n; i++)
		free(l.list[i].name);
	free(l.list);
	free(l.pem);
}
