/*
 * listen_explain.c - why a port could not be opened, and what to do
 *
 * Runs in the monitor and in `check`.
 */
#include "monitor/listen_explain.h"

#include <errno.h>
#include <string.h>

#include "monitor/address.h"
#include "monitor/holder.h"

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
explain_no_family(const char *shown, const char *section, struct err *e)
{
	return err_set(e,
	    "%s: this machine has no IPv6; take the address out of [%s] "
	    "listen",
	    shown, section);
}

int
listener_explain(
    const struct endpoint *at, const char *section, int cause, struct err *e)
{
	char shown[ENDPOINT_TEXT_SIZE];

	endpoint_format(at, shown);
	switch (cause) {
	case EADDRINUSE:
		(void)explain_taken(at, section, shown, e);
		break;
	case EACCES:
		(void)err_set(e,
		    "%s: ports below 1024 need root, the packaged unit's "
		    "CAP_NET_BIND_SERVICE, or systemd socket activation; never "
		    "setcap on the file: an upgrade would unbind the port",
		    shown);
		break;
	case EADDRNOTAVAIL:
		(void)explain_missing(at, shown, e);
		break;
	case EAFNOSUPPORT:
		(void)explain_no_family(shown, section, e);
		break;
	default:
		errno = cause;
		return err_errno(e, "%s: cannot listen", shown);
	}
	e->code = cause;
	return -1;
}

/* What this process sees of networks is not what the binder saw. */
int
listener_explain_binder(
    const struct endpoint *at, const char *section, int cause, struct err *e)
{
	char shown[ENDPOINT_TEXT_SIZE];

	endpoint_format(at, shown);
	switch (cause) {
	case EADDRINUSE:
		(void)err_set(e,
		    "%s: the port is taken; `postal-tracker check` as root "
		    "says by whom, and what to do",
		    shown);
		break;
	case EACCES:
	case EPERM:
		(void)err_set(e,
		    "%s: the binder may not open it; "
		    "postal-tracker-binder@.service as it is packaged has "
		    "CAP_NET_BIND_SERVICE: look for a drop-in",
		    shown);
		break;
	case EADDRNOTAVAIL:
		(void)err_set(e,
		    "%s: this address is not on this machine, or not ready "
		    "yet; `ip addr` lists those that are",
		    shown);
		break;
	case EAFNOSUPPORT:
		(void)explain_no_family(shown, section, e);
		break;
	default:
		errno = cause;
		return err_errno(e, "%s: cannot listen", shown);
	}
	e->code = cause;
	return -1;
}
