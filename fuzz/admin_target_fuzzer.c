/*
 * admin_target_fuzzer.c - targets of the admin listener, of any bytes
 *
 * Properties: a name is short and has only the characters of names, in lower
 * case, and belongs to a permission; written out plainly it is read again as
 * the same name.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "admin/target.h"
#include "fuzz/demand.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(const struct admin_target *t)
{
	static const char of_names[] =
	    "abcdefghijklmnopqrstuvwxyz0123456789-_.";
	static const char plain[] = "/tls-permission?domain=";
	uint8_t again[sizeof(plain) + IPC_DOMAIN_MAX + 1];
	struct writer w = writer_of(again, sizeof(again));
	struct admin_target same;

	demand(t->route == ADMIN_PERMISSION);
	demand(t->name_len <= sizeof(t->name));
	for (size_t i = 0; i < t->name_len; i++)
		demand(t->name[i] != 0 && strchr(of_names, t->name[i]) != NULL);
	writer_text(&w, plain);
	writer_bytes(&w, (struct span){t->name, t->name_len});
	/* A last dot would be taken off once more. */
	if (t->name[t->name_len - 1] == '.')
		writer_u8(&w, '.');
	same = admin_target_decode(writer_span(&w));
	demand(same.route == ADMIN_PERMISSION);
	demand(same.name_len == t->name_len);
	demand(memcmp(same.name, t->name, t->name_len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct admin_target t = admin_target_decode((struct span){data, size});

	if (t.name_len > 0)
		check_name(&t);
	return 0;
}
