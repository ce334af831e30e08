/*
 * check_pair.c - `postal-tracker check`: one pair of [https] certificates
 */
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/check_pairs.h"
#include "config/user.h"

#define DAY INT64_C(86400)
#define SOON_DAYS 14
/* Names in a line. */
#define NAMES_MOST 5

/* --- one pair ---------------------------------------------------------- */

static void __attribute__((format(printf, 4, 5))) fault(struct pairs_look *l,
    const struct pair_look *one, const char *verdict, const char *format, ...)
{
	char text[CHECK_LINE_SIZE];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	l->n_faulty++;
	check_say(l->k, verdict, "certificate %s: %s", one->name, text);
}

static void
format_time(int64_t seconds, char text[32])
{
	time_t at = (time_t)seconds;
	struct tm utc;

	text[0] = '?';
	text[1] = '\0';
	if (gmtime_r(&at, &utc) != NULL)
		(void)strftime(text, 32, "%Y-%m-%d %H:%M UTC", &utc);
}

/* What the daemon has of this name; NULL: it is not known, or nothing. */
static const struct certificate_state *
state_of(const struct pairs_look *l, const struct pair_look *one)
{
	return l->has_states ? certificate_states_find(&l->states, one->name)
			     : NULL;
}

static bool
is_served_anyway(const struct certificate_state *state)
{
	return state != NULL && (state->state == IPC_CERTIFICATE_SERVED ||
				    state->state == IPC_CERTIFICATE_KEPT);
}

static bool
check_use(struct pairs_look *l, const struct pair_look *one)
{
	if (one->reason[0] == '\0')
		return false;
	fault(l, one, "FAIL",
	    "%s, so that %s; put fullchain.pem and privkey.pem of one issue "
	    "into its directory, or remove that",
	    one->reason,
	    is_served_anyway(state_of(l, one))
		? "the daemon goes on with the pair before it until its restart"
		: "it is not served");
	return true;
}

/* A certificate of a few days is renewed later than one of ninety. */
static bool
ends_soon(const struct tls_certificate *c, int64_t left)
{
	return left < SOON_DAYS * DAY &&
	       left < (c->not_after - c->not_before) / 3;
}

static bool
check_time(struct pairs_look *l, const struct pair_look *one)
{
	const struct tls_certificate *c = &one->identity->certificate;
	int64_t left = c->not_after - l->now;
	char then[32], now[32];

	format_time(c->not_before, then);
	format_time(l->now, now);
	if (c->not_before > l->now)
		fault(l, one, "FAIL",
		    "it is not valid before %s, and here it is %s; set this "
		    "machine's clock if that is wrong",
		    then, now);
	else if (left <= 0)
		fault(l, one, "FAIL",
		    "it expired %" PRId64 " days ago; renew it: `systemctl "
		    "start postal-tracker-acme`, or with the ACME client that "
		    "it is from",
		    -left / DAY);
	else if (ends_soon(c, left))
		fault(l, one, "warn",
		    "it ends in %" PRId64 " days and was not renewed; see "
		    "`journalctl -u postal-tracker-acme`, or the log of the "
		    "ACME client that it is from",
		    left / DAY);
	else
		return false;
	return true;
}

static bool
check_chain(struct pairs_look *l, const struct pair_look *one)
{
	const struct tls_certificate *c = &one->identity->certificate;

	if (!c->in_order)
		fault(l, one, "FAIL",
		    "the certificates in fullchain.pem do not follow one "
		    "another; put its own first and behind each the one that "
		    "issued it");
	else if (c->n_chain == 1 && !c->to_root)
		fault(l, one, "warn",
		    "it comes without the certificate that issued it, and "
		    "many clients do not find that by themselves; add the "
		    "intermediate certificate to fullchain.pem");
	/* Who asks for an unknown name is not to be convinced. */
	else if (c->n_chain == 1 && strcmp(one->name, "default") != 0)
		fault(l, one, "warn",
		    "it was issued by itself, so that browsers and mail "
		    "programs refuse it; get one from an authority");
	else
		return false;
	return true;
}

/* certbot calls the second one of a name "name-0001". */
static size_t
host_length(const char *name)
{
	size_t len = strlen(name);

	if (len > 5 && name[len - 5] == '-' &&
	    strspn(name + len - 4, "0123456789") == 4)
		len -= 5;
	return len;
}

static bool
check_names(struct pairs_look *l, const struct pair_look *one)
{
	const struct tls_certificate *c = &one->identity->certificate;
	struct span host = {(const uint8_t *)one->name, host_length(one->name)};
	struct span rest = c->names, first = {NULL, 0};

	/* A name with a dot may be that of a host; others are for people. */
	if (c->n_names > 0 &&
	    (strchr(one->name, '.') == NULL || tls_certificate_covers(c, host)))
		return false;
	(void)tls_certificate_next_name(&rest, &first);
	if (c->n_names == 0)
		fault(l, one, "warn",
		    "it has no alternative names, and no client looks for one "
		    "elsewhere; get one that has");
	else
		fault(l, one, "warn",
		    "it is not for this name but for %.*s%s; get one for this "
		    "name, or rename the directory",
		    (int)first.len, (const char *)first.p,
		    c->n_names > 1 ? " and others" : "");
	return true;
}

/* --- who can read the key ---------------------------------------------- */

/* Whether others come as far as the file. */
static bool
is_reachable(const char *path)
{
	char real[PATH_MAX];
	struct stat st;
	char *slash;

	if (realpath(path, real) == NULL)
		return false;
	while ((slash = strrchr(real, '/')) != NULL && slash != real) {
		*slash = '\0';
		if (stat(real, &st) != 0 || (st.st_mode & S_IXOTH) == 0)
			return false;
	}
	return true;
}

/*
 * root, the keeper's user, and whoever writes the certificates: the owner of
 * the directory, which is the ACME client's user.
 */
static bool
may_own(const struct pairs_look *l, uid_t uid)
{
	const struct config *c = l->k->config;
	struct config_user keeper;
	struct stat st;
	struct err e;

	return uid == 0 ||
	       (stat(c->https.certificates, &st) == 0 && st.st_uid == uid) ||
	       (config_user_find(c->sandbox.keeper_user, &keeper, &e) == 0 &&
		   keeper.uid == uid);
}

static bool
check_readers(struct pairs_look *l, const struct pair_look *one)
{
	char path[PATH_MAX];
	struct stat st;
	const char *who = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s/privkey.pem",
	    l->k->config->https.certificates, one->name);
	if (stat(path, &st) != 0)
		return false;
	if ((st.st_mode & S_IROTH) != 0 && is_reachable(path))
		who = "everybody on this machine";
	else if ((st.st_mode & S_IRGRP) != 0 && st.st_gid != 0)
		who = "a group";
	else if (!may_own(l, st.st_uid))
		who = "a user that is neither root nor the ACME client's";
	if (who == NULL)
		return false;
	fault(l, one, "warn",
	    "%s can read its privkey.pem (uid %d, gid %d, mode %03o); `chmod "
	    "600`, and `chown` if its owner is wrong: the daemon reads it as "
	    "root",
	    who, (int)st.st_uid, (int)st.st_gid,
	    (unsigned int)st.st_mode & 0777);
	return true;
}

/* --- the running daemon ------------------------------------------------ */

/* The files are in order; whether the daemon has them, too. */
static bool
check_daemon(struct pairs_look *l, const struct pair_look *one)
{
	const struct certificate_state *state = state_of(l, one);

	if (!l->has_states)
		return false;
	if (state != NULL && state->state == IPC_CERTIFICATE_SERVED &&
	    state->not_after == one->identity->certificate.not_after)
		return false;
	if (state != NULL && state->reason[0] != '\0')
		fault(l, one, "FAIL",
		    "the running daemon refused it: %s; if it was replaced "
		    "since, `systemctl reload postal-tracker`",
		    state->reason);
	else
		fault(l, one, "warn",
		    "the running daemon has not taken it yet; it looks every "
		    "few seconds, and at once after `systemctl reload "
		    "postal-tracker`");
	return true;
}

/* --- who is served it -------------------------------------------------- */

static bool
is_found(
    const struct pairs_look *l, const struct pair_look *one, struct span name)
{
	struct tls_entry entry;

	return tls_set_find(l->set, name, l->now, &entry) &&
	       entry.of[one->identity->certificate.key.kind] == one->identity;
}

/* The names for which clients get this one, and not another one. */
static size_t
list_served(const struct pairs_look *l, const struct pair_look *one, char *text,
    size_t size)
{
	struct span rest = one->identity->certificate.names, name;
	size_t n = 0, len = 0;

	text[0] = '\0';
	while (tls_certificate_next_name(&rest, &name)) {
		if (!is_found(l, one, name))
			continue;
		if (n++ < NAMES_MOST)
			len += (size_t)snprintf(text + len, size - len,
			    "%s%.*s", n > 1 ? " " : "", (int)name.len,
			    (const char *)name.p);
	}
	return n;
}

static void
say_good(struct pairs_look *l, const struct pair_look *one)
{
	const struct tls_certificate *c = &one->identity->certificate;
	char names[NAMES_MOST * (TLS_NAME_MAX + 2)], more[40] = "";
	size_t n = list_served(l, one, names, sizeof(names));

	l->n_good++;
	if (l->n_good > CHECK_PAIRS_LINES)
		return;
	if (n > NAMES_MOST)
		(void)snprintf(
		    more, sizeof(more), " and %zu more", n - NAMES_MOST);
	if (strcmp(one->name, "default") == 0)
		(void)snprintf(names, sizeof(names), "%s",
		    "whoever asks for no name, or one without a certificate");
	else if (n == 0)
		(void)snprintf(names, sizeof(names), "%s",
		    "nobody (others that end no sooner have its names)");
	check_say(l->k, "ok",
	    "certificate %s: %s, ends in %" PRId64 " days, served to %s%s",
	    one->name, c->key.kind == TLS_KEY_EC ? "EC" : "RSA",
	    (c->not_after - l->now) / DAY, names, more);
}

/* --- all of it ---------------------------------------------------------- */

void
check_pair(struct pairs_look *l, const struct pair_look *one)
{
	size_t before = l->n_faulty;

	if (check_use(l, one))
		return;
	(void)check_time(l, one);
	(void)check_chain(l, one);
	(void)check_names(l, one);
	(void)check_readers(l, one);
	(void)check_daemon(l, one);
	if (l->n_faulty == before)
		say_good(l, one);
}
