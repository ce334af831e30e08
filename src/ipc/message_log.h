/*
 * message_log.h - the messages of the access log
 *
 * A part of message.h. A worker that knows no file sends its lines to the
 * logger, which knows nothing else.
 */
#ifndef IPC_MESSAGE_LOG_H
#define IPC_MESSAGE_LOG_H

#include "ipc/message.h"

/* In PARAMS of the logger. Its descriptors: monitor, chroot, and the file if
 * there is one; else lines go to stderr. */
struct ipc_logger_settings {
	uint8_t to_file;
};

/* a web worker to the logger: whole lines, each with its newline. */
#define IPC_LINES_MAX 61440
struct ipc_lines {
	struct span text;
};

/* the logger to a web worker: so many of its lines could not be written. */
struct ipc_lines_lost {
	uint32_t n;
};

#endif
