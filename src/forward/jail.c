/*
 * jail.c - the forwarder gives itself up
 *
 * Runs once, before the first byte of a database or of the store is read.
 */
#include "forward/jail.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/span.h"
#include "forward/row_content.h"
#include "role/jail.h"

/* Log, epoll, signals, store.sock, two databases, and what a look-up opens
 * for a moment. */
#define DESCRIPTORS 64
#define DNS_PORT 53

/* --- a refused call ---------------------------------------------------- */

static void
report_refused_call(int call)
{
	role_refused_call("forwarder", call);
}

/* --- files ------------------------------------------------------------- */

/* Files of the resolver. They are replaced, not rewritten, by those who
 * maintain them, so a rule for one of them would be a rule for its past: the
 * directory is what stays readable. */
static const char *const resolver_files[] = {"/etc/resolv.conf", "/etc/hosts",
    "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"};

struct file_list {
	struct sandbox_path paths[16];
	char text[16][PATH_MAX];
	size_t n;
};

static void
add_path(struct file_list *l, const char *path, bool required)
{
	if (l->n == ARRAY_LENGTH(l->paths))
		return;
	(void)snprintf(l->text[l->n], sizeof(l->text[0]), "%s", path);
	l->paths[l->n] = (struct sandbox_path){l->text[l->n], required};
	l->n++;
}

/* The directory in which a file really lies, behind symbolic links. */
static void
add_directory_of(struct file_list *l, const char *path)
{
	char real[PATH_MAX];
	char *slash;

	if (realpath(path, real) == NULL)
		return;
	slash = strrchr(real, '/');
	/* Never the root: that would be everything. */
	if (slash == NULL || slash == real)
		return;
	*slash = '\0';
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->text[i], real) == 0)
			return;
	add_path(l, real, false);
}

/* An authority's file has to be readable now, as this user; its directory
 * stays, for the day on which the file is renewed. */
static void
add_authority(struct file_list *l, const struct sql_target *t)
{
	if (t->socket[0] != '\0' || t->tls_ca[0] == '\0')
		return;
	add_path(l, t->tls_ca, true);
	add_directory_of(l, t->tls_ca);
}

static void
list_files(struct file_list *l, const struct targets *t)
{
	l->n = 0;
	add_path(l, "/etc", false);
	for (size_t i = 0; i < ARRAY_LENGTH(resolver_files); i++)
		add_directory_of(l, resolver_files[i]);
	/* Where libcrypto looks when getrandom is not to its liking. */
	add_path(l, "/dev/urandom", false);
	add_authority(l, &t->main);
	add_authority(l, &t->message);
}

/* --- the whole --------------------------------------------------------- */

static int
need_all(const struct config *c, const char *what, struct err *e)
{
	if (c->sandbox.sandbox != CONFIG_SANDBOX_REQUIRED)
		return 0;
	(void)err_set(e, "[sandbox] sandbox = required, but %s", what);
	e->code = EPERM;
	return -1;
}

static int
find_user(const struct config *c, struct forward_jail *jail, struct err *e)
{
	static const char why[] =
	    "this is not root: the user cannot be changed";

	jail->root = geteuid() == 0;
	/* A service manager has made this the user already. */
	if (!jail->root &&
	    config_user_find(c->forwarder.user, &jail->user, e) == 0 &&
	    jail->user.uid == geteuid() && jail->user.gid == getegid())
		return 0;
	if (!jail->root) {
		(void)snprintf(jail->missing, sizeof(jail->missing),
		    "not started as root, so uid %d is kept; Landlock, "
		    "seccomp, limits and no_new_privs apply",
		    (int)geteuid());
		return need_all(c, why, e);
	}
	if (config_user_find(c->forwarder.user, &jail->user, e) != 0)
		return err_prefix(e, "[forwarder] user");
	return 0;
}

static int
note_no_landlock(
    const struct config *c, struct forward_jail *jail, struct err *e)
{
	static const char why[] = "this kernel has no Landlock: every file "
				  "that the forwarder's user may read stays "
				  "readable to it";
	size_t used = strlen(jail->missing);

	(void)snprintf(jail->missing + used, sizeof(jail->missing) - used,
	    "%s%s", used > 0 ? "; " : "", why);
	return need_all(c, why, e);
}

int
forward_enter_jail(const struct config *c, const struct targets *t,
    struct forward_jail *jail, struct err *e)
{
	const uint16_t ports[] = {
	    DNS_PORT, (uint16_t)t->main.port, (uint16_t)t->message.port};
	struct file_list *list = calloc(1, sizeof(*list));
	struct sandbox_files files = {
	    .ports = ports, .n_ports = ARRAY_LENGTH(ports)};
	struct role_jail steps = {.policy = "forwarder",
	    .action = c->sandbox.action == CONFIG_ACTION_KILL ? SANDBOX_KILL
							      : SANDBOX_TRAP,
	    .refused = report_refused_call,
	    .files = &files,
	    .root_fd = -1,
	    .descriptors = DESCRIPTORS,
	    /* Memory files; there are no others to be written. */
	    .file_size = ROW_FILE_MAX};
	int confined;

	*jail = (struct forward_jail){.root = false};
	if (list == NULL)
		return err_errno(e, "no memory for a list of files");
	if (find_user(c, jail, e) != 0) {
		free(list);
		return -1;
	}
	list_files(list, t);
	files.paths = list->paths;
	files.n_paths = list->n;
	steps.root = jail->root;
	steps.uid = jail->user.uid;
	steps.gid = jail->user.gid;
	confined = role_enter_jail(&steps, e);
	free(list);
	if (confined == SANDBOX_UNAVAILABLE)
		return note_no_landlock(c, jail, e);
	return confined;
}
