/*
 * http_client_test.c - PROXY headers and forwarded lists
 */
#include "tests/unit/test.h"

#include "base/array.h"
#include "http/client.h"
#include "tests/unit/address.h"

static void
assert_address(const struct addr *a, const char *expected)
{
	char text[ADDR_TEXT_SIZE];

	addr_format(a, text);
	assert_string_equal(text, expected);
}

/* --- forwarded lists --------------------------------------------------- */

static const struct {
	const char *lines[3];
	const char *peer;
	const char *client;
} lists[] = {
    {{"198.51.100.7"}, "127.0.0.1", "198.51.100.7"},
    {{"6.6.6.6, 198.51.100.7"}, "127.0.0.1", "198.51.100.7"},
    {{"6.6.6.6, 198.51.100.7, 127.0.0.1"}, "127.0.0.1", "198.51.100.7"},
    {{"6.6.6.6 198.51.100.7"}, "127.0.0.1", "198.51.100.7"},
    {{"6.6.6.6\t198.51.100.7"}, "127.0.0.1", "198.51.100.7"},
    {{"198.51.100.7, "}, "127.0.0.1", "198.51.100.7"},
    {{"198.51.100.7:443"}, "127.0.0.1", "198.51.100.7"},
    {{"[2001:db8::5]:443"}, "127.0.0.1", "2001:db8::5"},
    {{"[2001:db8::5]"}, "127.0.0.1", "2001:db8::5"},
    {{"2001:db8::5"}, "127.0.0.1", "2001:db8::5"},
    {{"::ffff:198.51.100.7"}, "127.0.0.1", "198.51.100.7"},
    {{"6.6.6.6", "198.51.100.7"}, "127.0.0.1", "198.51.100.7"},
    {{"6.6.6.6", "10.0.0.9", " "}, "127.0.0.1", "6.6.6.6"},
    {{"10.0.0.5, 10.0.0.6"}, "127.0.0.1", "10.0.0.5"},
    {{"198.51.100.7"}, "2001:db8::1", "198.51.100.7"},
    {{"6.6.6.6"}, "192.0.2.1", "192.0.2.1"},
    {{""}, "127.0.0.1", "127.0.0.1"},
    {{"unknown"}, "127.0.0.1", "127.0.0.1"},
    {{"6.6.6.6, x, 10.0.0.1"}, "127.0.0.1", "10.0.0.1"},
    {{"6.6.6.6", "x"}, "127.0.0.1", "127.0.0.1"},
    {{"999.1.2.3"}, "127.0.0.1", "127.0.0.1"},
    {{"1.2.3.4:99999"}, "127.0.0.1", "127.0.0.1"},
    {{"1.2.3.4:"}, "127.0.0.1", "127.0.0.1"},
    {{"[2001:db8::5"}, "127.0.0.1", "127.0.0.1"},
    {{"[2001:db8::5]x"}, "127.0.0.1", "127.0.0.1"},
    {{"[2001:db8::5]:x"}, "127.0.0.1", "127.0.0.1"},
    {{"[1.2.3.4]"}, "127.0.0.1", "127.0.0.1"},
    {{"\"198.51.100.7\""}, "127.0.0.1", "127.0.0.1"},
    {{"fe80::1%eth0"}, "127.0.0.1", "127.0.0.1"},
    {{"localhost"}, "127.0.0.1", "127.0.0.1"},
};

static void
test_lists(void **state)
{
	struct network trusted[3];
	struct err e;

	(void)state;
	assert_int_equal(
	    network_parse(span_of("127.0.0.1"), &trusted[0], &e), 0);
	assert_int_equal(
	    network_parse(span_of("10.0.0.0/8"), &trusted[1], &e), 0);
	assert_int_equal(
	    network_parse(span_of("2001:db8::1"), &trusted[2], &e), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
		struct http_request r;
		struct addr client;

		http_request_init(&r);
		while (r.n_forwarded < 3 &&
		       lists[i].lines[r.n_forwarded] != NULL) {
			r.forwarded[r.n_forwarded] =
			    span_of(lists[i].lines[r.n_forwarded]);
			r.n_forwarded++;
		}
		client =
		    http_client_address(&r, address(lists[i].peer), trusted, 3);
		assert_address(&client, lists[i].client);
	}
}

/* --- PROXY ------------------------------------------------------------- */

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\306\63\144\7\300\0\2\1\1\1\0\120" /* 198.51.100.7 */
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\5"

/* len 0: the length of the text. */
static const struct {
	const char *bytes;
	size_t len;
	enum http_proxy result;
	size_t header_len;
	const char *client;
} headers[] = {
    {"PROXY TCP4 198.51.100.7 192.0.2.1 1 80\r\nGET", 0, HTTP_PROXY_ADDRESS, 40,
	"198.51.100.7"},
    {"PROXY TCP6 2001:db8::5 2001:db8::1 0 65535\r\n", 0, HTTP_PROXY_ADDRESS,
	44, "2001:db8::5"},
    {"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n", 0, HTTP_PROXY_ADDRESS, 35,
	"1.2.3.4"},
    {"PROXY UNKNOWN\r\n", 0, HTTP_PROXY_LOCAL, 15, NULL},
    {"PROXY UNKNOWN some thing\r\n", 0, HTTP_PROXY_LOCAL, 26, NULL},
    {"", 0, HTTP_PROXY_MORE, 0, NULL},
    {"PROX", 0, HTTP_PROXY_MORE, 0, NULL},
    {"PROXY TCP4 1.2.3.4", 0, HTTP_PROXY_MORE, 0, NULL},
    {"GET / HTTP/1.1\r\n", 0, HTTP_PROXY_ABSENT, 0, NULL},
    {"PROXX", 0, HTTP_PROXY_ABSENT, 0, NULL},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY TCP4 1.2.3.4 5.6.7.8 01a 2\r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY TCP4 ::1 ::1 1 2\r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY \r\n", 0, HTTP_PROXY_BAD, 0, NULL},
    {"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
	0, HTTP_PROXY_BAD, 0, NULL},
    {V2 "\x21\x11\0\14" TCP4 "GET", 31, HTTP_PROXY_ADDRESS, 28, "198.51.100.7"},
    {V2 "\x21\x11\0\20" TCP4 "\4\0\1x", 32, HTTP_PROXY_ADDRESS, 32,
	"198.51.100.7"},
    {V2 "\x21\x21\0\44" V6 V6 "\0\1\0\2", 52, HTTP_PROXY_ADDRESS, 52,
	"2001:db8::5"},
    {V2 "\x20\x00\0\0", 16, HTTP_PROXY_LOCAL, 16, NULL},
    {V2 "\x21\x31\0\0", 16, HTTP_PROXY_LOCAL, 16, NULL},
    {V2 "\x21\x11\0\13" TCP4, 28, HTTP_PROXY_BAD, 0, NULL},
    {V2 "\x21\x21\0\14" TCP4, 28, HTTP_PROXY_BAD, 0, NULL},
    {V2 "\x22\x11\0\14" TCP4, 28, HTTP_PROXY_BAD, 0, NULL},
    {V2 "\x11\x11\0\14" TCP4, 28, HTTP_PROXY_BAD, 0, NULL},
    {V2 "\x21\x11\xff\xff", 16, HTTP_PROXY_BAD, 0, NULL},
    {V2 "\x21\x11\0\14" TCP4, 27, HTTP_PROXY_MORE, 0, NULL},
    {V2, 12, HTTP_PROXY_MORE, 0, NULL},
    {V2, 5, HTTP_PROXY_MORE, 0, NULL},
};

static void
test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(headers); i++) {
		struct span bytes = {(const uint8_t *)headers[i].bytes,
		    headers[i].len == 0 ? strlen(headers[i].bytes)
					: headers[i].len};
		struct addr client = address("127.0.0.1");
		size_t len;
		enum http_proxy got = http_proxy_parse(bytes, &len, &client);

		if (got != headers[i].result)
			fail_msg("row %zu: %d", i, got);
		if (got == HTTP_PROXY_ADDRESS || got == HTTP_PROXY_LOCAL)
			assert_int_equal(len, headers[i].header_len);
		assert_address(&client, got == HTTP_PROXY_ADDRESS
					    ? headers[i].client
					    : "127.0.0.1");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
