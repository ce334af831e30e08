/*
 * tls_hello_test.c - the first message of a client, well and badly made
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "tls/choose.h"

static uint8_t memory[TLS_RECORD_HEADER + TLS_HELLO_MAX];

/* --- making messages ---------------------------------------------------- */

static struct writer w;
static uint8_t bytes[40000];

static void
put16(size_t n)
{
	writer_u8(&w, (uint8_t)(n >> 8));
	writer_u8(&w, (uint8_t)n);
}

/* A message with these extensions, which are given as bytes. */
static struct span
message(uint16_t version, const char *suites, size_t suites_len,
    const char *extensions, size_t len)
{
	size_t total;

	w = writer_of(bytes, sizeof(bytes));
	writer_bytes(&w, (struct span){(const uint8_t *)"\x01\0\0\0", 4});
	put16(version);
	for (uint8_t i = 0; i < 32; i++)
		writer_u8(&w, i);
	writer_u8(&w, 3);
	writer_text(&w, "sid");
	put16(suites_len);
	writer_bytes(&w, (struct span){(const uint8_t *)suites, suites_len});
	writer_bytes(&w, (struct span){(const uint8_t *)"\x01\0", 2});
	if (extensions != NULL) {
		put16(len);
		writer_bytes(
		    &w, (struct span){(const uint8_t *)extensions, len});
	}
	total = w.len - 4;
	bytes[2] = (uint8_t)(total >> 8);
	bytes[3] = (uint8_t)total;
	return writer_span(&w);
}

#define SUITES "\x13\x01\xc0\x2f\xcc\xa9\xc0\x2b\xc0\x2c\x00\xff"
#define SUITES_LEN 12
#define EXT(s) s, sizeof(s) - 1
#define SNI                        \
	"\0\0\0\x0e\0\x0c\0\0\x09" \
	"a.example"
#define GROUPS "\0\x0a\0\x08\0\x06\x00\x1d\0\x17\0\x18"
#define SIGNATURES "\0\x0d\0\x0a\0\x08\x08\x04\x04\x01\x05\x03\x06\x03"
#define ALPN "\0\x10\0\x0e\0\x0c\x02h2\x08http/1.1"
#define VERSIONS "\0\x2b\0\x05\x04\x03\x04\x03\x03"

static void
test_whole(void **state)
{
	struct tls_failure f;
	struct tls_hello h;
	struct span m = message(0x0303, SUITES, SUITES_LEN,
	    EXT(SNI GROUPS SIGNATURES ALPN VERSIONS "\xff\x01\0\x01\0"
						    "\x0a\x0a\0\x02zz"));

	(void)state;
	assert_int_equal(tls_hello_parse(&h, m, &f), 0);
	assert_int_equal(h.version, 0x0303);
	assert_int_equal(h.random.len, 32);
	assert_int_equal(h.random.p[31], 31);
	assert_true(span_equal(h.session_id, span_of("sid")));
	assert_true(span_equal(h.name, span_of("a.example")));
	assert_true(h.groups & 1u << TLS_GROUP_X25519);
	assert_true(h.groups & 1u << TLS_GROUP_P256);
	assert_int_equal(
	    h.signatures, TLS_SIGNATURE_BIT(TLS_KEY_RSA, TLS_SHA256) |
			      TLS_SIGNATURE_BIT(TLS_KEY_EC, TLS_SHA384) |
			      TLS_SIGNATURE_BIT(TLS_KEY_EC, TLS_SHA512));
	assert_true(h.has_alpn && h.has_http11);
	assert_true(h.has_versions && h.has_tls12);
	assert_true(h.uncompressed);
	assert_true(tls_hello_offers(&h, 0xc02b));
	assert_false(tls_hello_offers(&h, 0xc030));
	/* Nowhere may it be cut, or go on. */
	for (size_t n = 4; n < m.len; n++)
		if (tls_hello_parse(&h, (struct span){m.p, n}, &f) == 0)
			/* Only where the extensions begin: they may lack. */
			assert_int_equal(n, 4 + 2 + 32 + 4 + 2 + 12 + 2);
	bytes[m.len] = 0;
	assert_int_equal(
	    tls_hello_parse(&h, (struct span){m.p, m.len + 1}, &f), -1);
	assert_int_equal(f.reason, TLS_REASON_BROKEN);
	assert_int_equal(f.alert, TLS_ALERT_DECODE_ERROR);
}

static void
test_without_extensions(void **state)
{
	struct tls_failure f;
	struct tls_hello h;

	(void)state;
	assert_int_equal(tls_hello_parse(&h,
			     message(0x0301, SUITES, SUITES_LEN, NULL, 0), &f),
	    0);
	assert_int_equal(h.groups, 1u << TLS_GROUP_P256);
	assert_int_equal(h.signatures, 0);
	assert_int_equal(h.name.len, 0);
	assert_false(h.has_alpn || h.has_versions);
}

static const struct {
	const char *bytes;
	size_t len;
} bad[] = {
    {EXT(GROUPS GROUPS)}, /* twice */
    {EXT(SNI SNI)},	  /* twice */
    {EXT("\0\0\0\x0e\0\x0c\0\0\x08"
	 "a.example")}, /* short */
    {EXT("\0\0\0\x0e\0\x0c\0\0\x0a"
	 "a.example")}, /* long */
    {EXT("\0\0\0\x0e\0\x0c\0\0\x09"
	 "a.e\0ample")},	     /* NUL */
    {EXT("\0\0\0\x05\0\x03\0\0\0")}, /* empty */
    {EXT("\0\0\0\x0a\0\x08\0\0\x01"
	 "a\0\0\x01"
	 "b")}, /* two */
    {EXT("\0\0\0\0")},
    {EXT("\0\x0a\0\x03\0\x01\x1d")},
    {EXT("\0\x0a\0\x05\0\x02\0\x1d\0")},
    {EXT("\0\x0d\0\x05\0\x03\x04\x01\x04")},
    {EXT("\0\x10\0\x05\0\x03\x03h2")},
    {EXT("\0\x2b\0\x04\x03\x03\x03\x04")},
    {EXT("\xff\x01\0\x0d\x0c"
	 "123456789012")},
    {EXT("\xff\x01\0\x01\x01")},
    {EXT("\0\x01\0\x02\x01\x01")},
    {EXT("\0\x01\0\x02\x05\x01")},
    {EXT("\0\x01\0\0")},
    {EXT("\0\x99\0\x05"
	 "1234")},
    {EXT("\0\x99\0")},
};

static void
test_bad_extensions(void **state)
{
	struct tls_failure f;
	struct tls_hello h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		assert_int_equal(tls_hello_parse(&h,
				     message(0x0303, SUITES, SUITES_LEN,
					 bad[i].bytes, bad[i].len),
				     &f),
		    -1);
		assert_int_equal(f.alert, TLS_ALERT_DECODE_ERROR);
	}
	assert_int_equal(
	    tls_hello_parse(
		&h, message(0x0303, SUITES, SUITES_LEN - 1, NULL, 0), &f),
	    -1);
}

/* A size that there is not has an alert of its own. */
static void
test_fragment(void **state)
{
	uint8_t extension[] = {0, 1, 0, 1, 0};
	struct tls_failure f;
	struct tls_hello h;

	(void)state;
	for (unsigned int n = 0; n < 256; n++) {
		bool good = n >= 1 && n <= 4;

		extension[4] = (uint8_t)n;
		assert_int_equal(
		    tls_hello_parse(&h,
			message(0x0303, SUITES, SUITES_LEN,
			    (const char *)extension, sizeof(extension)),
			&f),
		    good ? 0 : -1);
		if (good)
			continue;
		assert_int_equal(f.reason, TLS_REASON_BROKEN);
		assert_int_equal(f.alert, TLS_ALERT_ILLEGAL_PARAMETER);
	}
}

/* --- gathering ---------------------------------------------------------- */

static size_t
to_records(struct span m, size_t cut, uint8_t *out)
{
	size_t used = 0;

	for (size_t at = 0; at < m.len; at += cut) {
		size_t n = m.len - at < cut ? m.len - at : cut;
		const uint8_t header[] = {
		    22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n};

		memcpy(out + used, header, 5);
		memcpy(out + used + 5, m.p + at, n);
		used += 5 + n;
	}
	return used;
}

static void
test_gather(void **state)
{
	static uint8_t records[200000];
	struct span m =
	    message(0x0303, SUITES, SUITES_LEN, EXT(SNI GROUPS SIGNATURES));
	struct tls_failure f;
	struct tls_gather g;

	(void)state;
	for (size_t cut = 1; cut <= m.len; cut += 3) {
		size_t len = to_records(m, cut, records);

		for (size_t step = 1; step < len; step += 17) {
			enum tls_hello_result r = TLS_HELLO_MORE;
			struct span record;

			tls_gather_init(&g, memory);
			for (size_t at = 0; at < len; at += step) {
				struct span s = {records + at,
				    len - at < step ? len - at : step};

				assert_int_equal(r, TLS_HELLO_MORE);
				r = tls_gather_take(&g, &s, &f);
				assert_int_equal(s.len, 0);
			}
			assert_int_equal(r, TLS_HELLO_DONE);
			assert_true(span_equal(tls_gather_message(&g), m));
			record = tls_gather_record(&g);
			assert_int_equal(record.len, m.len + 5);
			assert_memory_equal(record.p, "\x16\x03\x01", 3);
		}
	}
	/* What comes behind is left where it is. */
	records[to_records(m, m.len, records)] = 'x';
	tls_gather_init(&g, memory);
	struct span s = {records, m.len + 6};

	assert_int_equal(tls_gather_take(&g, &s, &f), TLS_HELLO_DONE);
	assert_int_equal(s.len, 1);
}

static const struct {
	const char *bytes;
	size_t len;
	enum tls_reason reason;
	uint8_t alert;
} wrong[] = {
    {EXT("G"), TLS_REASON_NOT_TLS, 10},
    {EXT("\x80\x2e"), TLS_REASON_NOT_TLS, 10},
    {EXT("\x16\x02\x00\x00\x05"), TLS_REASON_NOT_TLS, 10},
    {EXT("\x17\x03\x03"), TLS_REASON_NOT_TLS, 10},
    {EXT("\x16\x03\x01\x40\x01"), TLS_REASON_BROKEN, 22},
    {EXT("\x16\x03\x01\x00\x00"), TLS_REASON_BROKEN, 50},
    {EXT("\x15\x03\x01\x00\x03"), TLS_REASON_BROKEN, 50},
    {EXT("\x15\x03\x01\x00\x02\x02\x2a"), TLS_REASON_CLIENT_ALERT, 42},
    {EXT("\x16\x03\x01\x00\x05\x02"), TLS_REASON_BROKEN, 10},
    {EXT("\x16\x03\x01\x00\x05\x01\x00\x00\x00"), TLS_REASON_BROKEN, 10},
    {EXT("\x16\x03\x01\x01\x00\x01\x00\x3f\xfd"), TLS_REASON_BROKEN, 50},
    {EXT("\x16\x03\x01\x00\x01\x01\x15\x03\x01\x00\x02"), TLS_REASON_BROKEN,
	10},
};

static void
test_wrong_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct span s = {(const uint8_t *)wrong[i].bytes, wrong[i].len};
		struct tls_failure f = {0};
		struct tls_gather g;

		tls_gather_init(&g, memory);
		assert_int_equal(tls_gather_take(&g, &s, &f), TLS_HELLO_WRONG);
		assert_int_equal(f.reason, wrong[i].reason);
		assert_int_equal(f.alert, wrong[i].alert);
	}
}

/* --- choosing ----------------------------------------------------------- */

static void
test_choose(void **state)
{
	const struct tls_identity ec = {
	    .certificate.key.kind = TLS_KEY_EC, .key_id = 1};
	const struct tls_identity rsa = {
	    .certificate.key.kind = TLS_KEY_RSA, .key_id = 2};
	const struct tls_entry both = {{&ec, &rsa}}, only = {{NULL, &rsa}};
	struct tls_choice c;
	struct tls_failure f;
	struct tls_hello h;
	struct span m =
	    message(0x0303, SUITES, SUITES_LEN, EXT(GROUPS SIGNATURES));

	(void)state;
	assert_int_equal(tls_hello_parse(&h, m, &f), 0);
	assert_int_equal(tls_choose(&h, &both, true, &c, &f), 0);
	assert_int_equal(c.suite, 0xc02b);
	assert_int_equal(c.identity->key_id, 1);
	assert_int_equal(c.hash, TLS_SHA384);
	assert_int_equal(c.group, TLS_GROUP_X25519);
	/* Where AES is slow, as the client likes it. */
	assert_int_equal(tls_choose(&h, &both, false, &c, &f), 0);
	assert_int_equal(c.suite, 0xcca9);
	assert_int_equal(tls_choose(&h, &only, true, &c, &f), 0);
	assert_int_equal(c.suite, 0xc02f);
	assert_int_equal(c.hash, TLS_SHA256);
	/* No signature for EC: RSA, although EC stands first. */
	h.signatures = TLS_SIGNATURE_BIT(TLS_KEY_RSA, TLS_SHA512);
	assert_int_equal(tls_choose(&h, &both, true, &c, &f), 0);
	assert_int_equal(c.identity->key_id, 2);
	assert_int_equal(c.hash, TLS_SHA512);
	h.groups = 1u << TLS_GROUP_P256;
	assert_int_equal(tls_choose(&h, &both, true, &c, &f), 0);
	assert_int_equal(c.group, TLS_GROUP_P256);
	h.signatures |= TLS_SIGNATURE_BIT(TLS_KEY_EC, TLS_SHA256);
	assert_int_equal(tls_choose(&h, &both, true, &c, &f), 0);
	assert_int_equal(c.identity->key_id, 1);
	/* It could not read a key of P-256. */
	h.groups = 1u << TLS_GROUP_X25519;
	assert_int_equal(tls_choose(&h, &both, true, &c, &f), 0);
	assert_int_equal(c.identity->key_id, 2);
	h.groups = 1u << 24;
	assert_int_equal(tls_choose(&h, &both, true, &c, &f), -1);
	assert_int_equal(f.reason, TLS_REASON_SUITE);
	h.groups = 1u << TLS_GROUP_P256;
	h.signatures = 0;
	assert_int_equal(tls_choose(&h, &both, true, &c, &f), -1);
	assert_int_equal(f.alert, TLS_ALERT_HANDSHAKE_FAILURE);
	assert_string_equal(
	    tls_suite_name(0xcca8), "ECDHE-RSA-CHACHA20-POLY1305");
	assert_null(tls_suite_name(0x1301));
	assert_int_equal(tls_signature_id(TLS_KEY_EC, TLS_SHA256), 0x0403);
	assert_int_equal(tls_signature_id(TLS_KEY_RSA, TLS_SHA512), 0x0601);
}

static void
test_check(void **state)
{
	static const struct {
		uint16_t version;
		const char *bytes;
		size_t len;
		int reason;
	} rows[] = {
	    {0x0303, EXT(GROUPS), TLS_REASON_NONE},
	    {0x0304, EXT(GROUPS), TLS_REASON_NONE},
	    {0x0302, EXT(GROUPS), TLS_REASON_VERSION},
	    {0x0303, EXT(VERSIONS), TLS_REASON_NONE},
	    {0x0303, EXT("\0\x2b\0\x03\x02\x03\x04"), TLS_REASON_VERSION},
	    {0x0303, EXT(ALPN), TLS_REASON_NONE},
	    {0x0303, EXT("\0\x10\0\x05\0\x03\x02h2"), TLS_REASON_PROTOCOL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct tls_failure f = {0};
		struct tls_hello h;

		assert_int_equal(
		    tls_hello_parse(&h,
			message(rows[i].version, SUITES, SUITES_LEN,
			    rows[i].bytes, rows[i].len),
			&f),
		    0);
		(void)tls_choose_check(&h, &f);
		assert_int_equal(f.reason, rows[i].reason);
	}
}

static void
test_compression(void **state)
{
	struct span m = message(0x0303, SUITES, SUITES_LEN, NULL, 0);
	struct tls_failure f = {0};
	struct tls_hello h;

	(void)state;
	bytes[m.len - 1] = 1;
	assert_int_equal(tls_hello_parse(&h, m, &f), 0);
	assert_int_equal(tls_choose_check(&h, &f), -1);
	assert_int_equal(f.alert, TLS_ALERT_ILLEGAL_PARAMETER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_without_extensions),
	    cmocka_unit_test(test_bad_extensions),
	    cmocka_unit_test(test_fragment),
	    cmocka_unit_test(test_gather),
	    cmocka_unit_test(test_wrong_records),
	    cmocka_unit_test(test_choose),
	    cmocka_unit_test(test_check),
	    cmocka_unit_test(test_compression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
