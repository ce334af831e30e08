/*
 * target.c - [main_db] and [message_db] as the two places to connect to
 *
 * Runs in the forwarder before its jail, and in `check`.
 */
#include "forward/target.h"

#include <string.h>

static const char *
or_main(const char *own, const char *of_main)
{
	return own[0] != '\0' ? own : of_main;
}

static struct sql_target
of_main(const struct config_database *d)
{
	return (struct sql_target){.host = d->host,
	    .port = (unsigned int)d->port,
	    .socket = d->socket,
	    .user = d->user,
	    .password = "",
	    .database = d->database,
	    .tls_ca = d->tls_ca,
	    .connect_timeout_s = TARGET_CONNECT_TIMEOUT_S,
	    .io_timeout_s = TARGET_IO_TIMEOUT_S,
	    .lock_timeout_s = TARGET_LOCK_TIMEOUT_S};
}

static struct sql_target
of_message(const struct config_database *d, const struct sql_target *main)
{
	struct sql_target t = *main;

	/* A host of its own is a reason not to use the other's socket. */
	t.socket =
	    d->host[0] != '\0' ? d->socket : or_main(d->socket, main->socket);
	t.host = or_main(d->host, main->host);
	if (d->port != 0)
		t.port = (unsigned int)d->port;
	t.user = or_main(d->user, main->user);
	t.database = "";
	t.tls_ca = or_main(d->tls_ca, main->tls_ca);
	return t;
}

static bool
is_same_server(const struct sql_target *a, const struct sql_target *b)
{
	if (strcmp(a->socket, b->socket) != 0)
		return false;
	if (a->socket[0] != '\0')
		return true;
	return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

static bool
is_same_login(const struct sql_target *a, const struct sql_target *b)
{
	return strcmp(a->user, b->user) == 0 &&
	       strcmp(a->password, b->password) == 0 &&
	       (a->socket[0] != '\0' || strcmp(a->tls_ca, b->tls_ca) == 0);
}

static void
compare(struct targets *t)
{
	t->same_server = is_same_server(&t->main, &t->message);
	t->same_connection =
	    t->same_server && is_same_login(&t->main, &t->message);
}

void
targets_resolve(const struct config *c, struct targets *t)
{
	memset(t, 0, sizeof(*t));
	t->main = of_main(&c->main_db);
	t->message = of_message(&c->message_db, &t->main);
	t->prefix = c->message_db.prefix;
	compare(t);
}

int
targets_open(const struct config *c, struct targets *t, struct err *e)
{
	targets_resolve(c, t);
	if (secret_find(&t->main_secret, c->main_db.password_file,
		TARGET_MAIN_CREDENTIAL, e) != 0)
		return err_prefix(e, "[main_db]");
	if (secret_find(&t->message_secret, c->message_db.password_file,
		TARGET_MESSAGE_CREDENTIAL, e) != 0)
		return err_prefix(e, "[message_db]");
	t->main.password = secret_text(&t->main_secret);
	t->message.password = t->message_secret.text != NULL
				  ? secret_text(&t->message_secret)
				  : t->main.password;
	compare(t);
	return 0;
}

void
targets_clear(struct targets *t)
{
	secret_clear(&t->main_secret);
	secret_clear(&t->message_secret);
	t->main.password = t->message.password = "";
}
