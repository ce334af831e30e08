/*
 * check.c - `postal-tracker check`: a line each, with the remedy
 *
 * Changes nothing. To add a check: a function that prints its lines with
 * check_say(), and a row in the table at the end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "base/number.h"
#include "cli/check.h"
#include "cli/internal.h"
#include "monitor/holder.h"
#include "monitor/listen.h"
#include "monitor/settings.h"
#include "sandbox/sandbox.h"

#define TMPFS_MAGIC_NUMBER 0x01021994
/* Below this a burst of events fills the disk in minutes. */
#define SPACE_WANTED (UINT64_C(64) << 20)

/* Control characters, which a terminal would obey: some of what is said here
 * comes from other machines. */
static void
put_plain(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		(void)fputc(c < ' ' || c == 0x7f ? '?' : c, stdout);
	}
}

void
check_say(struct check *k, const char *verdict, const char *format, ...)
{
	char text[CHECK_LINE_SIZE];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	(void)printf("%-4s  ", verdict);
	put_plain(text);
	(void)fputc('\n', stdout);
	k->failed = k->failed || strcmp(verdict, "FAIL") == 0;
}

static void
check_unbuilt(struct check *k)
{
	char value[CONFIG_PATH_SIZE];

	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];

		if (d->built || k->origins->of[i].file[0] == '\0')
			continue;
		config_format_value(k->config, d, value, sizeof(value));
		check_say(k, "warn",
		    "[%s] %s = %s has no effect in this version "
		    "(%s:%u)",
		    d->section, d->key, value, k->origins->of[i].file,
		    k->origins->of[i].line);
	}
}

static void
check_kernel(struct check *k)
{
	if (sandbox_kernel_has_filters())
		check_say(k, "ok", "kernel: seccomp filters");
	else
		check_say(k, "FAIL",
		    "kernel: no seccomp filters; a kernel with "
		    "CONFIG_SECCOMP_FILTER is needed");
}

void
check_user(struct check *k, const char *key, const char *name)
{
	struct config_user user;
	struct err e;

	if (config_user_find(name, &user, &e) != 0)
		check_say(k, "FAIL", "%s: %s", key, e.text);
	else if (user.fallback)
		check_say(k, "warn",
		    "%s: there is no user %s, uid %d is used; the "
		    "packages make it, or `useradd --system %s`",
		    key, name, (int)user.uid, name);
	else
		check_say(k, "ok", "%s: %s (uid %d)", key, name, (int)user.uid);
}

static void
check_users(struct check *k)
{
	check_user(k, "[sandbox] web_user", k->config->sandbox.web_user);
	check_user(k, "[sandbox] store_user", k->config->sandbox.store_user);
	if (geteuid() != 0)
		check_say(k, "warn",
		    "not root: some things cannot be checked, and a daemon "
		    "started like this keeps its uid and sees the file system");
}

static void
check_listener(struct check *k, const char *section, const struct endpoint *at)
{
	char shown[ENDPOINT_TEXT_SIZE];
	struct holder h;
	struct err e;
	int fd = -1;

	endpoint_format(at, shown);
	if (listener_bind(at, section, &fd, &e) == 0)
		check_say(k, "ok", "[%s] listen %s: free", section, shown);
	else if (e.code == EADDRINUSE && holder_find(at, &h) == 0 &&
		 strcmp(h.name, "postal-tracker") == 0)
		check_say(k, "ok",
		    "[%s] listen %s: served by postal-tracker "
		    "(pid %d)",
		    section, shown, (int)h.pid);
	else
		check_say(k, "FAIL", "[%s] listen %s", section, e.text);
	fd_close(&fd);
}

static void
check_listeners(struct check *k)
{
	const struct config_endpoints *listen = &k->config->http.listen;

	if (listen->n == 0)
		check_say(k, "FAIL", "[http] listen names no address");
	for (size_t i = 0; i < listen->n; i++)
		check_listener(k, "http", &listen->list[i]);
}

/* Loopback, private and link-local networks: who is there was let in. */
static bool
is_private(const struct addr *a)
{
	static const char *const texts[] = {"127.0.0.0/8", "10.0.0.0/8",
	    "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128",
	    "fc00::/7", "fe80::/10"};
	struct network n;
	struct err e;

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		if (network_parse(span_of(texts[i]), &n, &e) == 0 &&
		    network_contains(&n, a))
			return true;
	return false;
}

static void
check_admin(struct check *k)
{
	const struct config_endpoints *listen = &k->config->admin.listen;
	char shown[ENDPOINT_TEXT_SIZE];

	for (size_t i = 0; i < listen->n; i++) {
		check_listener(k, "admin", &listen->list[i]);
		if (is_private(&listen->list[i].addr))
			continue;
		endpoint_format(&listen->list[i], shown);
		check_say(k, "warn",
		    "[admin] listen %s: a public address; whoever reaches it "
		    "reads the numbers and asks for tracking domains; use "
		    "127.0.0.1, or a firewall",
		    shown);
	}
}

static void
check_owner(struct check *k, const struct stat *st)
{
	const char *path = k->config->spool.directory;
	struct config_user owner;
	struct err e;
	uid_t wanted = geteuid();

	if (geteuid() == 0 &&
	    config_user_find(k->config->sandbox.store_user, &owner, &e) == 0)
		wanted = owner.uid;
	if (st->st_uid == wanted)
		check_say(k, "ok",
		    "[spool] directory %s belongs to the store's "
		    "user (uid %d)",
		    path, (int)wanted);
	else
		check_say(k, "FAIL",
		    "[spool] directory %s belongs to uid %d, the store runs "
		    "as uid %d; `chown -R %d %s` if it is a spool of this "
		    "server (an empty one is taken over at the start)",
		    path, (int)st->st_uid, (int)wanted, (int)wanted, path);
}

static void
check_space(struct check *k)
{
	const char *path = k->config->spool.directory;
	char have[NUMBER_TEXT_SIZE];
	struct statvfs vfs;
	struct statfs fs;
	uint64_t room;

	if (statvfs(path, &vfs) != 0 || statfs(path, &fs) != 0) {
		check_say(k, "FAIL", "[spool] directory %s: %s", path,
		    strerror(errno));
		return;
	}
	room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	size_format(room / 1024 * 1024, have);
	if ((vfs.f_flag & ST_RDONLY) != 0)
		check_say(k, "FAIL",
		    "[spool] directory %s is on a read-only file system; "
		    "remount it or choose another directory",
		    path);
	else if (room < SPACE_WANTED)
		check_say(k, "FAIL",
		    "[spool] directory %s: only %s are free; make room, "
		    "events that cannot be stored are lost",
		    path, have);
	else
		check_say(k, "ok", "[spool] directory %s: %s free", path, have);
	if (fs.f_type == TMPFS_MAGIC_NUMBER)
		check_say(k, "warn",
		    "[spool] directory %s is in memory (tmpfs): events do "
		    "not survive a restart of the machine",
		    path);
}

static void
check_spool(struct check *k)
{
	const char *path = k->config->spool.directory;
	struct stat st;

	if (stat(path, &st) != 0 && errno == ENOENT) {
		check_say(k, "ok",
		    "[spool] directory %s does not exist; it is made at the "
		    "first start",
		    path);
		return;
	}
	if (stat(path, &st) != 0) {
		check_say(k, "FAIL", "[spool] directory %s: %s", path,
		    strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		check_say(
		    k, "FAIL", "[spool] directory %s is not a directory", path);
		return;
	}
	check_owner(k, &st);
	check_space(k);
}

static void
check_status(struct check *k, const struct ipc_status *s)
{
	if (s->ready)
		check_say(k, "ok", "daemon: running and storing events");
	else
		check_say(k, "FAIL",
		    "daemon: running, but events are not stored: "
		    "%.*s",
		    (int)s->reason.len, (const char *)s->reason.p);
	if (k->config->postal.mode == CONFIG_MODE_MYSQL)
		check_forwarder(k, s);
}

static void
check_daemon(struct check *k)
{
	struct ipc_status_get get = {0};
	struct ipc_received answer;
	struct ask a;
	struct err e;

	if (ask_open(&a, k->config, false, &e) != 0 ||
	    ask(&a, IPC_STATUS_GET, &get, IPC_STATUS, &answer, &e) != 0)
		check_say(k, "ok", "daemon: not asked: %s", e.text);
	else
		check_status(k, &answer.body.status);
	ask_close(&a);
}

static void (*const checks[])(struct check *k) = {
    check_unbuilt,
    check_kernel,
    check_users,
    check_listeners,
    check_admin,
    check_spool,
    check_mysql,
    check_daemon,
    check_acme,
};

int
command_check(int argc, char **argv)
{
	struct config_origins *origins = calloc(1, sizeof(*origins));
	struct check k = {.origins = origins};
	struct options o;
	struct config *c;

	if (origins == NULL)
		return EX_OSERR;
	if (options_parse(&o, argc, argv, OPTION_CONFIG) != 0) {
		free(origins);
		return EX_USAGE;
	}
	c = options_load_config(&o, origins);
	k.config = c;
	if (c == NULL)
		check_say(&k, "FAIL", "configuration: see above");
	else
		check_say(&k, "ok", "configuration: %s",
		    o.config != NULL ? o.config : config_default_path());
	for (size_t i = 0; c != NULL && i < ARRAY_LENGTH(checks); i++)
		checks[i](&k);
	free(origins);
	if (c == NULL)
		return EX_CONFIG;
	free(c);
	return k.failed ? EX_UNAVAILABLE : EX_OK;
}
