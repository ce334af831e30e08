/*
 * sign_request_fuzzer.c - what a hijacked worker might ask the keeper to sign
 *
 * The first byte is the hash. Properties: what is signed has the shape of a
 * key exchange, byte for byte; the size of a signature is that of the key;
 * nothing is written for what is refused.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fuzz/demand.h"
#include "tests/unit/tls_world.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_shape(struct span b)
{
	demand(b.len == 64 + 4 + 32 || b.len == 64 + 4 + 65);
	demand(b.p[64] == 3 && b.p[65] == 0);
	demand(b.p[67] == b.len - 68);
	if (b.len == 64 + 4 + 32)
		demand(b.p[66] == 29);
	else
		demand(b.p[66] == 23 && b.p[68] == 4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	static bool ready;
	uint8_t out[TLS_SIGNATURE_MAX];
	struct span bytes;

	if (!ready)
		world_init(&world);
	ready = true;
	if (size == 0)
		return 0;
	bytes = (struct span){data + 1, size - 1};
	for (int i = WORLD_EC; i < WORLD_KEYS; i++) {
		size_t len = SIZE_MAX;
		enum keeper_result r =
		    keeper_sign(world.keys[i], data[0], bytes, out, &len);

		demand(r != KEEPER_FAILED);
		demand((r == KEEPER_SIGNED) ==
		       (keeper_is_key_exchange(bytes) && data[0] < TLS_HASHES));
		if (r != KEEPER_SIGNED) {
			demand(len == SIZE_MAX);
			continue;
		}
		check_shape(bytes);
		demand(len > 0 && len <= tls_signature_size(&world.publics[i]));
		demand(i == WORLD_EC || len == 256);
	}
	return 0;
}
