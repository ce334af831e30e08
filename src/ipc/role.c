/*
 * role.c - names of those who take part
 *
 * Pure.
 */
#include "ipc/role.h"

#include <stddef.h>

#include "base/array.h"

static const struct {
	enum ipc_role role;
	const char *name;
} names[] = {
    {IPC_MONITOR, "monitor"},
    {IPC_WEB, "web"},
    {IPC_STORE, "store"},
    {IPC_FORWARDER, "forwarder"},
    {IPC_TOOL, "tool"},
    {IPC_KEEPER, "keeper"},
    {IPC_ADMIN, "admin"},
    {IPC_LOGGER, "logger"},
    {IPC_BINDER, "binder"},
};

const char *
ipc_role_name(unsigned int role)
{
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (names[i].role == role)
			return names[i].name;
	return "unknown";
}
