/*
 * tls_memory_test.c - which pages of its memory a connection uses
 */
#include "tests/unit/test.h"

#include <sys/mman.h>

#include "tests/unit/tls_world.h"

#define PAGE 4096

static struct world world;
static struct client client;
static struct tls_conn *server;
static uint8_t plain[32768], answer[32768];
static size_t n_plain, n_answer;

/* Memory of the kernel, of which nothing was touched yet. */
static void
start(void)
{
	void *memory = mmap(NULL, tls_conn_size(), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	server = tls_begin(&world.server, memory);
	n_plain = n_answer = 0;
	client_init(&client, &world.publics[WORLD_EC]);
	assert_int_equal(br_ssl_client_reset(&client.context, "ec.test", 0), 1);
}

static void
end(void)
{
	(void)munmap(server, tls_conn_size());
}

static size_t
resident(void)
{
	unsigned char pages[64];
	size_t n = 0;

	assert_true(tls_conn_size() / PAGE <= sizeof(pages));
	assert_int_equal(mincore(server, tls_conn_size(), pages), 0);
	for (size_t i = 0; i < tls_conn_size() / PAGE; i++)
		n += pages[i] & 1;
	return n;
}

static void
read_plain(void)
{
	struct span s;

	while ((s = tls_plaintext(server)).len > 0) {
		assert_true(s.len <= sizeof(plain) - n_plain);
		memcpy(plain + n_plain, s.p, s.len);
		n_plain += s.len;
		tls_consume(server, s.len);
	}
}

/* Moves bytes until nothing moves any more. */
static void
run(void)
{
	static uint8_t buffer[TLS_FEED_MAX];
	size_t n = 1, m = 1;

	while (n + m > 0) {
		n = tls_wants_input(server)
			? client_take(&client, buffer, sizeof(buffer))
			: 0;
		if (n > 0)
			tls_feed(server, (struct span){buffer, n});
		read_plain();
		if (tls_state(server) == TLS_WANT_SIGNATURE)
			world_sign(&world, server);
		m = tls_take(server, buffer, sizeof(buffer));
		n_answer += client_feed(&client, (struct span){buffer, m},
		    answer + n_answer, sizeof(answer) - n_answer);
	}
}

static void
reply(void)
{
	n_answer = 0;
	assert_int_equal(tls_write(server, span_of("HTTP/1.1 200 OK")), 15);
	run();
	assert_int_equal(n_answer, 15);
	assert_memory_equal(answer, "HTTP/1.1 200 OK", 15);
}

/* An idle connection costs the pages that it used, not its size. */
static void
test_pages(void **state)
{
	(void)state;
	start();
	run();
	client_say(&client,
	    span_of("GET /img/a/b HTTP/1.1\r\nHost: a.example\r\n\r\n"));
	run();
	reply();
	assert_true(resident() <= 3);
	assert_int_equal(tls_spare(server).len, 0);
	tls_end(server);
	end();
}

/* Byte by byte: between records only is there anything to give back. */
static void
send_large(uint8_t filler)
{
	static uint8_t text[12000], wire[TLS_FEED_MAX];
	size_t n;

	memset(text, filler, sizeof(text));
	n_plain = 0;
	client_say(&client, (struct span){text, sizeof(text)});
	n = client_take(&client, wire, sizeof(wire));
	for (size_t at = 0; at < n; at++) {
		assert_int_equal(tls_spare(server).len, 0);
		tls_feed(server, (struct span){wire + at, 1});
	}
	assert_true(tls_plaintext(server).len > 0);
	assert_int_equal(tls_spare(server).len, 0);
	read_plain();
	assert_int_equal(n_plain, sizeof(text));
	assert_memory_equal(plain, text, sizeof(text));
}

static void
give_back(void)
{
	struct span spare = tls_spare(server);

	assert_true(spare.len > 28000);
	assert_int_equal((uintptr_t)spare.p % PAGE, 0);
	assert_int_equal(
	    madvise((void *)(uintptr_t)spare.p, spare.len, MADV_DONTNEED), 0);
	assert_true(resident() <= 3);
	/* Once. */
	assert_int_equal(tls_spare(server).len, 0);
}

static void
test_spare(void **state)
{
	(void)state;
	start();
	run();
	assert_int_equal(tls_spare(server).len, 0);
	for (int i = 0; i < 2; i++) {
		send_large((uint8_t)('a' + i));
		assert_true(resident() > 3);
		give_back();
		reply();
	}
	/* One that ends gives back, too. */
	send_large('z');
	tls_end(server);
	give_back();
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pages),
	    cmocka_unit_test(test_spare),
	};
	int failed;

	world_init(&world);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_clear(&world);
	return failed;
}
