/*
 * tls_handshake_test.c - whole connections in memory, against BearSSL's client
 */
#include "tests/unit/test.h"

#include <seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "tests/unit/tls_world.h"
#include "tls/internal.h"

#define ROUNDS 2000

static struct world world;
static struct client client;

/* Bytes on their way, and what came out at the ends. */
static struct pipe {
	struct tls_conn *server;
	size_t step; /* bytes at a time */
	uint8_t plain[65536];
	size_t n_plain;
	uint8_t answer[65536];
	size_t n_answer;
	bool hold; /* nobody signs */
} p;

static void
start(const char *name, uint32_t key, size_t step)
{
	p.server = world_begin(&world);
	p.step = step;
	p.n_plain = p.n_answer = 0;
	p.hold = false;
	client_init(&client, &world.publics[key]);
	assert_int_equal(br_ssl_client_reset(&client.context, name, 0), 1);
}

static void
read_plain(void)
{
	struct span s;

	while ((s = tls_plaintext(p.server)).len > 0) {
		size_t n = s.len > 3 ? s.len / 2 : s.len;

		assert_true(n <= sizeof(p.plain) - p.n_plain);
		memcpy(p.plain + p.n_plain, s.p, n);
		p.n_plain += n;
		tls_consume(p.server, n);
	}
}

/* Moves bytes until nothing moves any more. */
static void
run(void)
{
	static uint8_t buffer[TLS_FEED_MAX];
	bool moved = true;

	for (int i = 0; moved && i < ROUNDS * 100; i++) {
		size_t n;

		moved = false;
		if (tls_wants_input(p.server)) {
			n = client_take(&client, buffer, p.step);
			if (n > 0)
				tls_feed(p.server, (struct span){buffer, n});
			moved |= n > 0;
		}
		read_plain();
		if (tls_state(p.server) == TLS_WANT_SIGNATURE && !p.hold) {
			world_sign(&world, p.server);
			moved = true;
		}
		n = tls_take(p.server, buffer, p.step);
		if (n > 0)
			p.n_answer += client_feed(&client,
			    (struct span){buffer, n}, p.answer + p.n_answer,
			    sizeof(p.answer) - p.n_answer);
		moved |= n > 0;
	}
}

static void
exchange_data(void)
{
	static uint8_t big[30000];
	struct span rest = {big, sizeof(big)};

	assert_int_equal(tls_state(p.server), TLS_OPEN);
	client_say(&client, span_of("hello"));
	run();
	assert_int_equal(p.n_plain, 5);
	assert_memory_equal(p.plain, "hello", 5);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7);
	while (rest.len > 0) {
		size_t n = tls_write(p.server, rest);

		rest.p += n;
		rest.len -= n;
		run();
	}
	assert_int_equal(p.n_answer, sizeof(big));
	assert_memory_equal(p.answer, big, sizeof(big));
}

/* Our first flight is ready to be taken. */
static void
start_flight(void)
{
	static uint8_t hello[1000];
	size_t n;

	start("ec.test", WORLD_EC, 1000);
	n = client_take(&client, hello, sizeof(hello));
	tls_feed(p.server, (struct span){hello, n});
	world_sign(&world, p.server);
}

/* The client takes it; returns the length of its answer. */
static size_t
answer_flight(uint8_t *answer, size_t size)
{
	static uint8_t flight[8000];
	size_t n;

	start_flight();
	n = tls_take(p.server, flight, sizeof(flight));
	(void)client_feed(&client, (struct span){flight, n}, p.answer, 0);
	return client_take(&client, answer, size);
}

/* --- every way ---------------------------------------------------------- */

static const struct way {
	const char *name;
	uint32_t key;
	uint16_t suite;
} ways[] = {
    {"ec.test", WORLD_EC, BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
    {"ec.test", WORLD_EC, BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
    {"ec.test", WORLD_EC, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
    {"rsa.test", WORLD_RSA, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
    {"rsa.test", WORLD_RSA, BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
    {"rsa.test", WORLD_RSA, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
};
static const size_t steps[] = {1, 5, 100, TLS_FEED_MAX};

/* The client, begun, asks for a name with this suite and session (or none). */
static void
go_on(
    const char *name, uint16_t suite, const br_ssl_session_parameters *session)
{
	br_ssl_engine_context *e = &client.context.eng;

	br_ssl_engine_set_suites(e, &suite, 1);
	if (session != NULL)
		br_ssl_engine_set_session_parameters(e, session);
	assert_int_equal(
	    br_ssl_client_reset(&client.context, name, session != NULL), 1);
	run();
	exchange_data();
}

static void
test_every_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ways) * 2; i++) {
		const struct way *w = &ways[i / 2];
		bool x25519 = i % 2 == 0;
		struct tls_info info;

		start(w->name, w->key, steps[i % ARRAY_LENGTH(steps)]);
		/* The curve of the certificate has to be among them. */
		if (!x25519)
			br_ssl_engine_set_ec(
			    &client.context.eng, &br_ec_p256_m31);
		go_on(w->name, w->suite, NULL);
		info = tls_info(p.server);
		assert_int_equal(
		    info.group, x25519 ? TLS_GROUP_X25519 : TLS_GROUP_P256);
		assert_int_equal(
		    client.context.eng.session.cipher_suite, w->suite);
		assert_true(span_equal(info.name, span_of(w->name)));
		assert_false(info.resumed);
		world_end(p.server);
	}
}

static void
test_resumption(void **state)
{
	br_ssl_session_parameters session;
	struct tls_server other = world.server;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
		const struct way *w = &ways[i];

		start(w->name, w->key, 100);
		go_on(w->name, w->suite, NULL);
		br_ssl_engine_get_session_parameters(
		    &client.context.eng, &session);
		world_end(p.server);

		/* Another worker, which shares nothing but the memory. */
		start(w->name, w->key, 1);
		world_end(p.server);
		p.server =
		    tls_begin(&other, aligned_alloc(4096, tls_conn_size()));
		p.hold = true;
		go_on(w->name, w->suite, &session);
		assert_true(tls_info(p.server).resumed);
		world_end(p.server);

		/* For another name: a full handshake. */
		start("www.example.com", w->key, 500);
		go_on("www.example.com", w->suite, &session);
		assert_false(tls_info(p.server).resumed);
		world_end(p.server);

		/* Ended: a full handshake again. */
		start(w->name, w->key, 500);
		world.server.now_s += 100;
		go_on(w->name, w->suite, &session);
		assert_false(tls_info(p.server).resumed);
		world_end(p.server);
		world.server.now_s -= 100;
	}
}

/* --- waiting for the signature ------------------------------------------ */

static void
test_wanted(void **state)
{
	struct tls_wanted wanted;

	(void)state;
	start("ec.test", WORLD_EC, 1000);
	p.hold = true;
	run();
	assert_int_equal(tls_state(p.server), TLS_WANT_SIGNATURE);
	assert_false(tls_wants_input(p.server));
	wanted = tls_wanted(p.server);
	assert_int_equal(wanted.key_id, WORLD_EC);
	assert_int_equal(wanted.kind, TLS_KEY_EC);
	assert_int_equal(wanted.hash, TLS_SHA256);
	assert_true(keeper_is_key_exchange(wanted.bytes));
	assert_memory_equal(
	    wanted.bytes.p, client.context.eng.client_random, 32);
	p.hold = false;
	run();
	exchange_data();
	world_end(p.server);
}

/* The set is replaced and released meanwhile; the handshake keeps it. */
static void
test_reload(void **state)
{
	static const struct hash_key key = {1, 1};
	struct tls_set *was = world.server.set;
	struct err e;

	(void)state;
	world.server.set = tls_set_new(&key);
	assert_int_equal(tls_set_add(world.server.set, span_of(FIXTURE_EC),
			     WORLD_EC, span_of("new.test"), &e),
	    0);
	start("new.test", WORLD_EC, 1000);
	p.hold = true;
	run();
	assert_int_equal(tls_state(p.server), TLS_WANT_SIGNATURE);
	tls_set_release(world.server.set);
	world.server.set = was;
	p.hold = false;
	run();
	exchange_data();
	world_end(p.server);
}

/* Should the engine ever want something else signed than was foreseen. */
static void
test_unforeseen(void **state)
{
	(void)state;
	for (size_t at = 0; at < TLS_TO_SIGN_MAX - 33; at += 9) {
		start("ec.test", WORLD_EC, 1000);
		p.hold = true;
		run();
		p.server->to_sign[at] ^= 1;
		tls_signed(p.server, span_of("any"));
		assert_int_equal(tls_state(p.server), TLS_FAILED);
		assert_int_equal(
		    tls_failure(p.server).reason, TLS_REASON_INTERNAL);
		run();
		assert_int_equal(br_ssl_engine_last_error(&client.context.eng),
		    BR_ERR_RECV_FATAL_ALERT + TLS_ALERT_INTERNAL_ERROR);
		world_end(p.server);
	}
}

static void
test_no_signature(void **state)
{
	static const uint8_t long_one[TLS_ECDSA_MAX + 1] = {0x30};
	static const struct span bad[] = {{0}, {long_one, sizeof(long_one)}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		start("ec.test", WORLD_EC, 1000);
		p.hold = true;
		run();
		tls_signed(p.server, bad[i]);
		assert_int_equal(tls_state(p.server), TLS_FAILED);
		assert_int_equal(
		    tls_failure(p.server).reason, TLS_REASON_SIGNATURE);
		run();
		assert_int_equal(br_ssl_engine_last_error(&client.context.eng),
		    BR_ERR_RECV_FATAL_ALERT + TLS_ALERT_INTERNAL_ERROR);
		/* Too late, or twice: nothing happens. */
		tls_signed(p.server, bad[1]);
		world_end(p.server);
	}
}

static void
test_wrong_signature(void **state)
{
	uint8_t out[TLS_SIGNATURE_MAX];
	struct tls_wanted wanted;
	size_t len;

	(void)state;
	start("rsa.test", WORLD_RSA, 1000);
	p.hold = true;
	run();
	wanted = tls_wanted(p.server);
	assert_int_equal(keeper_sign(world.keys[WORLD_RSA], TLS_SHA384,
			     wanted.bytes, out, &len),
	    KEEPER_SIGNED);
	tls_signed(p.server, (struct span){out, len});
	run();
	assert_int_equal(br_ssl_engine_last_error(&client.context.eng),
	    BR_ERR_BAD_SIGNATURE);
	assert_int_not_equal(tls_state(p.server), TLS_OPEN);
	world_end(p.server);
}

/* --- refused hellos ----------------------------------------------------- */

static const struct refused {
	const char *name, *protocol;
	uint16_t suite, version;
	enum tls_reason reason;
	uint8_t alert;
} refused[] = {
    {"nobody.test", NULL, 0xc02b, BR_TLS12, TLS_REASON_NAME, 112},
    {NULL, NULL, 0xc02b, BR_TLS12, TLS_REASON_NAME, 112},
    {"ec.test", "h2", 0xc02b, BR_TLS12, TLS_REASON_PROTOCOL, 120},
    {"rsa.test", NULL, 0xc02b, BR_TLS12, TLS_REASON_SUITE, 40},
    {"ec.test", NULL, 0xc02f, BR_TLS12, TLS_REASON_SUITE, 40},
    {"ec.test", NULL, BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, BR_TLS11,
	TLS_REASON_VERSION, 70},
};

static void
test_refused_hellos(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		br_ssl_engine_context *e = &client.context.eng;
		const struct refused *r = &refused[i];
		const char *protocol = r->protocol;

		start(r->name, WORLD_EC, 7);
		br_ssl_engine_set_suites(e, &r->suite, 1);
		br_ssl_engine_set_versions(e, r->version, r->version);
		if (protocol != NULL)
			br_ssl_engine_set_protocol_names(e, &protocol, 1);
		assert_int_equal(
		    br_ssl_client_reset(&client.context, r->name, 0), 1);
		run();
		assert_int_equal(tls_state(p.server), TLS_FAILED);
		assert_int_equal(tls_failure(p.server).reason, r->reason);
		assert_int_equal(tls_failure(p.server).alert, r->alert);
		assert_true(strlen(tls_failure(p.server).text) > 0);
		assert_int_equal(br_ssl_engine_last_error(e),
		    BR_ERR_RECV_FATAL_ALERT + r->alert);
		assert_int_equal(tls_take(p.server, p.answer, 10), 0);
		world_end(p.server);
	}
}

static void
test_alpn(void **state)
{
	const char *protocols[] = {"h2", "http/1.1"};

	(void)state;
	start("ec.test", WORLD_EC, 1000);
	br_ssl_engine_set_protocol_names(&client.context.eng, protocols, 2);
	assert_int_equal(br_ssl_client_reset(&client.context, "ec.test", 0), 1);
	run();
	exchange_data();
	assert_string_equal(
	    br_ssl_engine_get_selected_protocol(&client.context.eng),
	    "http/1.1");
	world_end(p.server);
}

/* What a client says behind our first flight. */
static const struct {
	const char *bytes;
	size_t len;
	enum tls_reason reason;
	uint8_t alert;
} replies[] = {
    {"\x15\x03\x03\x00\x02\x02\x30", 7, TLS_REASON_CLIENT_ALERT, 48},
    {"\x15\x03\x03\x00\x02\x01\x00", 7, TLS_REASON_CLOSED, 0},
    {"\x15\x03\x03\x00\x02\x02\x00", 7, TLS_REASON_CLIENT_ALERT, 0},
    {"\x14\x03\x03\x00\x01\x01", 6, TLS_REASON_BROKEN, 10},
    {"\x17\x03\x03\x00\x01x", 6, TLS_REASON_BROKEN, 10},
    {"\x16\x03\x02\x00\x01x", 6, TLS_REASON_BROKEN, 70},
    {"\x16\x02\x02\x00\x01x", 6, TLS_REASON_BROKEN, 70},
    {"\x16\x03\x03\x48\x01x", 6, TLS_REASON_BROKEN, 22},
    {"\x16\x03\x03\x00\x04\x01\x00\x00\x00", 9, TLS_REASON_BROKEN, 10},
    {"\x16\x03\x03\x00\x04\x10\x00\x00\x00", 9, TLS_REASON_BROKEN, 50},
};

static void
test_replies(void **state)
{
	static uint8_t buffer[8000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(replies); i++) {
		const uint8_t *b = (const uint8_t *)replies[i].bytes;
		size_t n;

		start_flight();
		assert_true(tls_take(p.server, buffer, sizeof(buffer)) > 100);
		tls_feed(p.server, (struct span){b, replies[i].len});
		n = tls_take(p.server, buffer, sizeof(buffer));
		assert_int_equal(tls_state(p.server), TLS_FAILED);
		assert_int_equal(
		    tls_failure(p.server).reason, replies[i].reason);
		assert_int_equal(tls_failure(p.server).alert, replies[i].alert);
		if (replies[i].reason == TLS_REASON_BROKEN) {
			assert_int_equal(n, 7);
			assert_int_equal(buffer[6], replies[i].alert);
		}
		world_end(p.server);
	}
}

/* An alert is not put into the middle of another record. */
static void
test_no_alert_inside_a_record(void **state)
{
	static uint8_t buffer[8000];

	(void)state;
	start_flight();
	assert_int_equal(tls_take(p.server, buffer, 50), 50);
	assert_false(tls_wants_input(p.server));
	tls_feed(p.server, span_of("\x17\x03\x03"));
	tls_feed(p.server, span_of("and once more, which is too much"));
	assert_int_equal(tls_state(p.server), TLS_FAILED);
	assert_int_equal(tls_take(p.server, buffer, 50), 0);
	world_end(p.server);
}

/* --- endings ------------------------------------------------------------ */

static void
test_close(void **state)
{
	(void)state;
	start("ec.test", WORLD_EC, 1000);
	run();
	exchange_data();
	assert_int_equal(tls_write(p.server, span_of("bye")), 3);
	tls_close(p.server);
	assert_int_equal(tls_state(p.server), TLS_CLOSING);
	assert_int_equal(tls_write(p.server, span_of("more")), 0);
	p.n_answer = 0;
	run();
	assert_int_equal(p.n_answer, 3);
	assert_int_equal(tls_state(p.server), TLS_CLOSED);
	/* The client answers, and is content. */
	assert_true(client_take(&client, p.answer, sizeof(p.answer)) > 0);
	assert_int_equal(br_ssl_engine_last_error(&client.context.eng), 0);
	assert_int_equal(
	    br_ssl_engine_current_state(&client.context.eng), BR_SSL_CLOSED);
	world_end(p.server);

	start("ec.test", WORLD_EC, 1000);
	run();
	br_ssl_engine_close(&client.context.eng);
	run();
	assert_int_equal(tls_state(p.server), TLS_CLOSED);
	assert_int_equal(tls_failure(p.server).reason, TLS_REASON_NONE);
	assert_false(tls_wants_input(p.server));
	world_end(p.server);

	/* Before there was anything. */
	start("ec.test", WORLD_EC, 1000);
	tls_close(p.server);
	assert_int_equal(tls_state(p.server), TLS_CLOSED);
	world_end(p.server);
}

/* Consuming nothing, in the middle of a record: nothing is lost. */
static void
test_consume_nothing(void **state)
{
	static uint8_t buffer[1000];
	size_t n;

	(void)state;
	start("ec.test", WORLD_EC, 1000);
	run();
	client_say(&client, span_of("hello"));
	n = client_take(&client, buffer, sizeof(buffer));
	for (size_t i = 0; i < n; i++) {
		tls_feed(p.server, (struct span){buffer + i, 1});
		if (i + 1 < n)
			tls_consume(p.server, i % 2);
	}
	read_plain();
	assert_int_equal(p.n_plain, 5);
	tls_consume(p.server, 100);
	p.n_plain = 0;
	exchange_data();
	world_end(p.server);
}

static void
test_tampering(void **state)
{
	static uint8_t buffer[1000];
	size_t n;

	(void)state;
	start("ec.test", WORLD_EC, 1000);
	run();
	client_say(&client, span_of("hello"));
	n = client_take(&client, buffer, sizeof(buffer));
	buffer[n - 1] ^= 1;
	tls_feed(p.server, (struct span){buffer, n});
	assert_int_equal(tls_state(p.server), TLS_FAILED);
	assert_int_equal(tls_failure(p.server).reason, TLS_REASON_BROKEN);
	assert_int_equal(tls_failure(p.server).alert, TLS_ALERT_BAD_RECORD_MAC);
	assert_int_equal(tls_plaintext(p.server).len, 0);
	/* It could only be said in clear: so nothing is. */
	assert_int_equal(tls_take(p.server, buffer, sizeof(buffer)), 0);
	world_end(p.server);
}

/* Another server's Finished: as if the keys did not agree. */
static void
test_bad_finished(void **state)
{
	static uint8_t buffer[8000];
	size_t n;

	(void)state;
	n = answer_flight(buffer, sizeof(buffer));
	/* The client's point, in the first record. */
	buffer[20] ^= 1;
	tls_feed(p.server, (struct span){buffer, n});
	assert_int_equal(tls_state(p.server), TLS_FAILED);
	assert_int_equal(tls_failure(p.server).alert, TLS_ALERT_BAD_RECORD_MAC);
	n = tls_take(p.server, buffer, sizeof(buffer));
	assert_int_equal(n, 7);
	assert_memory_equal(buffer, "\x15\x03\x03\x00\x02\x02\x14", 7);
	world_end(p.server);
}

/* Data right behind the client's Finished, before ours (RFC 7918): browsers
 * do so. BearSSL's client does not; its record layer is asked directly. */
static void
test_false_start(void **state)
{
	static uint8_t buffer[8000];
	br_ssl_engine_context *e = &client.context.eng;
	uint8_t *record, *data;
	size_t n, len = 5;

	(void)state;
	n = answer_flight(buffer, sizeof(buffer));
	data = buffer + 4000;
	memcpy(data, "early", len);
	record =
	    e->out.vtable->encrypt(&e->out.vtable, 23, BR_TLS12, data, &len);
	memmove(buffer + n, record, len);
	tls_feed(p.server, (struct span){buffer, n + len});
	assert_int_equal(tls_state(p.server), TLS_HANDSHAKE);
	assert_false(tls_wants_input(p.server));
	run();
	assert_int_equal(p.n_plain, 5);
	assert_memory_equal(p.plain, "early", 5);
	p.n_plain = 0;
	exchange_data();
	world_end(p.server);
}

static void
test_fed_too_much(void **state)
{
	static uint8_t buffer[TLS_FEED_MAX + 1];
	size_t n;

	(void)state;
	start("ec.test", WORLD_EC, 1000);
	n = client_take(&client, buffer, sizeof(buffer));
	tls_feed(p.server, (struct span){buffer, n});
	tls_feed(p.server, (struct span){buffer, 10});
	assert_int_equal(tls_state(p.server), TLS_WANT_SIGNATURE);
	tls_feed(p.server, (struct span){buffer, 10});
	assert_int_equal(tls_state(p.server), TLS_FAILED);
	assert_int_equal(tls_failure(p.server).reason, TLS_REASON_INTERNAL);
	tls_feed(p.server, (struct span){buffer, 10});
	world_end(p.server);
}

static void
test_end_anywhere(void **state)
{
	(void)state;
	for (size_t n = 0; n < 400; n++) {
		static uint8_t buffer[1000];
		size_t len;

		start("ec.test", WORLD_EC, 1);
		len = client_take(&client, buffer, n);
		tls_feed(p.server, (struct span){buffer, len});
		if (tls_state(p.server) == TLS_WANT_SIGNATURE && n % 2 == 0)
			world_sign(&world, p.server);
		world_end(p.server);
	}
}

/* --- what it may touch -------------------------------------------------- */

/* After tls_init a handshake opens nothing: there is nothing in the chroot.
 */
static void
test_opens_nothing(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

		if (f == NULL ||
		    seccomp_rule_add(
			f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 0) != 0 ||
		    seccomp_load(f) != 0)
			_exit(3);
		start("rsa.test", WORLD_RSA, 1000);
		run();
		exchange_data();
		_exit(tls_state(p.server) == TLS_OPEN ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_reasons(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < TLS_REASONS; i++)
		assert_non_null(tls_reason_text((enum tls_reason)i));
	assert_string_equal(
	    tls_reason_text((enum tls_reason)TLS_REASONS), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_way),
	    cmocka_unit_test(test_resumption),
	    cmocka_unit_test(test_wanted),
	    cmocka_unit_test(test_reload),
	    cmocka_unit_test(test_unforeseen),
	    cmocka_unit_test(test_no_signature),
	    cmocka_unit_test(test_wrong_signature),
	    cmocka_unit_test(test_refused_hellos),
	    cmocka_unit_test(test_alpn),
	    cmocka_unit_test(test_replies),
	    cmocka_unit_test(test_no_alert_inside_a_record),
	    cmocka_unit_test(test_close),
	    cmocka_unit_test(test_consume_nothing),
	    cmocka_unit_test(test_tampering),
	    cmocka_unit_test(test_bad_finished),
	    cmocka_unit_test(test_false_start),
	    cmocka_unit_test(test_fed_too_much),
	    cmocka_unit_test(test_end_anywhere),
	    cmocka_unit_test(test_opens_nothing),
	    cmocka_unit_test(test_reasons),
	};
	int failed;

	world_init(&world);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_clear(&world);
	return failed;
}
