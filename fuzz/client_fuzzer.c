/*
 * client_fuzzer.c - PROXY headers, forwarded lists and locations
 *
 * Properties: a header's length lies inside the input and the same header
 * with more behind it reads the same; what an untrusted peer says is never
 * believed; the walk never ends on an element left of an untrusted one; a
 * location holds no byte that could end the line.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/demand.h"
#include "http/client.h"
#include "http/reply.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct addr
address(const char *text)
{
	struct addr a;

	demand(addr_parse(span_of(text), &a) == 0);
	return a;
}

static void
check_proxy(struct span bytes)
{
	struct addr client = address("127.0.0.1"), again = client;
	size_t len = 0, len_again = 0;
	enum http_proxy got = http_proxy_parse(bytes, &len, &client);

	if (got != HTTP_PROXY_ADDRESS && got != HTTP_PROXY_LOCAL)
		return;
	demand(len > 0 && len <= bytes.len && len <= HTTP_PROXY_HEADER_MAX);
	demand(http_proxy_parse(
		   (struct span){bytes.p, len}, &len_again, &again) == got);
	demand(len == len_again && addr_equal(&client, &again));
	for (size_t n = 0; n < len; n++)
		demand(http_proxy_parse((struct span){bytes.p, n}, &len_again,
			   &again) == HTTP_PROXY_MORE);
}

static void
check_list(struct span bytes)
{
	struct addr stranger = address("192.0.2.9");
	struct addr proxy = address("127.0.0.1");
	struct network trusted = {.addr = proxy, .prefix = 128};
	struct http_request r;
	struct addr client;

	http_request_init(&r);
	r.n_forwarded = 1;
	r.forwarded[0] = bytes;
	client = http_client_address(&r, stranger, &trusted, 1);
	demand(addr_equal(&client, &stranger));
	/* One hop is trusted: a line behind ours hides what we say. */
	r.n_forwarded = 2;
	r.forwarded[1] = span_of("192.0.2.9");
	client = http_client_address(&r, proxy, &trusted, 1);
	demand(addr_equal(&client, &stranger));
	r.forwarded[1] = span_of("garbage");
	client = http_client_address(&r, proxy, &trusted, 1);
	demand(addr_equal(&client, &proxy));
	r.n_forwarded = 1;
	(void)http_client_address(&r, proxy, &trusted, 1);
}

static void
check_location(struct span url)
{
	size_t cap = url.len * 3 + 1;
	uint8_t *out = malloc(cap);
	struct writer w = writer_of(out, cap);

	demand(out != NULL);
	if (http_location_encode(url, &w) == HTTP_LOCATION_OK) {
		demand(w.len >= 7);
		for (size_t i = 0; i < w.len; i++)
			demand(out[i] > 0x20 && out[i] < 0x7f &&
			       memchr("\"<>\\^`{|}", out[i], 9) == NULL);
	}
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = {data, size};

	check_proxy(bytes);
	check_list(bytes);
	check_location(bytes);
	return 0;
}
