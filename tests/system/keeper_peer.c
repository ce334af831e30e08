/*
 * keeper_peer.c - a hijacked web worker, against the real keeper
 *
 * Starts the keeper role of the real binary as the monitor would, gives it a
 * pair and two workers, and misbehaves as one of them. The other one gets its
 * signatures all the time; the keeper has to ask for the replacement of the
 * bad one, with the right identity and reason, and to go on.
 *
 * usage: keeper-peer TRACKER CHAIN KEY ATTACK
 * ATTACK "pair": prints what the keeper says of the pair, and no more.
 * prints one line a step; exit 0 when the keeper did all of that.
 */
#include "hijack.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "monitor/place.h"

#define KEEPER_ID 60981
#define PAIR 7
/* So few that the flood is one of a few messages. */
#define SIGNS_PER_SECOND 50

struct scene {
	struct ipc_channel monitor, good, bad;
	pid_t keeper;
	const char *chain, *key;
};

/* --- the scene --------------------------------------------------------- */

static struct ipc_channel
offer(const struct scene *s, uint64_t instance)
{
	return offer_channel(&s->monitor, IPC_WEB, instance);
}

static void
start_keeper(struct scene *s, const char *tracker)
{
	struct ipc_keeper_settings settings = {0, SIGNS_PER_SECOND};
	struct spawn spawn = {.role = IPC_KEEPER,
	    .params = {.flags = IPC_PARAM_ROOT,
		.log_level = 6,
		.uid = KEEPER_ID,
		.gid = KEEPER_ID},
	    .settings_type = IPC_KEEPER_SETTINGS,
	    .settings = &settings};
	struct err e;
	int empty = -1;

	if (place_open_empty("/tmp/x", &empty, &e) != 0)
		stop_with(e.text);
	spawn.fds = &empty;
	spawn.n_fds = 1;
	start_role(tracker, &spawn, &s->keeper, &s->monitor);
	fd_close(&empty);
}

static struct ipc_received
give_pair(const struct scene *s)
{
	struct ipc_pair_chain chain = {PAIR, span_of("example")};
	struct ipc_pair_key key = {PAIR};
	int chain_fd = open(s->chain, O_RDONLY | O_CLOEXEC);
	int key_fd = open(s->key, O_RDONLY | O_CLOEXEC);

	if (chain_fd < 0 || key_fd < 0)
		stop_with("cannot open chain and key");
	send_message(&s->monitor, IPC_PAIR_CHAIN, &chain, chain_fd);
	send_message(&s->monitor, IPC_PAIR_KEY, &key, key_fd);
	fd_close(&chain_fd);
	fd_close(&key_fd);
	return expect(&s->monitor, IPC_PAIR_RESULT);
}

/* --- what a good worker does ------------------------------------------- */

/* Two randoms, named curve, X25519, a point of 32 bytes. */
static size_t
well_formed(uint8_t bytes[IPC_TO_SIGN_MAX])
{
	memset(bytes, 0x5a, 64 + 4 + 32);
	memcpy(bytes + 64, "\x03\x00\x1d\x20", 4);
	return 64 + 4 + 32;
}

static void
ask(const struct ipc_channel *c, uint64_t number, uint32_t pair)
{
	uint8_t bytes[IPC_TO_SIGN_MAX];
	struct ipc_sign body = {.ask = number, .pair = pair};

	body.bytes = (struct span){bytes, well_formed(bytes)};
	send_message(c, IPC_SIGN, &body, -1);
}

static void
use_good_worker(struct scene *s, const char *when)
{
	struct ipc_received in;

	ask(&s->good, 77, PAIR);
	in = expect(&s->good, IPC_SIGNED);
	if (in.body.signed_.ask != 77 || !in.body.signed_.ok ||
	    in.body.signed_.signature.len < 60)
		stop_with("the good worker got no signature");
	/* One that was dropped, or that never was: no, and no crime. */
	ask(&s->good, 78, PAIR + 1);
	in = expect(&s->good, IPC_SIGNED);
	if (in.body.signed_.ask != 78 || in.body.signed_.ok ||
	    in.body.signed_.signature.len != 0)
		stop_with("a signature without a key");
	(void)printf("good worker served %s\n", when);
}

/* --- attacks ----------------------------------------------------------- */

/* A message that it may send to the store, and one that is the monitor's. */
static void
attack_type(struct scene *s)
{
	struct ipc_link link = {7, 1, span_of("token")};

	send_message(&s->bad, IPC_LINK, &link, -1);
}

static void
attack_drop(struct scene *s)
{
	struct ipc_pair_drop drop = {PAIR};

	send_message(&s->bad, IPC_PAIR_DROP, &drop, -1);
}

static void
attack_key(struct scene *s)
{
	struct ipc_pair_key key = {PAIR};

	send_message(&s->bad, IPC_PAIR_KEY, &key, STDERR_FILENO);
}

static void
attack_unknown_type(struct scene *s)
{
	send_bytes(&s->bad, "\xff\xff", 2);
}

static void
attack_size(struct scene *s)
{
	static uint8_t big[IPC_RECORD_MAX];

	big[0] = IPC_SIGN;
	send_bytes(&s->bad, big, 1000);
}

static void
attack_form(struct scene *s)
{
	static uint8_t sign[16 + 100];

	sign[0] = IPC_SIGN;
	sign[10] = PAIR;
	sign[15] = 99; /* of 100 */
	send_bytes(&s->bad, sign, sizeof(sign));
}

static void
attack_hash(struct scene *s)
{
	static uint8_t sign[16 + IPC_TO_SIGN_MAX];

	sign[0] = IPC_SIGN;
	sign[10] = PAIR;
	sign[14] = 3;
	sign[15] = 100;
	(void)well_formed(sign + 16);
	send_bytes(&s->bad, sign, 16 + 100);
}

static void
attack_descriptor(struct scene *s)
{
	uint8_t bytes[IPC_TO_SIGN_MAX];
	struct ipc_sign body = {.ask = 1, .pair = PAIR};

	body.bytes = (struct span){bytes, well_formed(bytes)};
	send_message(&s->bad, IPC_SIGN, &body, STDERR_FILENO);
}

static void
attack_flood(struct scene *s)
{
	/* Stopped, so that all of them are there when it looks. */
	(void)kill(s->keeper, SIGSTOP);
	for (uint64_t i = 1; i <= 2 * SIGNS_PER_SECOND; i++)
		ask(&s->bad, i, PAIR);
	(void)kill(s->keeper, SIGCONT);
}

static const struct {
	const char *name;
	void (*run)(struct scene *s);
	unsigned int reason;
} attacks[] = {
    {"type", attack_type, IPC_BREACH_TYPE},
    {"drop", attack_drop, IPC_BREACH_TYPE},
    {"key", attack_key, IPC_BREACH_TYPE},
    {"unknown-type", attack_unknown_type, IPC_BREACH_TYPE},
    {"size", attack_size, IPC_BREACH_SIZE},
    {"form", attack_form, IPC_BREACH_FORM},
    {"hash", attack_hash, IPC_BREACH_FORM},
    {"descriptor", attack_descriptor, IPC_BREACH_DESCRIPTORS},
    {"flood", attack_flood, IPC_BREACH_FLOOD},
};

/* Bytes that are almost a key exchange, or something else worth a signature:
 * the well-formed ones, cut or grown, with other bytes at a place. */
static const struct {
	const char *name;
	size_t len; /* of 100 */
	size_t at;
	const char *put;
	size_t n_put;
} malformed[] = {
    {"one byte", 1, 0, "", 0},
    {"a SHA-256 value", 32, 0, "", 0},
    {"without a point", 68, 0, "", 0},
    {"a byte less", 99, 0, "", 0},
    {"a byte more", 101, 0, "", 0},
    {"as long as can be", IPC_TO_SIGN_MAX, 0, "", 0},
    {"an explicit curve", 100, 64, "\x01", 1},
    {"no curve", 100, 64, "\x00", 1},
    {"P-384", 100, 64, "\x03\x00\x18\x20", 4},
    {"X448", 100, 64, "\x03\x00\x1e\x20", 4},
    {"finite field", 100, 64, "\x03\x01\x00\x20", 4},
    {"P-256 with a short point", 100, 64, "\x03\x00\x17\x20", 4},
    {"P-256, compressed", 101, 64, "\x03\x00\x17\x21\x02", 5},
    {"P-256, infinity", IPC_TO_SIGN_MAX, 64, "\x03\x00\x17\x41\x00", 5},
    {"a length too small", 100, 67, "\x1f", 1},
    {"a length too large", 100, 67, "\x21", 1},
    {"CertificateVerify of TLS 1.3", 130, 0,
	"                                                                "
	"TLS 1.3, server CertificateVerify",
	98},
    {"a certificate", 120, 0, "\x30\x82\x03\x01\xa0\x03\x02\x01\x02", 9},
    {"a mail, for DKIM", 100, 64, "from:a@b.c\r\n", 12},
};

static void
send_malformed(struct scene *s, size_t i)
{
	uint8_t bytes[IPC_TO_SIGN_MAX];
	struct ipc_sign body = {.ask = 9, .pair = PAIR};

	memset(bytes, 0x5a, sizeof(bytes));
	(void)well_formed(bytes);
	memcpy(bytes + malformed[i].at, malformed[i].put, malformed[i].n_put);
	body.bytes = (struct span){bytes, malformed[i].len};
	send_message(&s->bad, IPC_SIGN, &body, -1);
}

static void
expect_replacement(struct scene *s, unsigned int reason)
{
	struct ipc_received in;

	expect_accusation(&s->monitor, reason);
	/* Signatures for a flood's first ones, nothing for anything else. */
	while (receive(&s->bad, &in) == IPC_OK)
		if (reason != IPC_BREACH_FLOOD)
			stop_with("the bad worker got an answer");
	(void)printf("bad worker parted from: %s\n", ipc_breach_text(reason));
}

/* Each with a worker of its own, and the good one in between. */
static void
try_malformed(struct scene *s)
{
	for (size_t i = 0; i < ARRAY_LENGTH(malformed); i++) {
		(void)printf("%s\n", malformed[i].name);
		send_malformed(s, i);
		expect_replacement(s, IPC_BREACH_FORM);
		fd_close(&s->bad.fd);
		s->bad = offer(s, BAD);
	}
}

static int
attack(struct scene *s, const char *name)
{
	s->good = offer(s, GOOD);
	s->bad = offer(s, BAD);
	use_good_worker(s, "before");
	if (strcmp(name, "malformed") == 0) {
		try_malformed(s);
		use_good_worker(s, "after");
		stop_role(s->keeper, &s->monitor);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(attacks); i++) {
		if (strcmp(attacks[i].name, name) != 0)
			continue;
		attacks[i].run(s);
		expect_replacement(s, attacks[i].reason);
		use_good_worker(s, "after");
		stop_role(s->keeper, &s->monitor);
		return 0;
	}
	stop_with("there is no such attack");
	return 1;
}

int
main(int argc, char **argv)
{
	struct scene s = {0};
	struct ipc_received in;

	if (argc != 5)
		stop_with("usage: keeper-peer TRACKER CHAIN KEY ATTACK");
	start_keeper(&s, argv[1]);
	s.chain = argv[2];
	s.key = argv[3];
	in = give_pair(&s);
	if (strcmp(argv[4], "pair") == 0) {
		(void)printf("%s%.*s\n", in.body.pair_result.ok ? "taken" : "",
		    (int)in.body.pair_result.reason.len,
		    (const char *)in.body.pair_result.reason.p);
		stop_role(s.keeper, &s.monitor);
		return 0;
	}
	if (in.body.pair_result.pair != PAIR || !in.body.pair_result.ok)
		stop_with("the pair was not taken");
	return attack(&s, argv[4]);
}
