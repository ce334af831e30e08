/*
 * import_databases.c - `import-config`: Postal's databases and their passwords
 *
 * A password is printed only when it is asked for, and written to no file that
 * exists.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "cli/import_config.h"

static const struct {
	const char *section, *key;
	struct import_name name;
} rows[] = {
    {"main_db", "host",
	{"main_db.host", "main_db.host", "MAIN_DB_HOST", "MAIN_DB_HOST"}},
    {"main_db", "port",
	{"main_db.port", "main_db.port", "MAIN_DB_PORT", "MAIN_DB_PORT"}},
    {"main_db", "user",
	{"main_db.username", "main_db.username", "MAIN_DB_USERNAME",
	    "MAIN_DB_USERNAME"}},
    {"main_db", "database",
	{"main_db.database", "main_db.database", "MAIN_DB_DATABASE",
	    "MAIN_DB_DATABASE"}},
    {"message_db", "host",
	{"message_db.host", "message_db.host", "MESSAGE_DB_HOST",
	    "MESSAGE_DB_HOST"}},
    {"message_db", "port",
	{"message_db.port", "message_db.port", "MESSAGE_DB_PORT",
	    "MESSAGE_DB_PORT"}},
    {"message_db", "user",
	{"message_db.username", "message_db.username", "MESSAGE_DB_USERNAME",
	    "MESSAGE_DB_USERNAME"}},
    {"message_db", "prefix",
	{"message_db.prefix", "message_db.database_name_prefix",
	    "MESSAGE_DB_PREFIX", "MESSAGE_DB_DATABASE_NAME_PREFIX"}},
};

static const struct import_name main_password = {"main_db.password",
    "main_db.password", "MAIN_DB_PASSWORD", "MAIN_DB_PASSWORD"};
static const struct import_name message_password = {"message_db.password",
    "message_db.password", "MESSAGE_DB_PASSWORD", "MESSAGE_DB_PASSWORD"};

/* What is said once is changed once: the account, most of all. */
static bool
is_as_main(struct import *im, size_t row, const struct import_value *value)
{
	struct import_value main;

	if (strcmp(rows[row].section, "message_db") != 0 || value->other)
		return false;
	for (size_t i = 0; i < row; i++) {
		if (strcmp(rows[i].key, rows[row].key) != 0)
			continue;
		import_find_value(im, &rows[i].name, &main);
		return main.text != NULL && !main.other &&
		       strcmp(main.text, value->text) == 0;
	}
	return false;
}

static void
put_row(struct import *im, size_t i)
{
	struct import_value value;

	import_find_value(im, &rows[i].name, &value);
	if (value.text == NULL)
		return;
	if (is_as_main(im, i, &value)) {
		import_comment(
		    im, rows[i].section, "%s: as in [main_db]", value.from);
		return;
	}
	import_put(im, rows[i].section, rows[i].key, value.text, value.where,
	    value.from);
	if (value.other)
		import_comment(im, NULL,
		    "(%s and the file differ; Postal 2.x takes the file's "
		    "value, 3.x the variable's)",
		    value.variable);
	if (strcmp(rows[i].key, "host") == 0 &&
	    strcmp(value.text, "localhost") == 0)
		import_comment(im, NULL,
		    "Postal reaches localhost by the server's Unix socket. "
		    "Here it is TCP; or set socket =");
}

/* --- passwords --------------------------------------------------------- */

/* path: NULL, or the file that is to hold it. */
static void
put_password(struct import *im, const char *section,
    const struct import_value *value, const char *path)
{
	if (strpbrk(value->text, "\r\n") != NULL) {
		import_wrong(im, value->where,
		    "a password of more than one line cannot be used here");
		return;
	}
	if (path != NULL) {
		import_put(
		    im, section, "password_file", path, path, value->from);
		return;
	}
	import_comment(im, section,
	    "%s: the password; --password-file PATH "
	    "writes it to a file",
	    value->from);
	if (im->options->show_password)
		import_comment(im, NULL, "It is: %.120s", value->text);
	import_comment(im, NULL, "#password_file = /etc/postal-tracker/%s",
	    strcmp(section, "main_db") == 0 ? "db-password"
					    : "message-db-password");
}

/* Beside the other one, by the name that the forwarder's unit looks for. */
static void
name_message_file(struct import *im)
{
	const char *path = im->options->password_file;
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	if (slash != NULL)
		(void)snprintf(im->message_file, sizeof(im->message_file),
		    "%.*s/message-%s", (int)(slash - path), path, slash + 1);
}

static void
put_passwords(struct import *im)
{
	const char *path = im->options->password_file;
	struct import_value *main = &im->password;
	struct import_value *message = &im->password_message;

	import_find_value(im, &main_password, main);
	import_find_value(im, &message_password, message);
	if (main->text != NULL && message->text != NULL &&
	    strcmp(main->text, message->text) == 0)
		message->text = NULL;
	name_message_file(im);
	if (main->text != NULL)
		put_password(im, "main_db", main, path);
}

static int
write_password(const char *path, const char *password, struct err *e)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	size_t len = strlen(password);

	if (fd < 0)
		return err_errno(e, "--password-file %s", path);
	if (write(fd, password, len) != (ssize_t)len ||
	    write(fd, "\n", 1) != 1 || fsync(fd) != 0) {
		(void)err_errno(e, "--password-file %s", path);
		(void)unlink(path);
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

int
import_write_passwords(const struct import *im, struct err *e)
{
	const char *path = im->options->password_file;
	const char *main = im->password.text;
	const char *message = im->password_message.text;

	if (path == NULL)
		return 0;
	if (main != NULL && write_password(path, main, e) != 0)
		return -1;
	if (message == NULL ||
	    write_password(im->message_file, message, e) == 0)
		return 0;
	/* Nothing is printed either: it was made for nothing. */
	if (main != NULL)
		(void)unlink(path);
	return -1;
}

/* --- all of it --------------------------------------------------------- */

static bool
is_imported(const struct import *im, const char *path)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (strcmp(path, im->format == 2 ? rows[i].name.path2
						 : rows[i].name.path1) == 0)
			return true;
	return strcmp(path, main_password.path1) == 0 ||
	       strcmp(path, message_password.path1) == 0;
}

/* Keys of the databases that mean nothing here. */
static void
put_left_over(struct import *im)
{
	for (size_t i = 0; im->file != NULL && i < im->file->n; i++) {
		const struct import_entry *entry = &im->file->entries[i];
		bool main = strncmp(entry->path, "main_db.", 8) == 0;

		if ((!main && strncmp(entry->path, "message_db.", 11) != 0) ||
		    is_imported(im, entry->path))
			continue;
		if (im->format == 2 &&
		    strcmp(entry->path, "message_db.prefix") == 0)
			import_comment(im, NULL,
			    "%s:%u, message_db.prefix: Postal ignores it in "
			    "this format; it is database_name_prefix",
			    im->name, entry->line);
		else
			import_comment(im, NULL,
			    "%s:%u, %.60s: has no counterpart here", im->name,
			    entry->line, entry->path);
	}
}

void
import_put_databases(struct import *im)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (strcmp(rows[i].section, "main_db") == 0)
			put_row(im, i);
	put_passwords(im);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (strcmp(rows[i].section, "message_db") == 0)
			put_row(im, i);
	if (im->password_message.text != NULL)
		put_password(im, "message_db", &im->password_message,
		    im->options->password_file != NULL ? im->message_file
						       : NULL);
	put_left_over(im);
}
