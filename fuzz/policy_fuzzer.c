/*
 * policy_fuzzer.c - policy text
 *
 * Properties: no call is listed twice; what was understood, printed in one
 * canonical form, is understood in the same way.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/demand.h"
#include "sandbox/policy.h"

#define TEXT_SIZE (1 << 20)

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
include(void *owner, struct span name, struct span *text, struct err *e)
{
	(void)owner;
	(void)name;
	(void)e;
	*text = span_of("included_call: 1\n");
	return 0;
}

static size_t
print_term(char *out, size_t size, const struct policy_term *t)
{
	static const char *const ops[] = {
	    "==", "!=", "<", "<=", ">", ">=", "&", "in"};
	size_t n = 0;

	for (size_t i = 0; i < t->n_tests; i++)
		n += (size_t)snprintf(out + n, size - n,
		    "%sarg%u %s 0x%" PRIx64, i == 0 ? "" : " && ",
		    t->tests[i].arg, ops[t->tests[i].op], t->tests[i].value);
	return n;
}

static size_t
print(char *out, const struct policy *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct policy_rule *r = &p->rules[i];

		n += (size_t)snprintf(out + n, TEXT_SIZE - n, "%s: ", r->call);
		if (r->error_number != 0)
			n += (size_t)snprintf(out + n, TEXT_SIZE - n,
			    "return %u", r->error_number);
		else if (r->n_terms == 0)
			n += (size_t)snprintf(out + n, TEXT_SIZE - n, "1");
		for (size_t j = 0; j < r->n_terms; j++) {
			n += (size_t)snprintf(
			    out + n, TEXT_SIZE - n, "%s", j == 0 ? "" : " || ");
			n += print_term(out + n, TEXT_SIZE - n, &r->terms[j]);
		}
		n += (size_t)snprintf(out + n, TEXT_SIZE - n, "\n");
	}
	return n;
}

static void
check_same(const struct policy *a, const struct policy *b)
{
	demand(a->n_rules == b->n_rules);
	for (size_t i = 0; i < a->n_rules; i++) {
		struct policy_rule x = a->rules[i], y = b->rules[i];

		x.line = y.line = 0;
		demand(strcmp(x.call, y.call) == 0);
		demand(x.error_number == y.error_number);
		demand(x.n_terms == y.n_terms);
		for (size_t j = 0; j < x.n_terms; j++) {
			demand(x.terms[j].n_tests == y.terms[j].n_tests);
			for (size_t k = 0; k < x.terms[j].n_tests; k++)
				demand(x.terms[j].tests[k].value ==
				       y.terms[j].tests[k].value);
		}
		for (size_t j = 0; j < i; j++)
			demand(strcmp(a->rules[j].call, x.call) != 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *first = malloc(sizeof(*first));
	struct policy *second = malloc(sizeof(*second));
	struct policy_source source = {include, NULL};
	char *text = malloc(TEXT_SIZE);
	struct err e;
	size_t len;

	demand(first != NULL && second != NULL && text != NULL);
	if (policy_parse(
		(struct span){data, size}, "fuzz", &source, first, &e) == 0) {
		len = print(text, first);
		demand(policy_parse((struct span){(uint8_t *)text, len},
			   "again", NULL, second, &e) == 0);
		check_same(first, second);
	} else {
		demand(e.text[0] != '\0');
	}
	free(first);
	free(second);
	free(text);
	return 0;
}
