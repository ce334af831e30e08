/*
 * role.h - who takes part: the processes and the tools that speak to them
 */
#ifndef IPC_ROLE_H
#define IPC_ROLE_H

/* Bits, so that the table of messages can name several. */
enum ipc_role {
	IPC_MONITOR = 1 << 0,
	IPC_WEB = 1 << 1,
	IPC_STORE = 1 << 2,
	IPC_FORWARDER = 1 << 3,
	IPC_TOOL = 1 << 4, /* the commands that people type */
	IPC_KEEPER = 1 << 5,
	IPC_ADMIN = 1 << 6,
	IPC_LOGGER = 1 << 7,
	IPC_BINDER = 1 << 8, /* started by systemd; opens ports */
};

/* "web"; "unknown" for what is none. */
const char *ipc_role_name(unsigned int role);

#endif
