/*
 * certificates.c - what is served, as the monitor sent it
 *
 * Runs in the web worker. Chains come one by one, and each is read when it
 * comes, one in a round of events: that takes 0.4 ms, and requests are not to
 * wait for a thousand of them. DONE makes a new set of all that there are.
 * Handshakes that began with the old set end with it. No private key ever
 * comes here: what is held is what every visitor is shown.
 */
#include "web/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"

int
certificates_open(struct web *w, struct err *e)
{
	struct https *h = &w->https;

	if (getrandom(&h->key, sizeof(h->key), 0) != sizeof(h->key))
		return err_errno(e, "no random bytes");
	h->server.set = tls_set_new(&h->key);
	if (h->server.set == NULL)
		return err_set(e, "no memory for certificates");
	return 0;
}

void
certificates_drop(struct web *w, uint32_t pair)
{
	struct https *h = &w->https;

	for (size_t i = 0; i < h->n_certificates; i++)
		if (h->certificates[i].pair == pair) {
			tls_chain_release(h->certificates[i].chain);
			h->certificates[i] =
			    h->certificates[--h->n_certificates];
			return;
		}
}

/*
 * Reads the chain in a file, by position, because other workers may have the
 * same open file. NULL with the reason.
 */
static struct tls_chain *
read_chain(int fd, uint32_t pair, struct err *e)
{
	uint8_t *bytes = malloc(IPC_CHAIN_FILE_MAX + 1);
	struct tls_chain *chain = NULL;
	size_t len = 0;
	ssize_t n = 1;

	while (bytes != NULL && n > 0 && len <= IPC_CHAIN_FILE_MAX) {
		n = pread(
		    fd, bytes + len, IPC_CHAIN_FILE_MAX + 1 - len, (off_t)len);
		if (n > 0)
			len += (size_t)n;
	}
	if (bytes == NULL || n < 0 || len > IPC_CHAIN_FILE_MAX)
		(void)err_set(e, "no memory, or it cannot be read");
	else
		chain = tls_chain_new((struct span){bytes, len}, pair, e);
	free(bytes);
	return chain;
}

static struct certificate *
new_row(struct https *h)
{
	struct certificate *grown = array_with_room(
	    h->certificates, h->n_certificates, sizeof(h->certificates[0]));

	if (grown == NULL)
		return NULL;
	h->certificates = grown;
	return &grown[h->n_certificates];
}

void
certificates_take(
    struct web *w, const struct ipc_certificate *certificate, int fd)
{
	struct certificate *row;
	char name[300];
	struct err e;

	certificates_drop(w, certificate->pair);
	row = new_row(&w->https);
	if (row == NULL)
		(void)err_set(&e, "no memory");
	else
		row->chain = read_chain(fd, certificate->pair, &e);
	if (row == NULL || row->chain == NULL) {
		log_err("certificate name=%s error=\"%s\"",
		    log_escape(certificate->name, name, sizeof(name)), e.text);
	} else {
		row->pair = certificate->pair;
		row->kind = certificate->kind;
		row->name_len = (uint8_t)certificate->name.len;
		memcpy(row->name, certificate->name.p, certificate->name.len);
		w->https.n_certificates++;
	}
	fd_close(&fd);
}

static int
add(struct tls_set *set, const struct certificate *row, struct err *e)
{
	struct span name = {row->name, row->name_len};

	switch (row->kind) {
	case IPC_CERTIFICATE_DEFAULT:
		return tls_set_enter_default(set, row->chain, e);
	case IPC_CERTIFICATE_OF_ROW:
		return tls_set_enter_where_none(set, row->chain, name, e);
	default:
		return tls_set_enter(set, row->chain, name, e);
	}
}

/* Those of Postal's table, or all others. */
static void
add_all(const struct https *h, struct tls_set *set, bool of_rows)
{
	char name[300];
	struct err e;

	for (size_t i = 0; i < h->n_certificates; i++) {
		const struct certificate *row = &h->certificates[i];
		struct span shown = {row->name, row->name_len};

		if ((row->kind == IPC_CERTIFICATE_OF_ROW) != of_rows)
			continue;
		if (add(set, row, &e) != 0)
			log_err("certificate name=%s error=\"%s\"",
			    log_escape(shown, name, sizeof(name)), e.text);
	}
}

void
certificates_use(struct web *w)
{
	struct https *h = &w->https;
	struct tls_set *set = tls_set_new(&h->key);

	if (set == NULL) {
		log_err("certificates error=\"no memory; the old ones stay\"");
		return;
	}
	/* What a person put into the directory comes first. */
	add_all(h, set, false);
	add_all(h, set, true);
	tls_set_release(h->server.set);
	h->server.set = set;
	h->known = true;
	log_debug("certificates n=%zu", tls_set_size(set));
	web_update_listening(w);
}
