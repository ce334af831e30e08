/*
 * certificate_fuzzer.c - PEM of certificates and of private keys
 *
 * The first byte says what the rest is: PEM as it stands, or DER that is put
 * into PEM here (so that the fuzzer need not invent base64). Properties: all
 * spans of a chain lie in its memory; each name is found in the set, and in
 * the certificate; a key is taken for a certificate only when it is its own.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fuzz/demand.h"
#include "tests/unit/tls_world.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 8192
#define PEM_MAX (2 * INPUT_MAX + 100)

static char pem[PEM_MAX];

static struct span
to_pem(struct span der, const char *label)
{
	size_t n = br_pem_encode(NULL, NULL, der.len, label, 0);

	demand(n < sizeof(pem));
	br_pem_encode(pem, der.p, der.len, label, 0);
	return (struct span){(const uint8_t *)pem, n};
}

static void
check_chain(struct span text)
{
	static const struct hash_key key = {3, 4};
	static uint8_t memory[PEM_MAX];
	struct span whole = {memory, text.len}, rest, name;
	struct tls_certificate c;
	struct tls_entry entry;
	struct tls_set *set;
	struct err e;
	size_t n = 0;

	if (tls_certificate_parse(&c, text, memory, text.len, &e) != 0) {
		demand(strlen(e.text) > 0);
		return;
	}
	demand(c.n_chain >= 1 && c.n_chain <= TLS_CHAIN_MAX);
	for (size_t i = 0; i < c.n_chain; i++)
		demand_inside(c.chain[i], whole);
	demand_inside(c.names, whole);
	demand_inside(c.key.point, whole);
	demand_inside(c.key.modulus, whole);
	demand_inside(c.key.exponent, whole);
	demand(tls_signature_size(&c.key) <= TLS_SIGNATURE_MAX);
	set = tls_set_new(&key);
	demand(set != NULL);
	demand(tls_set_add(set, text, 1, (struct span){0}, &e) == 0);
	rest = c.names;
	for (; tls_certificate_next_name(&rest, &name); n++) {
		demand_inside(name, whole);
		demand(name.len == 1 ||
		       tls_set_find(set, name, c.not_before, &entry));
		if (name.p[0] != '*' && name.p[0] != '.')
			demand(tls_certificate_covers(&c, name));
	}
	demand(n == c.n_names);
	tls_set_release(set);
}

static void
check_key(const struct world *w, struct span text)
{
	for (int i = WORLD_EC; i < WORLD_KEYS; i++) {
		struct err e = {0};
		struct keeper_key *k = keeper_key_new(text, &w->publics[i], &e);

		if (k == NULL)
			demand(strlen(e.text) > 0);
		else
			demand(keeper_key_kind(k) == w->publics[i].kind);
		keeper_key_free(k);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	static bool ready;
	struct span bytes;

	if (!ready)
		world_init(&world);
	ready = true;
	if (size < 1 || size > INPUT_MAX)
		return 0;
	bytes = (struct span){data + 1, size - 1};
	switch (data[0] % 5) {
	case 0:
		check_chain(bytes);
		check_key(&world, bytes);
		break;
	case 1:
		check_chain(to_pem(bytes, "CERTIFICATE"));
		break;
	case 2:
		check_key(&world, to_pem(bytes, "PRIVATE KEY"));
		break;
	case 3:
		check_key(&world, to_pem(bytes, "RSA PRIVATE KEY"));
		break;
	default:
		check_key(&world, to_pem(bytes, "EC PRIVATE KEY"));
	}
	return 0;
}
