/*
 * tls_certificate_test.c - chains read from PEM, and which one a name gets
 */
#include "tests/unit/test.h"

#include <bearssl.h>

#include "base/array.h"
#include "tests/unit/tls_fixtures.h"
#include "tls/certificate.h"
#include "tls/der.h"
#include "tls/set.h"

static uint8_t memory[65536];

static int
parse(struct tls_certificate *c, const char *pem, struct err *e)
{
	return tls_certificate_parse(
	    c, span_of(pem), memory, sizeof(memory), e);
}

static void
test_chain(void **state)
{
	struct tls_certificate c;
	struct span rest, name;
	struct err e;

	(void)state;
	assert_int_equal(
	    parse(&c, FIXTURE_EC FIXTURE_INTERMEDIATE FIXTURE_ROOT, &e), 0);
	assert_int_equal(c.n_chain, 3);
	assert_true(c.in_order);
	assert_true(c.to_root);
	assert_int_equal(c.key.kind, TLS_KEY_EC);
	assert_int_equal(c.key.bits, 256);
	assert_int_equal(c.key.point.len, TLS_POINT_SIZE);
	assert_int_equal(tls_signature_size(&c.key), TLS_ECDSA_MAX);
	assert_int_equal(c.n_names, 3);
	rest = c.names;
	assert_true(tls_certificate_next_name(&rest, &name));
	assert_true(span_equal(name, span_of("www.example.com")));
	assert_true(tls_certificate_next_name(&rest, &name));
	assert_true(tls_certificate_next_name(&rest, &name));
	assert_true(span_equal(name, span_of("*.shop.example.com")));
	assert_false(tls_certificate_next_name(&rest, &name));
	/* It was made for a hundred years. */
	assert_true(c.not_before > 1700000000);
	assert_int_equal(c.not_after - c.not_before, INT64_C(36500) * 86400);

	assert_int_equal(parse(&c, FIXTURE_EC FIXTURE_INTERMEDIATE, &e), 0);
	assert_true(c.in_order);
	assert_false(c.to_root);
	assert_int_equal(parse(&c, FIXTURE_EC FIXTURE_ROOT, &e), 0);
	assert_false(c.in_order);
	assert_int_equal(
	    parse(&c, FIXTURE_EC FIXTURE_ROOT FIXTURE_INTERMEDIATE, &e), 0);
	assert_false(c.in_order);
}

static void
test_rsa(void **state)
{
	struct tls_certificate c;
	struct err e;

	(void)state;
	assert_int_equal(parse(&c, FIXTURE_RSA, &e), 0);
	assert_int_equal(c.key.kind, TLS_KEY_RSA);
	assert_int_equal(c.key.bits, 2048);
	assert_int_equal(c.key.modulus.len, 256);
	assert_int_equal(tls_signature_size(&c.key), 256);
	assert_int_equal(c.key.exponent.len, 3);
	assert_true(c.in_order && c.to_root);
	assert_int_equal(parse(&c, FIXTURE_RSA4096, &e), 0);
	assert_int_equal(tls_signature_size(&c.key), TLS_SIGNATURE_MAX);
	assert_int_equal(c.n_names, 0);
}

static const struct {
	const char *pem, *reason;
} refused[] = {
    {"", "there is no certificate in it"},
    {"some text\n", "there is no certificate in it"},
    {FIXTURE_EC_KEY, "a \"PRIVATE KEY\" among the certificates"},
    {FIXTURE_EC FIXTURE_EC_KEY, "a \"PRIVATE KEY\" among the certificates"},
    {FIXTURE_P384, "the key is neither RSA nor EC with the curve P-256"},
    {FIXTURE_RSA1024,
	"the RSA key has 1024 bits; from 2048 to 4096 are served"},
    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	"certificate 1 is not X.509 in DER"},
    {FIXTURE_EC
	"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
	"certificate 2 is not X.509 in DER"},
    {"-----BEGIN CERTIFICATE-----\nM!!=\n-----END CERTIFICATE-----\n",
	"broken PEM"},
    {"-----BEGIN CERTIFICATE-----\nMAA=\n", "broken PEM"},
};

static void
test_refused(void **state)
{
	struct tls_certificate c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		assert_int_equal(parse(&c, refused[i].pem, &e), -1);
		assert_string_equal(e.text, refused[i].reason);
	}
}

static void
test_too_many(void **state)
{
	static char pem[9 * sizeof(FIXTURE_EC)];
	struct tls_certificate c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < 9; i++)
		(void)strcat(pem, FIXTURE_EC);
	assert_int_equal(parse(&c, pem, &e), -1);
	assert_string_equal(e.text, "more than 8 certificates");
}

/* A certificate that is cut short anywhere is not taken. */
static void
test_cut(void **state)
{
	static uint8_t der[4096];
	struct tls_certificate c;
	struct err e;
	size_t len;

	(void)state;
	assert_int_equal(parse(&c, FIXTURE_EC, &e), 0);
	len = c.chain[0].len;
	memcpy(der, c.chain[0].p, len);
	for (size_t n = 0; n < len; n++) {
		struct cursor k = cursor_of((struct span){der, n});

		(void)der_take(&k, DER_SEQUENCE);
		assert_true(k.bad);
	}
}

static void
assert_inside(struct span s, const uint8_t *p, size_t len)
{
	if (s.len > 0)
		assert_true(s.p >= p && s.p + s.len <= p + len);
}

/* Every byte changed in turn: a reason, or a certificate whose spans lie in
 * its own memory. Most changes are of the signature, which nobody reads. */
static void
damage(const char *pem)
{
	static uint8_t der[4096], again[4096];
	static char text[8192];
	struct tls_certificate c;
	size_t len, taken = 0;
	struct err e;

	assert_int_equal(parse(&c, pem, &e), 0);
	len = c.chain[0].len;
	memcpy(der, c.chain[0].p, len);
	for (size_t i = 0; i < len * 3; i++) {
		uint8_t was = der[i / 3];
		size_t n;

		der[i / 3] ^= i % 3 == 0 ? 1 : i % 3 == 1 ? 0x80 : 0xff;
		n = br_pem_encode(text, der, len, "CERTIFICATE", 0);
		der[i / 3] = was;
		e.text[0] = '\0';
		if (tls_certificate_parse(&c, (struct span){(uint8_t *)text, n},
			again, len, &e) != 0) {
			assert_true(strlen(e.text) > 0);
			continue;
		}
		taken++;
		assert_inside(c.chain[0], again, len);
		assert_inside(c.names, again, len);
		assert_inside(c.key.point, again, len);
		assert_inside(c.key.modulus, again, len);
		assert_inside(c.key.exponent, again, len);
	}
	assert_true(taken > 0 && taken < len * 3);
}

static void
test_damage(void **state)
{
	(void)state;
	damage(FIXTURE_EC);
	damage(FIXTURE_RSA);
	damage(FIXTURE_ROOT);
}

static void
test_small_memory(void **state)
{
	struct tls_certificate c;
	struct err e;

	(void)state;
	assert_int_equal(
	    tls_certificate_parse(&c, span_of(FIXTURE_EC), memory, 100, &e),
	    -1);
	assert_string_equal(e.text, "broken PEM");
}

/* --- DER --------------------------------------------------------------- */

static const struct {
	const char *bytes;
	size_t len;
	int ok;
} lengths[] = {
    {"\x30\x00", 2, 1},
    {"\x30\x02"
     "ab",
	4, 1},
    {"\x30\x81\x02"
     "ab",
	5, 0}, /* the long form where the short one does */
    {"\x30\x82\x00\x80", 4, 0},
    {"\x30\x80\x00\x00", 4, 0}, /* indefinite */
    {"\x30\x84\x00\x00\x00\x01"
     "a",
	7, 0},
    {"\x30\x05"
     "ab",
	4, 0},
    {"\x31\x00", 2, 0},
    {"\x30", 1, 0},
    {"", 0, 0},
};

static void
test_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		struct cursor c = cursor_of((struct span){
		    (const uint8_t *)lengths[i].bytes, lengths[i].len});

		(void)der_take(&c, DER_SEQUENCE);
		assert_int_equal(cursor_end(&c) == 0, lengths[i].ok);
	}
}

static const struct {
	const char *text;
	uint8_t tag;
	int64_t seconds; /* -1: refused */
} times[] = {
    {"700101000000Z", DER_UTC_TIME, 0},
    {"491231235959Z", DER_UTC_TIME, INT64_C(2524607999)},
    {"500101000000Z", DER_UTC_TIME, INT64_C(-631152000)},
    {"20500101000000Z", DER_GENERALIZED_TIME, INT64_C(2524608000)},
    {"99991231235959Z", DER_GENERALIZED_TIME, INT64_C(253402300799)},
    {"7001010000Z", DER_UTC_TIME, -1},
    {"700101000000", DER_UTC_TIME, -1},
    {"701301000000Z", DER_UTC_TIME, -1},
    {"700100000000Z", DER_UTC_TIME, -1},
    {"700101240000Z", DER_UTC_TIME, -1},
    {"700101006000Z", DER_UTC_TIME, -1},
    {"7001010000x0Z", DER_UTC_TIME, -1},
    {"700101000000ZZ", DER_UTC_TIME, -1},
    {"20500101000000.5Z", DER_GENERALIZED_TIME, -1},
};

static void
test_times(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
		uint8_t der[64] = {
		    times[i].tag, (uint8_t)strlen(times[i].text)};
		struct cursor c;
		int64_t got;

		memcpy(der + 2, times[i].text, der[1]);
		c = cursor_of((struct span){der, 2u + der[1]});
		got = der_take_time(&c);
		if (times[i].seconds == -1) {
			assert_true(c.bad);
			continue;
		}
		assert_int_equal(cursor_end(&c), 0);
		assert_int_equal(got, times[i].seconds);
	}
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *bytes;
		size_t len, value_len; /* 0: refused */
	} rows[] = {
	    {"\x02\x01\x05", 3, 1},
	    {"\x02\x02\x00\x80", 4, 1},
	    {"\x02\x01\x00", 3, 1},
	    {"\x02\x01\x80", 3, 0},
	    {"\x02\x02\x00\x05", 4, 0},
	    {"\x02\x00", 2, 0},
	    {"\x03\x01\x05", 3, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct cursor c = cursor_of(
		    (struct span){(const uint8_t *)rows[i].bytes, rows[i].len});
		struct span n = der_take_unsigned(&c);

		assert_int_equal(c.bad ? 0 : n.len, rows[i].value_len);
	}
}

/* --- names ------------------------------------------------------------- */

static const struct {
	const char *pattern, *host;
	int covers;
} names[] = {
    {"example.com", "example.com", 1},
    {"example.com", "EXAMPLE.com", 1},
    {"example.com", "example.com.", 1},
    {"example.com.", "example.com", 1},
    {"example.com", "www.example.com", 0},
    {"*.example.com", "www.example.com", 1},
    {"*.example.com", "WWW.Example.Com", 1},
    {"*.example.com", "example.com", 0},
    {"*.example.com", ".example.com", 0},
    {"*.example.com", "a.b.example.com", 0},
    {"*.example.com", "", 0},
    {"", "", 0},
    {"*", "example", 0},
    {"*.com", "example.com", 1},
    {"w*.example.com", "www.example.com", 0},
};

static void
test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		assert_int_equal(tls_name_covers(span_of(names[i].pattern),
				     span_of(names[i].host)),
		    names[i].covers);
}

static void
test_covers(void **state)
{
	struct tls_certificate c;
	struct err e;

	(void)state;
	assert_int_equal(parse(&c, FIXTURE_EC, &e), 0);
	assert_true(tls_certificate_covers(&c, span_of("example.com")));
	assert_true(tls_certificate_covers(&c, span_of("a.shop.example.com")));
	assert_false(tls_certificate_covers(&c, span_of("shop.example.com")));
}

/* --- sets -------------------------------------------------------------- */

static const struct hash_key key = {1, 2};

/* All fixtures are valid in 2027. */
#define IN_2027 INT64_C(1800000000)

static uint32_t
id_at(const struct tls_set *s, const char *name, enum tls_key_kind kind,
    int64_t now)
{
	struct tls_entry entry;

	return tls_set_find(s, span_of(name), now, &entry) &&
		       entry.of[kind] != NULL
		   ? entry.of[kind]->key_id
		   : 0;
}

static uint32_t
id_of(const struct tls_set *s, const char *name, enum tls_key_kind kind)
{
	return id_at(s, name, kind, IN_2027);
}

static bool
is_there(const struct tls_set *s, const char *name)
{
	struct tls_entry entry;

	return tls_set_find(s, span_of(name), IN_2027, &entry);
}

static void
test_set(void **state)
{
	struct tls_set *s = tls_set_new(&key);
	struct err e;

	(void)state;
	assert_false(is_there(s, "www.example.com"));
	assert_int_equal(
	    tls_set_add(s, span_of(FIXTURE_EC), 1, (struct span){0}, &e), 0);
	assert_int_equal(tls_set_add(s, span_of(FIXTURE_RSA), 2,
			     span_of("Rsa.Example.COM."), &e),
	    0);
	assert_int_equal(id_of(s, "www.example.com", TLS_KEY_EC), 1);
	/* The other kind of key for the same name stands beside it. */
	assert_int_equal(id_of(s, "www.example.com", TLS_KEY_RSA), 2);
	assert_int_equal(id_of(s, "example.com", TLS_KEY_RSA), 0);
	assert_int_equal(id_of(s, "EXAMPLE.com.", TLS_KEY_EC), 1);
	assert_int_equal(id_of(s, "x.shop.example.com", TLS_KEY_EC), 1);
	assert_int_equal(id_of(s, "x.y.shop.example.com", TLS_KEY_EC), 0);
	assert_int_equal(id_of(s, ".shop.example.com", TLS_KEY_EC), 0);
	assert_int_equal(id_of(s, "shop.example.com", TLS_KEY_EC), 0);
	assert_int_equal(id_of(s, "rsa.example.com", TLS_KEY_RSA), 2);
	assert_false(is_there(s, ""));
	assert_false(is_there(s, "."));
	assert_false(is_there(s, "other.example"));
	/* What cannot be read changes nothing. */
	assert_int_equal(tls_set_add(s, span_of(FIXTURE_P384), 3,
			     span_of("www.example.com"), &e),
	    -1);
	assert_int_equal(tls_set_size(s), 2);
	/* The one that is valid longer wins, whoever comes first. */
	assert_int_equal(tls_set_add(s, span_of(FIXTURE_RSA4096), 4,
			     span_of("www.example.com"), &e),
	    0);
	assert_int_equal(id_of(s, "www.example.com", TLS_KEY_RSA), 4);
	assert_int_equal(tls_set_add(s, span_of(FIXTURE_RSA), 5,
			     span_of("www.example.com"), &e),
	    0);
	assert_int_equal(id_of(s, "www.example.com", TLS_KEY_RSA), 4);
	assert_int_equal(
	    tls_set_add_default(s, span_of(FIXTURE_RSA3072), 6, &e), 0);
	assert_int_equal(id_of(s, "other.example", TLS_KEY_RSA), 6);
	assert_int_equal(id_of(s, "", TLS_KEY_RSA), 6);
	assert_int_equal(id_of(s, "example.com", TLS_KEY_EC), 1);
	assert_int_equal(tls_set_at(s, 1)->key_id, 2);
	assert_ptr_equal(tls_set_hold(s), s);
	tls_set_release(s);
	assert_int_equal(id_of(s, "example.com", TLS_KEY_EC), 1);
	tls_set_release(s);
	tls_set_release(NULL);
}

/* Seconds of 2076 and 2126, when FIXTURE_RSA has ended and FIXTURE_EC not, and
 * when all have. */
#define IN_2100 INT64_C(4102444800)
#define IN_2200 INT64_C(7258118400)
/* Of FIXTURE_RSA and FIXTURE_RSA4096. */
#define BETWEEN_THEIR_STARTS INT64_C(1795621107)

/* A name is added with a chain, whatever is in that. */
static void
claim(struct tls_set *s, const char *pem, uint32_t id, const char *name)
{
	struct err e;

	assert_int_equal(
	    tls_set_add(s, span_of(pem), id, span_of(name), &e), 0);
}

/* Dates pass while a set is served: what has ended gives way, and does not when
 * there is nothing better. */
static void
test_set_dates(void **state)
{
	struct tls_set *s = tls_set_new(&key);
	struct err e;

	(void)state;
	/* Its own ends before that of a wildcard. */
	claim(s, FIXTURE_RSA, 1, "x.shop.example.com");
	claim(s, FIXTURE_EC, 2, "");
	assert_int_equal(
	    id_at(s, "x.shop.example.com", TLS_KEY_RSA, IN_2027), 1);
	assert_int_equal(
	    id_at(s, "x.shop.example.com", TLS_KEY_EC, IN_2027), 0);
	assert_int_equal(
	    id_at(s, "x.shop.example.com", TLS_KEY_RSA, IN_2100), 0);
	assert_int_equal(
	    id_at(s, "x.shop.example.com", TLS_KEY_EC, IN_2100), 2);
	/* With all of them over it is as if none were, also before. */
	assert_int_equal(
	    id_at(s, "x.shop.example.com", TLS_KEY_RSA, IN_2200), 1);
	assert_int_equal(id_at(s, "x.shop.example.com", TLS_KEY_RSA, 0), 1);
	/* Of two kinds of keys only the one that holds. */
	assert_int_equal(id_at(s, "www.example.com", TLS_KEY_RSA, IN_2027), 1);
	assert_int_equal(id_at(s, "www.example.com", TLS_KEY_EC, IN_2027), 2);
	assert_int_equal(id_at(s, "www.example.com", TLS_KEY_RSA, IN_2100), 0);
	assert_int_equal(id_at(s, "www.example.com", TLS_KEY_EC, IN_2100), 2);
	assert_int_equal(id_at(s, "www.example.com", TLS_KEY_RSA, IN_2200), 1);
	assert_int_equal(id_at(s, "www.example.com", TLS_KEY_EC, IN_2200), 2);
	/* The default only for a name that it is for, or that has nothing. */
	claim(s, FIXTURE_RSA, 3, "ended.example.net");
	assert_int_equal(tls_set_add_default(s, span_of(FIXTURE_EC), 5, &e), 0);
	assert_int_equal(
	    id_at(s, "ended.example.net", TLS_KEY_RSA, IN_2100), 3);
	assert_int_equal(id_at(s, "ended.example.net", TLS_KEY_EC, IN_2100), 0);
	assert_int_equal(id_at(s, "other.example.net", TLS_KEY_EC, IN_2100), 5);
	assert_int_equal(id_at(s, "other.example.net", TLS_KEY_EC, IN_2200), 5);
	tls_set_release(s);
	s = tls_set_new(&key);
	claim(s, FIXTURE_RSA, 1, "example.com");
	assert_int_equal(tls_set_add_default(s, span_of(FIXTURE_EC), 2, &e), 0);
	assert_int_equal(id_at(s, "example.com", TLS_KEY_RSA, IN_2027), 1);
	assert_int_equal(id_at(s, "example.com", TLS_KEY_EC, IN_2100), 2);
	assert_int_equal(id_at(s, "example.com", TLS_KEY_RSA, IN_2100), 0);
	/* One of the same kind that is not valid yet, but ends later. */
	claim(s, FIXTURE_RSA4096, 3, "example.com");
	assert_int_equal(
	    id_at(s, "example.com", TLS_KEY_RSA, BETWEEN_THEIR_STARTS), 1);
	assert_int_equal(id_at(s, "example.com", TLS_KEY_RSA, IN_2027), 3);
	tls_set_release(s);
}

static int
add_where_none(struct tls_set *s, const char *pem, uint32_t id,
    const char *name, struct err *e)
{
	struct tls_chain *c = tls_chain_new(span_of(pem), id, e);
	int failed =
	    c == NULL ? -1 : tls_set_enter_where_none(s, c, span_of(name), e);

	tls_chain_release(c);
	return failed;
}

/* For one name, and only where nothing else is. */
static void
test_set_where_none(void **state)
{
	struct tls_set *s = tls_set_new(&key);
	struct err e;

	(void)state;
	assert_int_equal(
	    tls_set_add(s, span_of(FIXTURE_EC), 1, (struct span){0}, &e), 0);
	assert_int_equal(
	    tls_set_add_default(s, span_of(FIXTURE_RSA3072), 2, &e), 0);
	/* Its own name, and one that a wildcard covers: both are taken. */
	assert_int_equal(
	    add_where_none(s, FIXTURE_RSA, 3, "Www.Example.Com", &e), 0);
	assert_int_equal(
	    add_where_none(s, FIXTURE_RSA, 3, "x.shop.example.com", &e), 0);
	assert_int_equal(tls_set_size(s), 2);
	assert_int_equal(id_of(s, "www.example.com", TLS_KEY_RSA), 0);
	assert_int_equal(id_of(s, "www.example.com", TLS_KEY_EC), 1);
	/* The default is in nobody's way; other names in it are not served. */
	assert_int_equal(
	    add_where_none(s, FIXTURE_RSA, 4, "Click.Example.Net", &e), 0);
	assert_int_equal(tls_set_size(s), 3);
	assert_int_equal(id_of(s, "click.example.net", TLS_KEY_RSA), 4);
	assert_int_equal(id_of(s, "rsa.example.com", TLS_KEY_RSA), 2);
	/* The first one stays. */
	assert_int_equal(
	    add_where_none(s, FIXTURE_RSA4096, 5, "click.example.net", &e), 0);
	assert_int_equal(id_of(s, "click.example.net", TLS_KEY_RSA), 4);
	assert_int_equal(
	    add_where_none(s, FIXTURE_P384, 6, "other.example.net", &e), -1);
	assert_int_equal(tls_set_size(s), 3);
	tls_set_release(s);
}

static void
test_a_thousand(void **state)
{
	struct tls_set *s = tls_set_new(&key);
	char name[64];
	struct err e;

	(void)state;
	for (uint32_t i = 1; i <= 1000; i++) {
		(void)snprintf(name, sizeof(name), "c%u.example.net", i);
		assert_int_equal(tls_set_add(s, span_of(FIXTURE_RSA4096), i,
				     span_of(name), &e),
		    0);
	}
	for (uint32_t i = 1; i <= 1000; i++) {
		(void)snprintf(name, sizeof(name), "C%u.example.net", i);
		assert_int_equal(id_of(s, name, TLS_KEY_RSA), i);
	}
	assert_int_equal(id_of(s, "c1001.example.net", TLS_KEY_RSA), 0);
	tls_set_release(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chain),
	    cmocka_unit_test(test_rsa),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_small_memory),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_covers),
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_set_dates),
	    cmocka_unit_test(test_set_where_none),
	    cmocka_unit_test(test_a_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
