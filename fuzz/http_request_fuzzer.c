/*
 * http_request_fuzzer.c - the request parser on any bytes
 *
 * Properties: spans lie inside the input; the input given in one piece, in
 * two and in single bytes leads to the same, or the same refusal; a head that was accepted ends in
 * an empty line and holds no control characters.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fuzz/demand.h"
#include "http/request.h"

#define LIMIT 2048

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_parse
parse(struct http_request *r, struct span whole, size_t step)
{
	enum http_parse got = HTTP_PARSE_MORE;
	size_t n = 0;

	http_request_init(r);
	while (got == HTTP_PARSE_MORE && n < whole.len) {
		n = whole.len - n < step ? whole.len : n + step;
		got = http_request_parse(r, (struct span){whole.p, n}, LIMIT);
	}
	return got;
}

static void
check_accepted(const struct http_request *r, struct span whole)
{
	struct span head = {whole.p, r->head_len};

	demand(head.len >= 4 && head.len <= whole.len && head.len <= LIMIT);
	demand(memcmp(head.p + head.len - 4, "\r\n\r\n", 4) == 0);
	for (size_t i = 0; i < head.len; i++)
		demand(head.p[i] >= 0x20 || head.p[i] == '\r' ||
		       head.p[i] == '\n' || head.p[i] == '\t');
	demand_inside(r->target, head);
	demand_inside(r->user_agent, head);
	demand(r->n_forwarded <= HTTP_FORWARDED_MAX);
	for (size_t i = 0; i < r->n_forwarded; i++)
		demand_inside(r->forwarded[i], head);
	demand(r->target.len > 0 && r->target.len <= HTTP_TARGET_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span whole = {data, size};
	struct http_request one, other;
	enum http_parse got = parse(&one, whole, size);
	const size_t steps[] = {1, size / 2 + 1};

	if (got == HTTP_PARSE_DONE)
		check_accepted(&one, whole);
	if (got == HTTP_PARSE_WRONG)
		demand(one.status >= 400 && one.status <= 505);
	for (size_t i = 0; i < 2; i++) {
		enum http_parse again = parse(&other, whole, steps[i]);

		demand(again == got && other.status == one.status);
		if (got == HTTP_PARSE_DONE) {
			demand(one.head_len == other.head_len);
			demand(one.target.p == other.target.p);
			demand(one.target.len == other.target.len);
			demand(one.keep_alive == other.keep_alive);
			demand(one.n_forwarded == other.n_forwarded);
		}
	}
	return 0;
}
