/*
 * listen.c - the sockets that visitors, and who watches us, connect to
 *
 * Runs in the monitor, which binds and never reads a byte from them, and in
 * `check`.
 */
#include "monitor/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/number.h"
#include "monitor/binder.h"
#include "monitor/fdstore.h"
#include "monitor/holder.h"
#include "monitor/listen_explain.h"

/* The queue of connections that no worker has taken yet; the kernel cuts it
 * to net.core.somaxconn. */
#define BACKLOG 4096
#define SYSTEMD_FIRST_FD 3
/* How long a port may be held by a tracker that is just ending. */
#define ENDING_WAIT_MS 2000
#define AGAIN_AFTER_US 100000

void
listeners_init(struct listeners *l)
{
	memset(l, 0, sizeof(*l));
}

void
listeners_clear(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		fd_close(&l->list[i].fd);
	for (size_t i = 0; i < l->n_aside; i++)
		fd_close(&l->aside[i].fd);
	l->n = l->n_web = l->n_https = l->n_aside = 0;
}

void
listeners_let_go(struct listeners *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n_aside; i++)
		if (l->aside[i].inherited)
			l->aside[kept++] = l->aside[i];
		else
			fd_close(&l->aside[i].fd);
	l->n_aside = kept;
}

bool
listeners_have(const struct listeners *l, const struct endpoint *at)
{
	for (size_t i = 0; i < l->n; i++)
		if (endpoint_equal(&l->list[i].at, at))
			return true;
	return false;
}

static int
read_number_variable(const char *name, uint64_t most, uint64_t *value)
{
	const char *text = getenv(name);

	return text == NULL ? -1 : number_parse(span_of(text), 0, most, value);
}

/* systemd's [::]:80 takes IPv4 too, unless its unit says otherwise. */
static bool
is_dual(int fd, const struct endpoint *at)
{
	int only = 1;
	socklen_t len = sizeof(only);

	return !addr_is_v4(&at->addr) &&
	       getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 &&
	       only == 0;
}

/* What is accepted has it too. Replies go out whole, and the last message of
 * a handshake just before one: nothing is to wait for an acknowledgement. */
static int
set_no_delay(int fd)
{
	int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int
inherit_one(int fd, struct listener *out, struct err *e)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	int listening = 0, type = 0;
	socklen_t listening_len = sizeof(listening), type_len = sizeof(type);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening,
		&listening_len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0)
		return err_errno(e, "descriptor %d of LISTEN_FDS", fd);
	if (endpoint_from_sockaddr(&sa, &out->at) != 0 || !listening ||
	    type != SOCK_STREAM)
		return err_set(e,
		    "descriptor %d of LISTEN_FDS is not a listening TCP "
		    "socket; the .socket unit needs ListenStream=",
		    fd);
	out->fd = fd;
	out->inherited = true;
	out->dual = is_dual(fd, &out->at);
	if (fd_set_cloexec(fd, 1) != 0 || fd_set_nonblock(fd) != 0 ||
	    set_no_delay(fd) != 0)
		return err_errno(e, "descriptor %d of LISTEN_FDS", fd);
	return 0;
}

/* Those that we gave systemd to keep are our own again. LISTEN_FDNAMES has
 * their names, in the order of the descriptors, between colons. */
static void
mark_stored(struct listeners *l)
{
	const char *name = getenv("LISTEN_FDNAMES");

	for (size_t i = 0; name != NULL && i < l->n; i++) {
		l->list[i].inherited = !fdstore_is_name(name);
		name = strchr(name, ':');
		name = name == NULL ? NULL : name + 1;
	}
}

int
listeners_inherit(struct listeners *l, struct err *e)
{
	uint64_t pid, n;

	if (read_number_variable("LISTEN_PID", INT32_MAX, &pid) != 0 ||
	    pid != (uint64_t)getpid() ||
	    read_number_variable("LISTEN_FDS", INT32_MAX, &n) != 0)
		return 0;
	if (n > CONFIG_LISTEN_MAX)
		return err_set(e, "LISTEN_FDS is %d; at most %d are possible",
		    (int)n, CONFIG_LISTEN_MAX);
	for (int i = 0; i < (int)n; i++) {
		if (inherit_one(SYSTEMD_FIRST_FD + i, &l->list[l->n], e) != 0)
			return -1;
		l->n++;
	}
	mark_stored(l);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return 0;
}

int
listener_socket(const struct endpoint *at, bool share, int *result)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(at, &sa);
	int on = 1;
	int fd = socket(sa.ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);

	if (fd < 0)
		return -1;
	if (set_no_delay(fd) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
			  sizeof(on)) != 0) ||
	    (sa.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) !=
		    0) ||
	    bind(fd, (const struct sockaddr *)&sa, len) != 0) {
		fd_close(&fd);
		return -1;
	}
	*result = fd;
	return 0;
}

int
listener_bind(
    const struct endpoint *at, const char *section, int *fd, struct err *e)
{
	*fd = -1;
	if (listener_socket(at, false, fd) != 0)
		return listener_explain(at, section, errno, e);
	return 0;
}

/* Under RestrictAddressFamilies= neither family is to be had. */
static bool
may_open_sockets(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool may = fd >= 0;

	fd_close(&fd);
	return may;
}

/* Of the opening of all sockets that one configuration names. */
struct opening {
	struct listeners *have;
	struct binder *binder;
	struct listeners *next;
};

static int
bind_or_ask(const struct opening *o, const struct endpoint *at,
    const char *section, bool share, int *fd, struct err *e)
{
	int cause;

	if (listener_socket(at, share, fd) == 0)
		return 0;
	cause = errno;
	if (cause != EAFNOSUPPORT || may_open_sockets())
		return listener_explain(at, section, cause, e);
	switch (binder_open_port(o->binder, at, share, fd, &cause, e)) {
	case BINDER_OPENED:
		return 0;
	case BINDER_REFUSED:
		return listener_explain_binder(at, section, cause, e);
	default:
		return -1;
	}
}

/* Whether a tracker of ours holds the port, which may be ending right now. */
static bool
held_by_tracker(const struct endpoint *at)
{
	struct holder h;

	/* Gone meanwhile; or root cannot see whose it is, because that
	 * process has given up all but its name already. */
	if (holder_find(at, &h) != 0 || (h.pid == 0 && geteuid() == 0))
		return true;
	return strcmp(h.name, "postal-tracker") == 0;
}

static int
open_one(const struct opening *o, const struct endpoint *at,
    const char *section, bool share, struct listener *out, struct err *e)
{
	uint64_t until = clock_mono_ms() + ENDING_WAIT_MS;

	while (bind_or_ask(o, at, section, share, &out->fd, e) != 0) {
		if (e->code != EADDRINUSE || clock_mono_ms() >= until ||
		    !held_by_tracker(at))
			return -1;
		(void)usleep(AGAIN_AFTER_US);
	}
	if (listen(out->fd, BACKLOG) != 0) {
		(void)listener_explain(at, section, errno, e);
		fd_close(&out->fd);
		return -1;
	}
	out->at = *at;
	out->inherited = out->dual = false;
	return 0;
}

/* Whether an open socket does what the wanted endpoint asks for. */
static bool
fits(const struct listener *have, const struct endpoint *wanted)
{
	if (have->fd < 0 || have->at.port != wanted->port)
		return false;
	return addr_equal(&have->at.addr, &wanted->addr) ||
	       (have->dual && addr_is_any(&have->at.addr) &&
		   addr_is_any(&wanted->addr));
}

static const struct listener *
find_in(const struct listener *list, size_t n, const struct endpoint *wanted)
{
	for (size_t i = 0; i < n; i++)
		if (fits(&list[i], wanted))
			return &list[i];
	return NULL;
}

static const struct listener *
find_fitting(const struct listeners *l, const struct endpoint *wanted)
{
	const struct listener *found = find_in(l->list, l->n, wanted);

	return found != NULL ? found : find_in(l->aside, l->n_aside, wanted);
}

/* What the endpoints of listeners are named by, in the order of the list. */
#define WANTED_LISTS 3
struct wanted {
	const char *section;
	const struct config_endpoints *at;
};

static void
wanted_of(const struct config *c, struct wanted wanted[WANTED_LISTS])
{
	wanted[0] = (struct wanted){"http", &c->http.listen};
	wanted[1] = (struct wanted){"https", &c->https.listen};
	wanted[2] = (struct wanted){"admin", &c->admin.listen};
}

static bool
names(const struct wanted wanted[WANTED_LISTS], const struct listener *have)
{
	for (size_t i = 0; i < WANTED_LISTS; i++)
		for (size_t j = 0; j < wanted[i].at->n; j++)
			if (fits(have, &wanted[i].at->list[j]))
				return true;
	return false;
}

static int
keep(const struct listener *old, struct listener *out, struct err *e)
{
	*out = *old;
	out->fd = fd_dup_above(old->fd, SYSTEMD_FIRST_FD);
	return out->fd < 0 ? err_errno(e, "cannot keep a listener") : 0;
}

/* Those of list that nothing names. */
static int
set_aside(const struct listener *list, size_t n,
    const struct wanted wanted[WANTED_LISTS], struct listeners *next,
    struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (names(wanted, &list[i]))
			continue;
		/* What systemd holds always has room, what was given up half
		 * of it; the rest goes now. */
		if (!list[i].inherited && next->n_aside >= CONFIG_LISTEN_MAX)
			continue;
		if (keep(&list[i], &next->aside[next->n_aside], e) != 0)
			return -1;
		next->n_aside++;
	}
	return 0;
}

/* That none is named twice was seen to when the configuration was read. */
static int
refuse_too_many(const struct wanted wanted[WANTED_LISTS], struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < WANTED_LISTS; i++)
		n += wanted[i].at->n;
	if (n > CONFIG_LISTEN_MAX)
		return err_set(e,
		    "[http] listen, [https] listen and [admin] listen "
		    "together name more than %d addresses",
		    CONFIG_LISTEN_MAX);
	return 0;
}

/*
 * 0.0.0.0:80 keeps 192.0.2.2:80 from being bound, also when the same process
 * wants both and the first only until the second serves. With SO_REUSEPORT on
 * both for that moment, and of one user, the kernel lets them be, and new
 * visitors go to the one that fits better. (The kernel remembers it of a port:
 * later sockets of this user that ask for SO_REUSEPORT may have it too.)
 * Whether there was such a one.
 */
static bool
lend_those(const struct listener *list, size_t n, uint16_t port, int on)
{
	bool lent = false;

	for (size_t i = 0; i < n; i++)
		if (list[i].at.port == port &&
		    setsockopt(list[i].fd, SOL_SOCKET, SO_REUSEPORT, &on,
			sizeof(on)) == 0)
			lent = true;
	return lent;
}

static bool
lend_port(const struct listeners *l, uint16_t port, int on)
{
	bool opened = lend_those(l->list, l->n, port, on);

	return lend_those(l->aside, l->n_aside, port, on) || opened;
}

static int
open_new(const struct opening *o, const struct endpoint *at,
    const char *section, struct listener *out, struct err *e)
{
	bool share = lend_port(o->have, at->port, 1);
	int failed, off = 0;

	share |= lend_port(o->next, at->port, 1);
	failed = open_one(o, at, section, share, out, e);
	(void)lend_port(o->have, at->port, 0);
	(void)lend_port(o->next, at->port, 0);
	if (failed == 0 && share)
		(void)setsockopt(
		    out->fd, SOL_SOCKET, SO_REUSEPORT, &off, sizeof(off));
	return failed;
}

/* A machine without IPv6 has a default that works; who names nothing else
 * wants to be told. */
static bool
may_do_without(const struct wanted *w, const struct endpoint *at, int cause)
{
	return cause == EAFNOSUPPORT && addr_is_any(&at->addr) &&
	       !addr_is_v4(&at->addr) && w->at->n > 1;
}

/* One of `have`, or a new one, added to next. */
static int
take_or_open(const struct opening *o, const struct wanted *w,
    const struct endpoint *at, struct err *e)
{
	const struct listener *old = find_fitting(o->have, at);
	struct listener *out = &o->next->list[o->next->n];

	if (find_fitting(o->next, at) != NULL)
		return 0;
	if (old != NULL) {
		if (keep(old, out, e) != 0)
			return -1;
	} else if (open_new(o, at, w->section, out, e) != 0) {
		if (!may_do_without(w, at, e->code))
			return -1;
		log_warn("listen left out: %s", e->text);
		return 0;
	}
	o->next->n++;
	return 0;
}

/*
 * Sockets are duplicated into next, so that a failure half-way leaves `have`
 * as it was; the duplicates refer to the same open sockets.
 */
int
listeners_open(struct listeners *have, const struct config *c,
    struct listeners *next, struct err *e)
{
	struct wanted wanted[WANTED_LISTS];
	size_t ends[WANTED_LISTS] = {0};
	struct binder binder = {.path = c->sandbox.binder, .channel.fd = -1};
	const struct opening o = {have, &binder, next};
	int failed = -1;

	listeners_init(next);
	wanted_of(c, wanted);
	if (refuse_too_many(wanted, e) != 0)
		return -1;
	for (size_t i = 0; i < WANTED_LISTS; i++) {
		for (size_t j = 0; j < wanted[i].at->n; j++)
			if (take_or_open(
				&o, &wanted[i], &wanted[i].at->list[j], e) != 0)
				goto out;
		ends[i] = next->n;
	}
	next->n_web = ends[1];
	next->n_https = ends[1] - ends[0];
	if (set_aside(have->list, have->n, wanted, next, e) != 0 ||
	    set_aside(have->aside, have->n_aside, wanted, next, e) != 0)
		goto out;
	failed = 0;
out:
	binder_close(&binder);
	listeners_clear(failed == 0 ? have : next);
	return failed;
}
