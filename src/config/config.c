/*
 * config.c - tracker.conf and its drop-ins, from the disk
 *
 * Run by the monitor, the forwarder and the commands, with the rights of
 * whoever started them. Only regular files are read, and none is written.
 */
#include "config/internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef TRACKER_SYSCONFDIR
#define TRACKER_SYSCONFDIR "/etc"
#endif

#define FILE_MOST (1U << 20)

const char *
config_default_path(void)
{
	return TRACKER_SYSCONFDIR "/postal-tracker/tracker.conf";
}

const char *
config_acme_path(void)
{
	return TRACKER_SYSCONFDIR "/postal-tracker/acme.conf";
}

static void
add_error(struct config_work *w, const char *path, const struct err *e)
{
	config_add_error(w->errors, path, 0, e);
}

/* Reads at most FILE_MOST bytes; the buffer has room for one more. */
static int
read_file(int fd, uint8_t *buffer, size_t *len, struct err *e)
{
	ssize_t got = 1;

	*len = 0;
	while (got > 0) {
		got = read(fd, buffer + *len, FILE_MOST + 1 - *len);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got < 0)
			return err_errno(e, "cannot read");
		else
			*len += (size_t)got;
		if (*len > FILE_MOST)
			return err_set(e, "is larger than 1 MiB");
	}
	return 0;
}

static void
load_file(struct config_work *w, const char *path, bool required)
{
	uint8_t *buffer = NULL;
	struct err e = {0};
	struct stat st;
	size_t len = 0;
	int fd = fd_open_file(path, &st, &e);

	if (fd < 0) {
		if (required || e.code != ENOENT)
			add_error(w, path, &e);
		return;
	}
	buffer = malloc(FILE_MOST + 1);
	if (buffer == NULL)
		(void)err_set(&e, "out of memory");
	if (buffer == NULL || read_file(fd, buffer, &len, &e) != 0)
		add_error(w, path, &e);
	else
		config_parse_file(w, path, (struct span){buffer, len});
	free(buffer);
	fd_close(&fd);
}

static int
is_drop_in(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > strlen(".conf") &&
	       strcmp(entry->d_name + len - strlen(".conf"), ".conf") == 0;
}

/* alphasort(3) would ask the locale. */
static int
compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void
load_drop_ins(struct config_work *w, const char *directory)
{
	struct dirent **entries = NULL;
	char path[PATH_MAX + NAME_MAX + 2];
	int n = scandir(directory, &entries, is_drop_in, compare_names);
	struct err e;

	if (n < 0) {
		if (errno != ENOENT) {
			(void)err_errno(&e, "cannot list");
			add_error(w, directory, &e);
		}
		return;
	}
	for (int i = 0; i < n; i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		load_file(w, path, true);
		free(entries[i]);
	}
	free(entries);
}

int
config_load(const char *path, struct config *c, struct config_origins *origins,
    struct config_errors *errors)
{
	struct config_work *w = config_work_new(errors);
	const char *main_file = path != NULL ? path : config_default_path();
	char directory[PATH_MAX];
	int len;

	if (w == NULL)
		return -1;
	load_file(w, main_file, path != NULL);
	len = snprintf(directory, sizeof(directory), "%s.d", main_file);
	/* A longer name was refused by the kernel already. */
	if (len > 0 && (size_t)len < sizeof(directory))
		load_drop_ins(w, directory);
	return config_work_finish(w, c, origins);
}
