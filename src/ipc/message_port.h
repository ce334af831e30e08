/*
 * message_port.h - the messages of opening a port
 *
 * A part of message.h. A monitor that systemd leaves no network asks the
 * binder, which has nothing else to do.
 */
#ifndef IPC_MESSAGE_PORT_H
#define IPC_MESSAGE_PORT_H

#include "ipc/message.h"

/* monitor to binder: a socket with this address, which does not listen yet. */
struct ipc_port_open {
	uint8_t ip[16];
	uint16_t port;
	uint32_t scope; /* interface of a link-local address; 0 if none */
	uint8_t share;	/* as listener_socket of monitor/listen.h has it */
};

/* The answer; the socket comes with it. */
struct ipc_port_opened {
	uint8_t nothing; /* no fields */
};

/* The other answer: errno of the call that failed. */
struct ipc_port_refused {
	uint32_t error;
};

#endif
