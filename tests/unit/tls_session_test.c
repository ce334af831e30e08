/*
 * tls_session_test.c - sessions in memory that others may spoil
 */
#include "tests/unit/test.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tls/session.h"

#define SIZE 65536

static const struct hash_key key = {11, 12};
static _Alignas(64) uint8_t memory[SIZE];

static struct tls_session
session_of(unsigned int n, uint32_t ends_s)
{
	struct tls_session s = {.name = n, .ends_s = ends_s, .suite = 0xc02b};

	memset(s.id, (int)(n & 0xff), sizeof(s.id));
	memcpy(s.id, &n, sizeof(n));
	memset(s.master_secret, (int)(n >> 2 & 0xff), sizeof(s.master_secret));
	return s;
}

/* Field by field: what is between them may be anything. */
static bool
is_same(const struct tls_session *x, const struct tls_session *y)
{
	return memcmp(x->id, y->id, sizeof(x->id)) == 0 &&
	       memcmp(x->master_secret, y->master_secret,
		   sizeof(x->master_secret)) == 0 &&
	       x->name == y->name && x->ends_s == y->ends_s &&
	       x->suite == y->suite;
}

static struct span
id_of(const struct tls_session *s)
{
	return (struct span){s->id, sizeof(s->id)};
}

static void
test_put_and_get(void **state)
{
	struct tls_session in = session_of(7, 100), out;
	struct tls_sessions s, other;

	(void)state;
	memset(memory, 0, sizeof(memory));
	tls_sessions_open(&s, memory, SIZE, &key);
	assert_false(tls_sessions_get(&s, id_of(&in), 0, &out));
	tls_sessions_put(&s, &in, 0);
	assert_true(tls_sessions_get(&s, id_of(&in), 0, &out));
	assert_true(is_same(&in, &out));
	/* Until it ends. */
	assert_true(tls_sessions_get(&s, id_of(&in), 99, &out));
	assert_false(tls_sessions_get(&s, id_of(&in), 100, &out));
	/* Not by a part of its id. */
	assert_false(tls_sessions_get(&s, (struct span){in.id, 31}, 0, &out));
	assert_false(tls_sessions_get(&s, (struct span){0}, 0, &out));
	/* With another key nothing holds. */
	tls_sessions_open(
	    &other, memory, SIZE, &(const struct hash_key){11, 13});
	assert_false(tls_sessions_get(&other, id_of(&in), 0, &out));
	/* Put again: the later one. */
	in.ends_s = 200;
	tls_sessions_put(&s, &in, 150);
	assert_true(tls_sessions_get(&s, id_of(&in), 150, &out));
}

static void
test_every_bit_counts(void **state)
{
	struct tls_session in = session_of(7, 100), out;
	struct tls_sessions s;

	(void)state;
	memset(memory, 0, sizeof(memory));
	tls_sessions_open(&s, memory, SIZE, &key);
	tls_sessions_put(&s, &in, 0);
	for (size_t i = 0; i < SIZE; i++) {
		if (memory[i] == 0 && (i % TLS_SESSION_ENTRY_SIZE != 0))
			continue;
		memory[i] ^= 0x10;
		if (tls_sessions_get(&s, id_of(&in), 0, &out))
			assert_true(is_same(&in, &out));
		memory[i] ^= 0x10;
	}
	assert_true(tls_sessions_get(&s, id_of(&in), 0, &out));
	/* The secret itself, flipped: gone, not changed. */
	for (size_t i = 0; i < SIZE; i++)
		if (memory[i] == in.master_secret[0] &&
		    memcmp(memory + i, in.master_secret, 48) == 0) {
			memory[i + 20] ^= 1;
			break;
		}
	assert_false(tls_sessions_get(&s, id_of(&in), 0, &out));
}

static void
test_full(void **state)
{
	struct tls_session out;
	struct tls_sessions s;
	unsigned int found = 0;

	(void)state;
	memset(memory, 0, sizeof(memory));
	tls_sessions_open(&s, memory, SIZE, &key);
	for (unsigned int i = 1; i <= 5000; i++) {
		struct tls_session in = session_of(i, 1000 + i);

		tls_sessions_put(&s, &in, 0);
		assert_true(tls_sessions_get(&s, id_of(&in), 0, &out));
	}
	for (unsigned int i = 1; i <= 5000; i++) {
		struct tls_session in = session_of(i, 0);

		found += tls_sessions_get(&s, id_of(&in), 0, &out);
	}
	/* All places are used, and by the youngest of each set. */
	assert_true(
	    found == (SIZE - TLS_SESSIONS_HEAD_SIZE) / TLS_SESSION_ENTRY_SIZE);
}

static void
test_garbage(void **state)
{
	struct tls_session in = session_of(3, 100), out;
	struct tls_sessions s;

	(void)state;
	memset(memory, 0xff, sizeof(memory));
	tls_sessions_open(&s, memory, SIZE, &key);
	assert_false(tls_sessions_get(&s, id_of(&in), 0, &out));
	/* An end in the far future does not keep a place for ever: with all
	 * four such, one of them goes. */
	tls_sessions_put(&s, &in, 0);
	assert_true(tls_sessions_get(&s, id_of(&in), 0, &out));
	/* Too small for one set: nothing is kept, nothing breaks. */
	tls_sessions_open(&s, memory, 1023, &key);
	tls_sessions_put(&s, &in, 0);
	assert_false(tls_sessions_get(&s, id_of(&in), 0, &out));
}

/* --- wiping ------------------------------------------------------------ */

/* How many words of the table are not zero. */
static size_t
words_left(const uint8_t *table, size_t size)
{
	size_t n = 0;
	uint64_t word;

	for (size_t i = TLS_SESSIONS_HEAD_SIZE; i < size; i += sizeof(word)) {
		memcpy(&word, table + i, sizeof(word));
		n += word != 0;
	}
	return n;
}

static void
sweep_all(struct tls_sessions *s, uint32_t now_s)
{
	for (int i = 0; i < TLS_SESSIONS_SWEEPS; i++)
		tls_sessions_sweep(s, now_s);
}

/* Nothing of a session is left where one is looked for, or another put. */
static void
test_ended_are_wiped(void **state)
{
	struct tls_session in = session_of(0x0107, 100), out;
	struct tls_sessions s;

	(void)state;
	memset(memory, 0, sizeof(memory));
	/* One set. */
	tls_sessions_open(&s, memory, 1024, &key);
	tls_sessions_put(&s, &in, 0);
	assert_int_equal(words_left(memory, SIZE), 13);
	assert_true(tls_sessions_get(&s, id_of(&in), 99, &out));
	assert_int_equal(words_left(memory, SIZE), 13);
	assert_false(tls_sessions_get(&s, id_of(&in), 100, &out));
	assert_int_equal(words_left(memory, SIZE), 0);
	for (unsigned int i = 1; i <= 3; i++) {
		in = session_of(0x0100 + i, 100);
		tls_sessions_put(&s, &in, 0);
	}
	assert_int_equal(words_left(memory, SIZE), 39);
	in = session_of(0x0107, 200);
	tls_sessions_put(&s, &in, 100);
	assert_int_equal(words_left(memory, SIZE), 13);
	assert_true(tls_sessions_get(&s, id_of(&in), 100, &out));
}

/* And elsewhere within so many sweeps, whichever worker put it there. */
static void
test_sweep(void **state)
{
	struct tls_session in, out, late = session_of(0x010101, 200);
	struct tls_sessions s, other;

	(void)state;
	memset(memory, 0, sizeof(memory));
	tls_sessions_open(&s, memory, SIZE, &key);
	tls_sessions_open(&other, memory, SIZE, &key);
	for (unsigned int i = 1; i <= 100; i++) {
		in = session_of(0x0100 + i, 100);
		tls_sessions_put(&s, &in, 0);
	}
	tls_sessions_put(&s, &late, 0);
	assert_true(words_left(memory, SIZE) > 100);
	sweep_all(&other, 99);
	assert_true(tls_sessions_get(&s, id_of(&in), 99, &out));
	sweep_all(&other, 100);
	assert_int_equal(words_left(memory, SIZE), 13);
	assert_true(tls_sessions_get(&s, id_of(&late), 100, &out));
	/* What two workers made of an entry, its end gone. */
	for (size_t i = TLS_SESSIONS_HEAD_SIZE; i < SIZE;
	     i += TLS_SESSION_ENTRY_SIZE)
		memset(memory + i + 88, 0, 8);
	sweep_all(&other, 100);
	assert_int_equal(words_left(memory, SIZE), 0);
	/* Too small for one set. */
	tls_sessions_open(&s, memory, 1023, &key);
	sweep_all(&s, 0);
}

/* Where nobody wrote, the kernel has nothing to make pages for. */
static void
test_sweep_leaves_unused_memory(void **state)
{
	const size_t size = 16 << 20;
	uint8_t *shared = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tls_session in = session_of(0x0100, 100), out;
	unsigned char there[4096];
	struct tls_sessions s;
	size_t n = 0;

	(void)state;
	assert_ptr_not_equal(shared, MAP_FAILED);
	tls_sessions_open(&s, shared, size, &key);
	tls_sessions_put(&s, &in, 0);
	sweep_all(&s, 50);
	assert_true(tls_sessions_get(&s, id_of(&in), 50, &out));
	sweep_all(&s, 100);
	assert_int_equal(mincore(shared, size, there), 0);
	for (size_t i = 0; i < size / 4096; i++)
		n += there[i] & 1;
	/* The head, and a part that may lie on two. */
	assert_in_range(n, 2, 3);
	assert_int_equal(words_left(shared, size), 0);
	(void)munmap(shared, size);
}

static void
test_names(void **state)
{
	struct tls_sessions s;

	(void)state;
	tls_sessions_open(&s, memory, SIZE, &key);
	assert_true(tls_sessions_name(&s, span_of("a.example")) ==
		    tls_sessions_name(&s, span_of("A.Example.")));
	assert_true(tls_sessions_name(&s, span_of("a.example")) !=
		    tls_sessions_name(&s, span_of("b.example")));
}

/* Two processes write the same places; what is read is always whole. */
static void
test_two_writers(void **state)
{
	uint8_t *shared = mmap(NULL, 1024, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tls_session a = session_of(0x0100, 1000), b = a, out;
	struct tls_sessions s;
	unsigned int whole = 0;
	int status = -1;
	pid_t pid;

	(void)state;
	assert_ptr_not_equal(shared, MAP_FAILED);
	memset(b.master_secret, 0xb, sizeof(b.master_secret));
	tls_sessions_open(&s, shared, 1024, &key);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 300000; i++)
			tls_sessions_put(&s, &a, 2000);
		_exit(0);
	}
	for (int i = 0; i < 300000; i++) {
		tls_sessions_put(&s, &b, 2000);
		if (!tls_sessions_get(&s, id_of(&a), 0, &out))
			continue;
		whole++;
		assert_true(is_same(&out, &a) || is_same(&out, &b));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(whole > 0);
	(void)munmap(shared, 1024);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_put_and_get),
	    cmocka_unit_test(test_every_bit_counts),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_garbage),
	    cmocka_unit_test(test_ended_are_wiped),
	    cmocka_unit_test(test_sweep),
	    cmocka_unit_test(test_sweep_leaves_unused_memory),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_two_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
