/*
 * tls_server_fuzzer.c - a client's bytes against the whole of tls, with keys
 *
 * The first byte says in which pieces the rest arrives, and whether a real
 * client goes first: then its ClientHello, or all that it says up to its
 * Finished, comes in front of the input; or the input is what it says inside
 * of the open connection. Properties: what the
 * engine wants signed is what was foreseen; a ClientHello that our parser
 * takes is one that the engine takes; plain bytes come only of an open
 * connection, all that were put in and no others; nothing is said after the
 * end; the pieces do not change what becomes of it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fuzz/demand.h"
#include "tests/unit/tls_world.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum tls_state state;
	struct tls_failure failure;
	size_t plain;
};

static struct world world;
static struct client client;
static uint8_t buffer[TLS_FEED_MAX];

static void
check(struct tls_conn *c)
{
	struct tls_failure f = tls_failure(c);
	enum tls_state s = tls_state(c);

	demand((s == TLS_FAILED) == (f.reason != TLS_REASON_NONE));
	demand(f.reason != TLS_REASON_INTERNAL);
	demand(tls_plaintext(c).len == 0 || s == TLS_OPEN);
	if (s == TLS_FAILED || s == TLS_CLOSED)
		demand(!tls_wants_input(c) && tls_write(c, span_of("x")) == 0);
}

/* Lets it go on as far as it can, and throws away what it says. */
static void
settle(struct tls_conn *c, struct outcome *o)
{
	struct span s;

	check(c);
	if (tls_state(c) == TLS_WANT_SIGNATURE) {
		/* Nobody is there to check it; a true one costs 1 ms here. */
		demand(keeper_is_key_exchange(tls_wanted(c).bytes));
		tls_signed(c, span_of("a signature"));
		/* The engine was started with what was decided, and agreed. */
		demand(tls_state(c) == TLS_HANDSHAKE);
		demand(tls_take(c, buffer, 1) == 1);
	}
	do {
		while ((s = tls_plaintext(c)).len > 0) {
			o->plain += s.len;
			tls_consume(c, s.len);
			check(c);
		}
	} while (tls_take(c, buffer, sizeof(buffer)) > 0 ||
		 tls_plaintext(c).len > 0);
	check(c);
}

static void
feed(struct tls_conn *c, struct span bytes, size_t step, struct outcome *o)
{
	while (bytes.len > 0 && tls_wants_input(c)) {
		size_t n = bytes.len < step ? bytes.len : step;

		tls_feed(c, (struct span){bytes.p, n});
		bytes.p += n;
		bytes.len -= n;
		settle(c, o);
	}
}

/* The flights of a real client, up to `flights`. */
static void
lead(struct tls_conn *c, int flights, struct outcome *o)
{
	static uint8_t out[TLS_FEED_MAX];

	client_init(&client, &world.publics[WORLD_EC]);
	demand(br_ssl_client_reset(&client.context, "ec.test", 0));
	for (int i = 0; i < flights; i++) {
		size_t n = client_take(&client, out, sizeof(out));

		tls_feed(c, (struct span){out, n});
		if (tls_state(c) == TLS_WANT_SIGNATURE)
			world_sign(&world, c);
		n = tls_take(c, out, sizeof(out));
		(void)client_feed(&client, (struct span){out, n}, NULL, 0);
	}
	settle(c, o);
}

/* The client says the input; all of it arrives. */
static void
talk(struct tls_conn *c, struct span bytes, size_t step, struct outcome *o)
{
	br_ssl_engine_context *e = &client.context.eng;
	static uint8_t out[TLS_FEED_MAX];
	size_t said = 0, n;

	demand(tls_state(c) == TLS_OPEN);
	while (said < bytes.len) {
		uint8_t *at = br_ssl_engine_sendapp_buf(e, &n);

		demand(at != NULL);
		n = n < bytes.len - said ? n : bytes.len - said;
		n = n < step ? n : step;
		memcpy(at, bytes.p + said, n);
		br_ssl_engine_sendapp_ack(e, n);
		br_ssl_engine_flush(e, 0);
		said += n;
		n = client_take(&client, out, sizeof(out));
		feed(c, (struct span){out, n}, step, o);
		demand(o->plain == said);
	}
}

static struct outcome
run(struct span bytes, size_t step, int flights)
{
	struct tls_conn *c = world_begin(&world);
	struct outcome o = {0};

	lead(c, flights < 3 ? flights : 2, &o);
	if (flights == 3)
		talk(c, bytes, step, &o);
	else
		feed(c, bytes, step, &o);
	o.state = tls_state(c);
	o.failure = tls_failure(c);
	tls_close(c);
	settle(c, &o);
	world_end(c);
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct outcome whole, pieces;
	struct span bytes;
	int flights;

	if (!ready)
		world_init(&world);
	ready = true;
	if (size == 0 || size > TLS_FEED_MAX)
		return 0;
	bytes = (struct span){data + 1, size - 1};
	flights = data[0] & 3;
	/* With a real client each run has other keys: only one is made. */
	if (flights != 0) {
		(void)run(bytes, 1u + (data[0] >> 2), flights);
		return 0;
	}
	whole = run(bytes, sizeof(buffer), 0);
	pieces = run(bytes, 1u + (data[0] >> 2), 0);
	demand(whole.state == pieces.state);
	demand(whole.failure.reason == pieces.failure.reason);
	demand(whole.failure.alert == pieces.failure.alert);
	demand(whole.plain == pieces.plain);
	return 0;
}
