/*
 * keys.c - the keys that the keeper has, by the monitor's number
 *
 * Runs in the keeper, after its jail. Files are read from descriptors; what is
 * read of a key is wiped as soon as it is decoded.
 */
#include "keeper/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"

_Static_assert(IPC_KEY_FILE_MAX == KEEPER_PEM_MAX, "one limit");

/* The whole file, of at most `most` bytes, into text. */
static int
read_file(int fd, uint8_t *text, size_t most, struct span *all, struct err *e)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = pread(fd, text + len, most + 1 - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "cannot be read");
		len += (size_t)n;
		if (len > most)
			return err_set(e, "longer than %zu bytes", most);
		if (n == 0)
			break;
	}
	*all = (struct span){text, len};
	return 0;
}

int
keys_open(struct keys *p, struct err *e)
{
	p->text = malloc(IPC_CHAIN_FILE_MAX + 1);
	p->der = malloc(IPC_CHAIN_FILE_MAX);
	if (p->text == NULL || p->der == NULL)
		return err_errno(e, "no memory for keys");
	return 0;
}

void
keys_close(struct keys *p)
{
	for (size_t i = 0; i < p->n; i++)
		keeper_key_free(p->list[i].key);
	p->n = 0;
	free(p->text);
	free(p->der);
	p->text = p->der = NULL;
}

/* The place of the first pair whose number is not below id. */
static size_t
place_of(const struct keys *p, uint32_t id)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->list[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct keeper_key *
keys_find(const struct keys *p, uint32_t id)
{
	size_t i = place_of(p, id);

	return i < p->n && p->list[i].id == id ? p->list[i].key : NULL;
}

void
keys_drop(struct keys *p, uint32_t id)
{
	size_t i = place_of(p, id);

	if (i == p->n || p->list[i].id != id)
		return;
	keeper_key_free(p->list[i].key);
	p->n--;
	memmove(&p->list[i], &p->list[i + 1], (p->n - i) * sizeof(p->list[0]));
}

int
keys_chain(struct keys *p, const struct ipc_pair_chain *chain, int fd)
{
	struct span pem = {NULL, 0};

	if (p->half != 0 || keys_find(p, chain->pair) != NULL)
		return -1;
	p->half = chain->pair;
	p->half_of_row = span_starts(chain->name, span_of(IPC_NAME_OF_ROWS));
	p->half_status = 0;
	if (read_file(fd, p->text, IPC_CHAIN_FILE_MAX, &pem, &p->half_error) !=
		0 ||
	    tls_certificate_parse(&p->chain, pem, p->der, IPC_CHAIN_FILE_MAX,
		&p->half_error) != 0) {
		(void)err_prefix(&p->half_error, "%s",
		    p->half_of_row ? "columns certificate and intermediaries"
				   : "fullchain.pem");
		p->half_status = -1;
	}
	return 0;
}

void
keys_describe(const struct keys *p, struct ipc_pair_result *result)
{
	const struct tls_certificate *c = &p->chain;

	if (p->half_status != 0)
		return;
	if (!c->in_order)
		result->chain = IPC_CHAIN_DISORDER;
	else if (c->n_chain > 1)
		result->chain = IPC_CHAIN_COMPLETE;
	else
		result->chain =
		    c->to_root ? IPC_CHAIN_SELF_ISSUED : IPC_CHAIN_LONE;
	result->n_chain = (uint8_t)c->n_chain;
	result->n_names = (uint16_t)c->n_names;
	result->not_before = c->not_before;
	result->not_after = c->not_after;
}

static struct keeper_key *
read_key(struct keys *p, int fd, struct err *e)
{
	struct keeper_key *key = NULL;
	struct span pem = {NULL, 0};

	if (read_file(fd, p->text, IPC_KEY_FILE_MAX, &pem, e) == 0)
		key = keeper_key_new(pem, &p->chain.key, e);
	explicit_bzero(p->text, IPC_KEY_FILE_MAX + 1);
	if (key == NULL)
		(void)err_prefix(
		    e, "%s", p->half_of_row ? "column key" : "privkey.pem");
	return key;
}

enum keys_result
keys_key(struct keys *p, uint32_t id, int fd, struct err *e)
{
	struct keeper_key *key;
	size_t i;

	if (p->half != id)
		return KEYS_ORDER;
	p->half = 0;
	if (p->half_status != 0) {
		*e = p->half_error;
		return KEYS_BAD;
	}
	if (p->n == ARRAY_LENGTH(p->list)) {
		(void)err_set(e, "more than %zu pairs", p->n);
		return KEYS_BAD;
	}
	key = read_key(p, fd, e);
	if (key == NULL)
		return KEYS_BAD;
	i = place_of(p, id);
	memmove(&p->list[i + 1], &p->list[i], (p->n - i) * sizeof(p->list[0]));
	p->list[i] = (struct key){id, key};
	p->n++;
	return KEYS_TAKEN;
}
