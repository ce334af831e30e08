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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/number.h"
#include "monitor/address.h"
#include "monitor/holder.h"

/* The queue of connections that no worker has taken yet; the kernel cuts it
 * to net.core.somaxconn. */
#define BACKLOG 4096
#define SYSTEMD_FIRST_FD 3
/* How long a port may be held by a tracker that is just ending. */
#define ENDING_WAIT_MS 2000

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
	for (size_t i = 0; i < l->n_unnamed; i++)
		fd_close(&l->unnamed[i].fd);
	l->n = l->n_web = l->n_https = l->n_unnamed = 0;
}

static int
read_number_variable(const char *name, uint64_t most, uint64_t *value)
{
	const char *text = getenv(name);

	return text == NULL ? -1 : number_parse(span_of(text), 0, most, value);
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
	if (fd_set_cloexec(fd, 1) != 0 || fd_set_nonblock(fd) != 0)
		return err_errno(e, "descriptor %d of LISTEN_FDS", fd);
	return 0;
}

int
listeners_inherit(struct listeners *l, struct err *e)
{
	uint64_t pid, n;

	if (read_number_variable("LISTEN_PID", INT32_MAX, &pid) != 0 ||
	    pid != (uint64_t)getpid() ||
	    read_number_variable("LISTEN_FDS", INT32_MAX, &n) != 0)
		return 0;
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	if (n > CONFIG_LISTEN_MAX)
		return err_set(e, "LISTEN_FDS is %d; at most %d are possible",
		    (int)n, CONFIG_LISTEN_MAX);
	for (int i = 0; i < (int)n; i++) {
		if (inherit_one(SYSTEMD_FIRST_FD + i, &l->list[l->n], e) != 0)
			return -1;
		l->n++;
	}
	return 0;
}

static int
explain_taken(const struct endpoint *at, const char *section, const char *shown,
    struct err *e)
{
	char held_at[ENDPOINT_TEXT_SIZE];
	struct holder h;

	if (holder_find(at, &h) != 0)
		return err_set(e,
		    "%s: the port is taken, but no listening socket is in "
		    "sight; `ss -tan` shows connections that still use it",
		    shown);
	endpoint_format(&h.at, held_at);
	if (h.pid != 0 && addr_is_any(&h.at.addr) && !addr_is_any(&at->addr))
		return err_set(e,
		    "%s: the port is taken: %s (pid %d) listens on %s, which "
		    "is this port of every address; give each of its "
		    "listeners one address (nginx: `listen ADDRESS:%u`) and "
		    "restart it, a reload is not enough",
		    shown, h.name, (int)h.pid, held_at, (unsigned int)at->port);
	if (h.pid == 0)
		return err_set(e,
		    "%s: the port is taken: another process listens on %s; "
		    "`postal-tracker check` as root names it",
		    shown, held_at);
	return err_set(e,
	    "%s: the port is taken: %s (pid %d) listens on %s; stop it, make "
	    "it listen on its own address only, or choose another [%s] "
	    "listen",
	    shown, h.name, (int)h.pid, held_at, section);
}

/* Without IPv6 there is still IPv4; under RestrictAddressFamilies= neither. */
static int
explain_no_family(const char *shown, const char *section, struct err *e)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(e,
		    "%s: the service may not open ports itself, and systemd "
		    "passes none for this: `systemctl status "
		    "postal-tracker.socket`; to add it `systemctl edit "
		    "postal-tracker.socket`, [Socket] ListenStream=%s",
		    shown, shown);
	fd_close(&fd);
	return err_set(e,
	    "%s: this machine has no IPv6; take the address out of [%s] "
	    "listen",
	    shown, section);
}

static int
explain_missing(const struct endpoint *at, const char *shown, struct err *e)
{
	switch (address_find_v6(&at->addr)) {
	case ADDRESS_TENTATIVE:
		return err_set(e,
		    "%s: this address is tentative: the kernel still asks "
		    "whether another machine has it; start after "
		    "network-online.target, and look at the link with "
		    "`ip -6 addr show tentative`",
		    shown);
	case ADDRESS_DUPLICATE:
		return err_set(e,
		    "%s: another machine of this network has this address "
		    "(dadfailed); take it away there, or listen on another "
		    "one",
		    shown);
	default:
		return err_set(e,
		    "%s: this address is not on this machine; `ip addr` lists "
		    "those that are",
		    shown);
	}
}

static int
explain(const struct endpoint *at, const char *section, const char *shown,
    struct err *e)
{
	switch (errno) {
	case EADDRINUSE:
		(void)explain_taken(at, section, shown, e);
		e->code = EADDRINUSE;
		return -1;
	case EACCES:
		(void)err_set(e,
		    "%s: ports below 1024 need root, the packaged unit's "
		    "CAP_NET_BIND_SERVICE, or systemd socket activation; never "
		    "setcap on the file: an upgrade would unbind the port",
		    shown);
		e->code = EACCES;
		return -1;
	case EADDRNOTAVAIL:
		(void)explain_missing(at, shown, e);
		e->code = EADDRNOTAVAIL;
		return -1;
	case EAFNOSUPPORT:
		(void)explain_no_family(shown, section, e);
		e->code = EAFNOSUPPORT;
		return -1;
	default:
		return err_errno(e, "%s: cannot listen", shown);
	}
}

int
listener_bind(
    const struct endpoint *at, const char *section, int *fd, struct err *e)
{
	char shown[ENDPOINT_TEXT_SIZE];
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(at, &sa);
	int on = 1;

	endpoint_format(at, shown);
	*fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    IPPROTO_TCP);
	if (*fd < 0)
		return explain(at, section, shown, e);
	if (setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    (sa.ss_family == AF_INET6 &&
		setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) !=
		    0) ||
	    bind(*fd, (const struct sockaddr *)&sa, len) != 0) {
		(void)explain(at, section, shown, e);
		fd_close(fd);
		return -1;
	}
	return 0;
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
open_one(const struct endpoint *at, const char *section, struct listener *out,
    struct err *e)
{
	uint64_t until = clock_mono_ms() + ENDING_WAIT_MS;
	char shown[ENDPOINT_TEXT_SIZE];

	while (listener_bind(at, section, &out->fd, e) != 0) {
		if (e->code != EADDRINUSE || clock_mono_ms() >= until ||
		    !held_by_tracker(at))
			return -1;
		(void)usleep(20000);
	}
	if (listen(out->fd, BACKLOG) != 0) {
		endpoint_format(at, shown);
		(void)explain(at, section, shown, e);
		fd_close(&out->fd);
		return -1;
	}
	out->at = *at;
	out->inherited = false;
	return 0;
}

/* Whether an open socket does what the wanted endpoint asks for; systemd's
 * [::]:80 takes IPv4 too. */
static bool
fits(const struct listener *have, const struct endpoint *wanted)
{
	if (have->fd < 0 || have->at.port != wanted->port)
		return false;
	return addr_equal(&have->at.addr, &wanted->addr) ||
	       (have->inherited && addr_is_any(&have->at.addr) &&
		   !addr_is_v4(&have->at.addr) && addr_is_any(&wanted->addr));
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

	return found != NULL ? found
			     : find_in(l->unnamed, l->n_unnamed, wanted);
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

/* Those of list that systemd holds and nothing names. */
static int
keep_unnamed(const struct listener *list, size_t n,
    const struct wanted wanted[WANTED_LISTS], struct listeners *next,
    struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct listener *out = &next->unnamed[next->n_unnamed];

		if (!list[i].inherited || names(wanted, &list[i]))
			continue;
		if (keep(&list[i], out, e) != 0)
			return -1;
		next->n_unnamed++;
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

/* One of `have`, or a new one, added to next. */
static int
take_or_open(struct listeners *have, const struct endpoint *at,
    const char *section, struct listeners *next, struct err *e)
{
	const struct listener *old = find_fitting(have, at);
	struct listener *out = &next->list[next->n];

	if (find_fitting(next, at) != NULL)
		return 0;
	if (old != NULL) {
		if (keep(old, out, e) != 0)
			return -1;
	} else if (open_one(at, section, out, e) != 0) {
		return -1;
	}
	next->n++;
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

	listeners_init(next);
	wanted_of(c, wanted);
	if (refuse_too_many(wanted, e) != 0)
		return -1;
	for (size_t i = 0; i < WANTED_LISTS; i++) {
		for (size_t j = 0; j < wanted[i].at->n; j++)
			if (take_or_open(have, &wanted[i].at->list[j],
				wanted[i].section, next, e) != 0)
				goto out;
		ends[i] = next->n;
	}
	next->n_web = ends[1];
	next->n_https = ends[1] - ends[0];
	if (keep_unnamed(have->list, have->n, wanted, next, e) != 0 ||
	    keep_unnamed(have->unnamed, have->n_unnamed, wanted, next, e) != 0)
		goto out;
	listeners_clear(have);
	return 0;
out:
	listeners_clear(next);
	return -1;
}
