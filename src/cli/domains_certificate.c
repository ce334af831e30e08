/*
 * domains_certificate.c - the certificates that are there already
 *
 * Run by `postal-tracker domains`. Looks only at the public part: whether the
 * key fits is seen by who loads it.
 */
#include "cli/domains.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/path.h"
#include "monitor/certificates.h"
#include "monitor/pairs.h"

#define PEM_MAX (256 * 1024)
#define DAY INT64_C(86400)
/* A certificate of 90 days is renewed when 30 are left, a short-lived one
 * when a third is. */
#define DUE_DAYS 30
#define ROW_DUE_DAYS 14

/* A regular file of another user: read without waiting, and not endlessly. */
static int
read_file(
    int dir_fd, const char *path, uint8_t *bytes, size_t *len, struct err *e)
{
	int place = path_open(dir_fd, path, 0, e), fd;
	ssize_t n = 0;

	*len = 0;
	if (place < 0)
		return -1;
	fd = fd_reopen_regular(place);
	fd_close(&place);
	if (fd < 0)
		return err_set(e, "%s", strerror(errno));
	while (
	    *len < PEM_MAX && (n = read(fd, bytes + *len, PEM_MAX - *len)) > 0)
		*len += (size_t)n;
	fd_close(&fd);
	if (n < 0)
		return err_set(e, "cannot be read");
	if (*len == PEM_MAX)
		return err_set(e, "%s", strerror(EFBIG));
	return 0;
}

/* A certificate without a key is of no use. */
static int
look_for_key(struct domains_certificate *one, int dir_fd, struct err *e)
{
	char path[300];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/privkey.pem", one->name);
	fd = path_open(dir_fd, path, 0, e);
	if (fd < 0)
		return err_prefix(e, "privkey.pem");
	fd_close(&fd);
	return 0;
}

/* Where a worker would have it. */
static int
enter(struct domains_certificates *all, size_t at, struct tls_chain *chain,
    struct err *e)
{
	struct domains_certificate *one = &all->list[at];
	int failed =
	    strcmp(one->name, "default") == 0
		? tls_set_enter_default(all->set, chain, e)
		: tls_set_enter(all->set, chain, span_of(one->name), e);

	if (failed == 0)
		one->identity =
		    tls_set_at(all->set, tls_set_size(all->set) - 1);
	return failed;
}

/* Of the last one; how many bytes it takes. */
static size_t
read_last(struct domains_certificates *all, int dir_fd, uint8_t *pem)
{
	size_t at = all->n - 1;
	struct domains_certificate *one = &all->list[at];
	struct tls_chain *chain = NULL;
	char path[300];
	struct err e;
	size_t len;
	int failed;

	(void)snprintf(path, sizeof(path), "%s/fullchain.pem", one->name);
	if (read_file(dir_fd, path, pem, &len, &e) != 0 ||
	    (chain = tls_chain_new(
		 (struct span){pem, len}, (uint32_t)at, &e)) == NULL) {
		failed = err_prefix(&e, "fullchain.pem");
	} else {
		failed = look_for_key(one, dir_fd, &e);
		if (failed == 0)
			failed = enter(all, at, chain, &e);
	}
	tls_chain_release(chain);
	if (failed != 0)
		(void)snprintf(one->error, sizeof(one->error), "%.255s",
		    e.text[0] != '\0' ? e.text : "cannot be read");
	return len;
}

static int
add(struct domains_certificates *all, const char *name, struct err *e)
{
	struct domains_certificate *grown =
	    array_with_room(all->list, all->n, sizeof(*grown));

	if (grown == NULL)
		return err_errno(e, "no memory for certificates");
	all->list = grown;
	grown += all->n++;
	*grown = (struct domains_certificate){.identity = NULL};
	(void)span_to_text(span_of(name), grown->name, sizeof(grown->name));
	return 0;
}

/* What is no directory is skipped; a symbolic link may lead to one. */
static int
read_all(
    struct domains_certificates *all, DIR *dir, uint8_t *pem, struct err *e)
{
	struct dirent *entry;
	struct stat st;
	size_t bytes = 0;
	int n = 0;

	while ((entry = readdir(dir)) != NULL) {
		if (n++ == CERTIFICATES_ENTRIES_MAX)
			return err_set(e,
			    "[https] certificates %s holds more than %d "
			    "entries",
			    all->directory, CERTIFICATES_ENTRIES_MAX);
		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(dir), entry->d_name, &st, 0) != 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (add(all, entry->d_name, e) != 0)
			return -1;
		bytes += read_last(all, dirfd(dir), pem);
		if (bytes > DOMAINS_CHAINS_MOST)
			return err_set(e,
			    "[https] certificates %s: the certificates have "
			    "more than %zu MB together; remove what is not "
			    "used",
			    all->directory, DOMAINS_CHAINS_MOST >> 20);
	}
	return 0;
}

int
domains_read_certificates(
    struct domains_certificates *all, const char *directory, struct err *e)
{
	uint8_t *pem = malloc(PEM_MAX);
	struct hash_key key = {0, 0};
	DIR *dir = certificates_open_directory(directory, e);
	int failed = -1;

	*all = (struct domains_certificates){.directory = directory};
	if (dir == NULL)
		(void)err_prefix(e, "[https] certificates");
	else if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		(void)err_errno(e, "no random bytes");
	else if (pem == NULL || (all->set = tls_set_new(&key)) == NULL)
		(void)err_errno(e, "no memory for certificates");
	else
		failed = read_all(all, dir, pem, e);
	if (dir != NULL)
		(void)closedir(dir);
	free(pem);
	return failed;
}

void
domains_clear_certificates(struct domains_certificates *all)
{
	tls_set_release(all->set);
	free(all->list);
	*all = (struct domains_certificates){.list = NULL};
}

static bool
is_usable(const struct tls_identity *identity, const char *host, int64_t now)
{
	return identity != NULL && tls_identity_is_valid(identity, now) &&
	       tls_certificate_covers(&identity->certificate, span_of(host));
}

const struct domains_certificate *
domains_find_certificate(
    const struct domains_certificates *all, const char *host, int64_t now)
{
	const struct tls_identity *best = NULL;
	struct tls_entry entry;

	if (all->set == NULL ||
	    !tls_set_find(all->set, span_of(host), now, &entry))
		return NULL;
	for (size_t kind = 0; kind < TLS_KEY_KINDS; kind++) {
		const struct tls_identity *each = entry.of[kind];

		if (is_usable(each, host, now) &&
		    (best == NULL || each->certificate.not_after >
					 best->certificate.not_after))
			best = each;
	}
	return best == NULL ? NULL : &all->list[best->key_id];
}

const struct domains_certificate *
domains_certificate_of(const struct domains_certificates *all, const char *host)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcasecmp(all->list[i].name, host) == 0)
			return &all->list[i];
	return NULL;
}

bool
domains_has_pair(const struct domains_certificates *all, const char *host)
{
	return all->set != NULL && tls_set_covers(all->set, span_of(host));
}

static bool
is_due(int64_t not_before, int64_t not_after, int64_t days, int64_t now)
{
	int64_t third = (not_after - not_before) / 3;
	int64_t left = not_after - now;

	return left < third && left < days * DAY;
}

bool
domains_lasts(
    const struct domains_certificate *one, const char *host, int64_t now)
{
	const struct tls_certificate *c;

	if (one == NULL || !is_usable(one->identity, host, now))
		return false;
	c = &one->identity->certificate;
	return !is_due(c->not_before, c->not_after, DUE_DAYS, now);
}

/* --- rows of track_certificates ---------------------------------------- */

bool
domains_row_is_due(const struct certificate_state *row, int64_t now)
{
	return is_due(row->not_before, row->not_after, ROW_DUE_DAYS, now);
}

const struct certificate_state *
domains_find_row(
    const struct certificate_states *all, const char *host, int64_t now)
{
	char name[sizeof(PAIRS_OF_ROWS) + 256];
	const struct certificate_state *row;

	(void)snprintf(name, sizeof(name), PAIRS_OF_ROWS "%.255s", host);
	row = certificate_states_find(all, name);
	if (row == NULL || row->not_before > now || row->not_after <= now ||
	    (row->state != IPC_CERTIFICATE_SERVED &&
		row->state != IPC_CERTIFICATE_KEPT))
		return NULL;
	return row;
}
