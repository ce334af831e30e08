/*
 * hello.h - the first message of a client, read before any engine runs
 *
 * Pure. What a handshake needs is decided here, from the ClientHello alone:
 * the certificate, the suite, the group. So a client that has nothing we can
 * serve costs no cryptography, gets the alert that fits, and is named in the
 * log; and the bytes that the keeper has to sign are known before the engine
 * is started, which is why nobody ever waits for a signature inside of it.
 *
 * As strict as the engine, or stricter: what passes here, passes there.
 * Source: RFC 5246 7.4.1, RFC 6066, RFC 7301, RFC 8422, RFC 8446 4.2.1.
 */
#ifndef TLS_HELLO_H
#define TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* The longest message that is taken: it fits into one record. */
#define TLS_HELLO_MAX 16384
#define TLS_RECORD_HEADER 5

/* Alerts, RFC 5246 7.2, and those of the extensions. */
enum tls_alert {
	TLS_ALERT_CLOSE_NOTIFY = 0,
	TLS_ALERT_UNEXPECTED_MESSAGE = 10,
	TLS_ALERT_BAD_RECORD_MAC = 20,
	TLS_ALERT_RECORD_OVERFLOW = 22,
	TLS_ALERT_HANDSHAKE_FAILURE = 40,
	TLS_ALERT_ILLEGAL_PARAMETER = 47,
	TLS_ALERT_DECODE_ERROR = 50,
	TLS_ALERT_DECRYPT_ERROR = 51,
	TLS_ALERT_PROTOCOL_VERSION = 70,
	TLS_ALERT_INTERNAL_ERROR = 80,
	TLS_ALERT_UNRECOGNIZED_NAME = 112,
	TLS_ALERT_NO_APPLICATION_PROTOCOL = 120,
};

/* Why a connection came to nothing; what is counted and logged. */
enum tls_reason {
	TLS_REASON_NONE,
	TLS_REASON_CLIENT_ALERT, /* the client said so; see its alert */
	TLS_REASON_CLOSED,	 /* closed before the handshake was done */
	TLS_REASON_NOT_TLS,	 /* plain HTTP, or anything else */
	TLS_REASON_VERSION,	 /* the client has no TLS 1.2 */
	TLS_REASON_SUITE,	 /* no suite, group or signature in common */
	TLS_REASON_NAME,	 /* no certificate for the name, no default */
	TLS_REASON_PROTOCOL,	 /* ALPN without http/1.1 */
	TLS_REASON_BROKEN,	 /* the client broke the rules of TLS */
	TLS_REASON_SIGNATURE,	 /* the keeper gave none */
	TLS_REASON_INTERNAL,
	TLS_REASONS
};

struct tls_failure {
	enum tls_reason reason;
	uint8_t alert;	  /* sent to the client, or received from it */
	const char *text; /* for a person, static */
};

enum tls_hello_result {
	TLS_HELLO_MORE,
	TLS_HELLO_DONE,
	TLS_HELLO_WRONG, /* see the failure */
};

/*
 * Gathers the message from records however they are cut. memory holds one
 * record in the end: a header and the whole message.
 */
struct tls_gather {
	uint8_t *memory; /* TLS_RECORD_HEADER + TLS_HELLO_MAX bytes */
	size_t len;	 /* of the message so far */
	uint8_t header[TLS_RECORD_HEADER];
	uint8_t n_header;
	uint16_t left; /* of the record that arrives */
};

/* Whether a PROXY header stood where TLS was expected. */
bool tls_is_proxy_header(const struct tls_failure *f);

void tls_gather_init(struct tls_gather *g, uint8_t *memory);
/*
 * Takes bytes off *bytes, never more than belong to the record in which the
 * message ends.
 */
enum tls_hello_result tls_gather_take(
    struct tls_gather *g, struct span *bytes, struct tls_failure *f);
/* After DONE: the message with its header of four bytes, and as a record. */
struct span tls_gather_message(const struct tls_gather *g);
struct span tls_gather_record(struct tls_gather *g);

/* Bits of hello.signatures: a pair of hash and key. */
enum tls_hash { TLS_SHA256, TLS_SHA384, TLS_SHA512, TLS_HASHES };
#define TLS_SIGNATURE_BIT(kind, hash) (1u << ((kind)*TLS_HASHES + (hash)))

enum tls_group { TLS_GROUP_P256 = 23, TLS_GROUP_X25519 = 29 };

/* Spans borrow the message. */
struct tls_hello {
	uint16_t version; /* the highest, as of TLS 1.2 */
	struct span random;
	struct span session_id; /* at most 32 bytes */
	struct span suites;	/* two bytes each */
	struct span name;	/* SNI; empty: none */
	uint32_t groups;	/* bit of the group, below 32 */
	uint32_t signatures;	/* TLS_SIGNATURE_BIT */
	bool has_versions;	/* the extension of TLS 1.3 is there */
	bool has_tls12;		/* and TLS 1.2 is in it */
	bool has_alpn, has_http11;
	bool uncompressed;
	bool bad_fragment; /* of a size that there is not; never when read */
	uint32_t seen;	   /* extensions that were there; the parser's own */
};

/* Reads a whole message. 0, or -1 with the failure. */
int tls_hello_parse(
    struct tls_hello *h, struct span message, struct tls_failure *f);

#endif
