/*
 * holder.c - which process holds a port
 *
 * Run by the monitor when a bind fails and by `check`. Reads /proc/net/tcp,
 * /proc/net/tcp6 and the descriptor links of processes; nothing else.
 */
#include "monitor/holder.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"

#define TCP_LISTEN_STATE 0x0a

/* The kernel prints an address as words in its own byte order. */
static int
parse_hex_address(const char *hex, struct addr *a)
{
	static const uint8_t mapped[12] = {
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	size_t words = strlen(hex) / 8;
	uint8_t *at = a->ip;

	if (strlen(hex) % 8 != 0 || (words != 1 && words != 4))
		return -1;
	if (words == 1) {
		memcpy(a->ip, mapped, sizeof(mapped));
		at += sizeof(mapped);
	}
	for (size_t i = 0; i < words; i++) {
		char word[9] = {0};
		uint32_t v;

		memcpy(word, hex + 8 * i, 8);
		v = (uint32_t)strtoul(word, NULL, 16);
		memcpy(at + 4 * i, &v, sizeof(v));
	}
	return 0;
}

static bool
in_the_way(const struct endpoint *wanted, const struct endpoint *held)
{
	bool same_family = addr_is_v4(&wanted->addr) == addr_is_v4(&held->addr);

	if (wanted->port != held->port)
		return false;
	if (addr_equal(&wanted->addr, &held->addr))
		return true;
	/* [::] without v6only holds IPv4 too. */
	if (addr_is_any(&held->addr))
		return same_family || !addr_is_v4(&held->addr);
	return same_family && addr_is_any(&wanted->addr);
}

/* 0 and a listening socket in the way, from one table. */
static int
find_in_table(const char *path, const struct endpoint *wanted, struct holder *h)
{
	FILE *f = fopen(path, "re");
	char line[512];
	int found = -1;

	if (f == NULL)
		return -1;
	while (found != 0 && fgets(line, sizeof(line), f) != NULL) {
		char hex[40];
		unsigned int port, state;
		struct endpoint held = {0};

		if (sscanf(line,
			" %*u: %39[0-9A-F]:%4x %*[0-9A-F]:%*x %2x %*s %*s "
			"%*s %*s %*s %" SCNu64,
			hex, &port, &state, &h->inode) != 4 ||
		    state != TCP_LISTEN_STATE ||
		    parse_hex_address(hex, &held.addr) != 0)
			continue;
		held.port = (uint16_t)port;
		if (in_the_way(wanted, &held)) {
			h->at = held;
			found = 0;
		}
	}
	(void)fclose(f);
	return found;
}

bool
holder_has(const struct holder *h, pid_t pid)
{
	char path[64], wanted[40], target[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	(void)snprintf(
	    wanted, sizeof(wanted), "socket:[%" PRIu64 "]", h->inode);
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		ssize_t n = readlinkat(
		    dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		found = strcmp(target, wanted) == 0;
	}
	(void)closedir(dir);
	return found;
}

static void
read_name(pid_t pid, char name[HOLDER_NAME_SIZE])
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fgets(name, HOLDER_NAME_SIZE, f) != NULL)
		name[strcspn(name, "\n")] = '\0';
	(void)fclose(f);
}

/* Whoever systemd keeps it for says more than systemd. */
static void
find_process(struct holder *h)
{
	char name[HOLDER_NAME_SIZE] = "";
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (proc == NULL)
		return;
	read_name(1, name);
	h->by_systemd = strcmp(name, "systemd") == 0 && holder_has(h, 1);
	while (h->pid == 0 && (entry = readdir(proc)) != NULL) {
		uint64_t pid;

		if (number_parse(span_of(entry->d_name), h->by_systemd ? 2 : 1,
			INT32_MAX, &pid) == 0 &&
		    holder_has(h, (pid_t)pid))
			h->pid = (pid_t)pid;
	}
	(void)closedir(proc);
	if (h->pid == 0 && h->by_systemd)
		h->pid = 1;
	if (h->pid != 0)
		read_name(h->pid, h->name);
}

int
holder_find(const struct endpoint *wanted, struct holder *h)
{
	memset(h, 0, sizeof(*h));
	if (find_in_table("/proc/net/tcp", wanted, h) != 0 &&
	    find_in_table("/proc/net/tcp6", wanted, h) != 0)
		return -1;
	find_process(h);
	return 0;
}
