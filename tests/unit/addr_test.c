/*
 * addr_test.c - IP addresses, ports and networks
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/array.h"

static struct addr
addr_of(const char *text)
{
	struct addr a;

	if (addr_parse(span_of(text), &a) != 0)
		fail_msg("%s was refused", text);
	return a;
}

static struct network
network_of(const char *text)
{
	struct network n;
	struct err e;

	if (network_parse(span_of(text), &n, &e) != 0)
		fail_msg("%s: %s", text, e.text);
	return n;
}

static void
test_addr_text(void **state)
{
	/* what is read, what is shown, whether it is IPv4 */
	static const struct {
		const char *text, *shown;
		bool v4;
	} good[] = {
	    {"0.0.0.0", "0.0.0.0", true},
	    {"192.0.2.255", "192.0.2.255", true},
	    {"::", "::", false},
	    {"::1", "::1", false},
	    {"2001:DB8:0:0::1", "2001:db8::1", false},
	    {"::ffff:192.0.2.1", "192.0.2.1", true},
	    {"::ffff:c000:201", "192.0.2.1", true},
	    {"1111:2222:3333:4444:5555:6666:7777:8888",
		"1111:2222:3333:4444:5555:6666:7777:8888", false},
	};
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "256.1.1.1",
	    "1.2.3.4 ", " 1.2.3.4", "01.2.3.4", "0x7f.1", "localhost", "[::1]",
	    ":::", "1::2::3", "::1%lo", "::1/128", "12345::", "1:2:3:4:5:6:7",
	    "1111:2222:3333:4444:5555:6666:7777:8888:9999"};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		char shown[ADDR_TEXT_SIZE];

		a = addr_of(good[i].text);
		addr_format(&a, shown);
		assert_string_equal(shown, good[i].shown);
		assert_int_equal(addr_is_v4(&a), good[i].v4);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		if (addr_parse(span_of(bad[i]), &a) != -1)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(
	    addr_parse((struct span){(const uint8_t *)"::1\0", 4}, &a), -1);
}

static void
test_addr_compare(void **state)
{
	struct addr a = addr_of("192.0.2.1"), b = addr_of("::ffff:192.0.2.1");
	struct addr any4 = addr_of("0.0.0.0"), any6 = addr_of("::");
	struct addr one = addr_of("::1");

	(void)state;
	assert_true(addr_equal(&a, &b));
	assert_false(addr_equal(&any4, &any6));
	assert_true(addr_is_any(&any4));
	assert_true(addr_is_any(&any6));
	assert_false(addr_is_any(&a));
	assert_false(addr_is_any(&one));
}

static void
test_endpoint_text(void **state)
{
	static const struct {
		const char *text, *shown;
	} good[] = {
	    {"0.0.0.0:80", "0.0.0.0:80"},
	    {"[::]:80", "[::]:80"},
	    {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
	    {"[::ffff:192.0.2.1]:1", "192.0.2.1:1"},
	    {"[192.0.2.1]:080", "192.0.2.1:80"},
	};
	static const char *const bad[] = {"", ":", ":80", "80", "1.2.3.4",
	    "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:80 ",
	    "1.2.3.4:+80", "::1:80", "::80", "[::1]", "[::1]80", "[::1:80",
	    "::1]:80", "[]:80", "*:80", "localhost:80", "[::1]:http"};
	struct endpoint e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		char shown[ENDPOINT_TEXT_SIZE];

		assert_int_equal(endpoint_parse(span_of(good[i].text), &e), 0);
		endpoint_format(&e, shown);
		assert_string_equal(shown, good[i].shown);
		assert_int_equal(e.scope, 0);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		if (endpoint_parse(span_of(bad[i]), &e) != -1)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(endpoint_parse((struct span){NULL, 0}, &e), -1);
}

static void
test_sockaddr(void **state)
{
	static const struct {
		const char *text;
		sa_family_t family;
		socklen_t len;
	} rows[] = {
	    {"192.0.2.1:8080", AF_INET, sizeof(struct sockaddr_in)},
	    {"[2001:db8::1]:443", AF_INET6, sizeof(struct sockaddr_in6)},
	};
	struct sockaddr_storage sa;
	struct endpoint e, back;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		assert_int_equal(endpoint_parse(span_of(rows[i].text), &e), 0);
		assert_int_equal(endpoint_to_sockaddr(&e, &sa), rows[i].len);
		assert_int_equal(sa.ss_family, rows[i].family);
		assert_int_equal(endpoint_from_sockaddr(&sa, &back), 0);
		assert_true(addr_equal(&back.addr, &e.addr));
		assert_int_equal(back.port, e.port);
	}
	sa.ss_family = AF_UNIX;
	assert_int_equal(endpoint_from_sockaddr(&sa, &back), -1);
}

static void
test_sockaddr_bytes(void **state)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_storage sa = {0};
	struct endpoint e;

	(void)state;
	/* A mapped address is IPv4 from the first moment on. */
	assert_int_equal(
	    inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
	in6.sin6_port = htons(258);
	in6.sin6_scope_id = 3;
	memcpy(&sa, &in6, sizeof(in6));
	assert_int_equal(endpoint_from_sockaddr(&sa, &e), 0);
	assert_true(addr_is_v4(&e.addr));
	assert_int_equal(e.port, 258);
	assert_int_equal(
	    endpoint_to_sockaddr(&e, &sa), sizeof(struct sockaddr_in));
	/* The scope of a link-local address stays. */
	assert_int_equal(inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr), 1);
	memcpy(&sa, &in6, sizeof(in6));
	assert_int_equal(endpoint_from_sockaddr(&sa, &e), 0);
	assert_int_equal(e.scope, 3);
	memset(&in6, 0, sizeof(in6));
	(void)endpoint_to_sockaddr(&e, &sa);
	memcpy(&in6, &sa, sizeof(in6));
	assert_int_equal(in6.sin6_scope_id, 3);
	assert_int_equal(in6.sin6_port, htons(258));
}

static void
test_network_text(void **state)
{
	static const struct {
		const char *text, *shown;
		uint8_t prefix;
	} good[] = {
	    {"192.0.2.0/24", "192.0.2.0/24", 120},
	    {"192.0.2.1", "192.0.2.1", 128},
	    {"192.0.2.1/32", "192.0.2.1", 128},
	    {"0.0.0.0/0", "0.0.0.0/0", 96},
	    {"10.128.0.0/9", "10.128.0.0/9", 105},
	    {"::/0", "::/0", 0},
	    {"2001:db8::/32", "2001:db8::/32", 32},
	    {"2001:db8::1", "2001:db8::1", 128},
	    {"::ffff:192.0.2.0/120", "192.0.2.0/24", 120},
	    {"::ffff:0:0/96", "0.0.0.0/0", 96},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		struct network n = network_of(good[i].text), back;
		char shown[NETWORK_TEXT_SIZE];

		assert_int_equal(n.prefix, good[i].prefix);
		network_format(&n, shown);
		assert_string_equal(shown, good[i].shown);
		back = network_of(shown);
		assert_true(addr_equal(&back.addr, &n.addr));
		assert_int_equal(back.prefix, n.prefix);
	}
}

static void
test_network_errors(void **state)
{
	static const char neither[] =
	    "is neither an address (192.0.2.1, 2001:db8::1) nor a network "
	    "(192.0.2.0/24)";
	static const struct {
		const char *text, *error;
	} bad[] = {
	    {"", neither},
	    {"/24", neither},
	    {"192.0.2/24", neither},
	    {"localhost", neither},
	    {"192.0.2.0/33", "has a prefix length outside 0 to 32"},
	    {"192.0.2.0/", "has a prefix length outside 0 to 32"},
	    {"192.0.2.0/-1", "has a prefix length outside 0 to 32"},
	    {"192.0.2.0/24/24", "has a prefix length outside 0 to 32"},
	    {"192.0.2.0/255.255.255.0", "has a prefix length outside 0 to 32"},
	    {"2001:db8::/129", "has a prefix length outside 0 to 128"},
	    {"192.0.2.1/24",
		"has bits set beyond its prefix; write 192.0.2.0/24"},
	    {"2001:db8:0:1::/33",
		"has bits set beyond its prefix; write 2001:db8::/33"},
	    {"::1/0", "has bits set beyond its prefix; write ::/0"},
	};
	struct network n;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		assert_int_equal(
		    network_parse(span_of(bad[i].text), &n, &e), -1);
		assert_string_equal(e.text, bad[i].error);
	}
	assert_int_equal(network_parse((struct span){NULL, 0}, &n, &e), -1);
}

static void
test_network_contains(void **state)
{
	static const struct {
		const char *network, *address;
		bool inside;
	} rows[] = {
	    {"192.0.2.0/24", "192.0.2.0", true},
	    {"192.0.2.0/24", "192.0.2.255", true},
	    {"192.0.2.0/24", "192.0.3.0", false},
	    {"192.0.2.0/24", "::ffff:192.0.2.9", true},
	    {"192.0.2.0/24", "::192.0.2.9", false},
	    {"10.128.0.0/9", "10.255.0.1", true},
	    {"10.128.0.0/9", "10.127.255.255", false},
	    {"192.0.2.7", "192.0.2.7", true},
	    {"192.0.2.7", "192.0.2.6", false},
	    {"0.0.0.0/0", "255.255.255.255", true},
	    {"0.0.0.0/0", "::1", false},
	    {"::/0", "2001:db8::1", true},
	    {"::/0", "192.0.2.1", false},
	    {"2001:db8::/33", "2001:db8:7fff::1", true},
	    {"2001:db8::/33", "2001:db8:8000::1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct network n = network_of(rows[i].network);
		struct addr a = addr_of(rows[i].address);

		if (network_contains(&n, &a) != rows[i].inside)
			fail_msg("%s in %s", rows[i].address, rows[i].network);
	}
}

static void
test_networks_contain(void **state)
{
	struct network list[] = {
	    network_of("10.0.0.0/8"), network_of("2001:db8::/32")};
	struct addr first = addr_of("10.1.2.3"),
		    second = addr_of("2001:db8::1");
	struct addr none = addr_of("192.0.2.1");

	(void)state;
	assert_true(networks_contain(list, 2, &first));
	assert_true(networks_contain(list, 2, &second));
	assert_false(networks_contain(list, 1, &second));
	assert_false(networks_contain(list, 2, &none));
	assert_false(networks_contain(NULL, 0, &first));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addr_text),
	    cmocka_unit_test(test_addr_compare),
	    cmocka_unit_test(test_endpoint_text),
	    cmocka_unit_test(test_sockaddr),
	    cmocka_unit_test(test_sockaddr_bytes),
	    cmocka_unit_test(test_network_text),
	    cmocka_unit_test(test_network_errors),
	    cmocka_unit_test(test_network_contains),
	    cmocka_unit_test(test_networks_contain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
