/*
 * check_forwarder.c - `postal-tracker check`: the running forwarder, as the
 * daemon's store sees it
 */
#include <inttypes.h>

#include "cli/check.h"

static void
check_asides(struct check *k, const struct ipc_list *list)
{
	struct cursor c = cursor_of(list->records);
	struct ipc_aside_row row;

	for (size_t i = 0; i < list->count; i++) {
		ipc_next(&c, &ipc_aside_row_record, &row);
		check_say(k, "warn",
		    "forwarder: %" PRIu64 " events of server %" PRIu32
		    " are set aside%s: %.*s; %s",
		    row.n, row.server_id,
		    row.retry ? " and tried again" : " for good",
		    (int)row.reason.len, (const char *)row.reason.p,
		    row.retry ? "when that is mended they are written by "
				"themselves"
			      : "they cannot be written as they are, please "
				"report what is in the forwarder's log");
	}
}

void
check_forwarder(struct check *k, const struct ipc_status *s)
{
	const struct ipc_forwarder_state *f = &s->forwarder_state;

	if (s->mode != IPC_MODE_MYSQL)
		check_say(k, "FAIL",
		    "forwarder: the daemon runs in stand-alone mode; restart "
		    "it, so that it takes [postal] mode = mysql");
	else if (!s->forwarder)
		check_say(k, "FAIL",
		    "forwarder: not connected to the daemon, %" PRIu64
		    " events wait; start `postal-tracker forward`, or see its "
		    "log",
		    s->pending);
	else if (!f->connected)
		check_say(k, "FAIL",
		    "forwarder: pid %" PRIu32 " is not connected to MySQL, "
		    "%" PRIu64 " events wait: %.*s; %s",
		    s->forwarder_pid, s->pending, (int)f->error.len,
		    (const char *)f->error.p,
		    k->mysql_answers
			? "MySQL answers this command, and the forwarder "
			  "tries again within 10 s, or at once after "
			  "`systemctl reload postal-tracker-forwarder`; if "
			  "it stays so, see its log"
			: "the lines about MySQL say what to do");
	else if (f->error.len > 0)
		check_say(k, "warn",
		    "forwarder: pid %" PRIu32 ": %.*s; see its log",
		    s->forwarder_pid, (int)f->error.len,
		    (const char *)f->error.p);
	else
		check_say(k, "ok",
		    "forwarder: pid %" PRIu32 ", connected to MySQL",
		    s->forwarder_pid);
	check_asides(k, &s->asides);
}
