/*
 * check_clock.c - `postal-tracker check`: this machine's clock, by itself
 *
 * Events carry its time; certificates and Postal's pages are compared with
 * it. That of the database server is compared in check_mysql.c.
 */
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>

#include "base/clock.h"
#include "cli/check.h"

/* 2025-11-01: there was no postal-tracker before. */
#define FIRST_POSSIBLE_S INT64_C(1761955200)
/* A file may be a little ahead: it was written on the other side of a step
 * of the clock. */
#define AHEAD_MOST_S 300

static void
format_time(int64_t seconds, char *text, size_t size)
{
	time_t when = (time_t)seconds;
	struct tm utc;

	text[0] = '\0';
	if (gmtime_r(&when, &utc) != NULL)
		(void)strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* The last write of the spool, seconds; 0: there is none. */
static int64_t
spool_written(const struct check *k)
{
	static const char *const names[] = {"spool.db", "spool.db-wal"};
	char path[CONFIG_PATH_SIZE + 32];
	int64_t newest = 0;
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s",
		    k->config->spool.directory, names[i]);
		if (stat(path, &st) == 0 && st.st_mtime > newest)
			newest = st.st_mtime;
	}
	return newest;
}

static void
check_time(struct check *k)
{
	int64_t now = clock_wall_us() / 1000000, written = spool_written(k);
	char shown[40], then[40];

	format_time(now, shown, sizeof(shown));
	format_time(written, then, sizeof(then));
	if (now < FIRST_POSSIBLE_S)
		check_say(k, "FAIL",
		    "clock: it says %s, and this program is younger; set it "
		    "(`timedatectl set-ntp true`, or `date -s`)",
		    shown);
	else if (written > now + AHEAD_MOST_S)
		check_say(k, "FAIL",
		    "clock: it says %s, but the spool was written at %s, so "
		    "it went back; set it (`timedatectl set-ntp true`, or "
		    "`date -s`)",
		    shown, then);
	else
		check_say(k, "ok", "clock: %s", shown);
}

void
check_clock(struct check *k)
{
	struct timex t = {.modes = 0};
	int state;

	check_time(k);
	state = adjtimex(&t);
	if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
		check_say(k, "warn",
		    "clock: nothing keeps it in step (the kernel calls it "
		    "unsynchronised); run a time service such as "
		    "systemd-timesyncd or chrony, here or on the host of this "
		    "machine");
	else if (state >= 0)
		check_say(k, "ok", "clock: kept in step by a time service");
}
