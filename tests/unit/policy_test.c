/*
 * policy_test.c - the text of policies
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/array.h"
#include "sandbox/policy.h"

static struct policy policy;

static int
include(void *owner, struct span name, struct span *text, struct err *e)
{
	const char *inner = owner;

	if (!span_equal(name, span_of("common.policy")))
		return err_set(e, "no such file");
	*text = span_of(inner);
	return 0;
}

static int
parse(const char *text, const char *inner, struct err *e)
{
	char copy[256];
	struct policy_source source = {include, copy};

	(void)snprintf(copy, sizeof(copy), "%s", inner == NULL ? "" : inner);
	return policy_parse(
	    span_of(text), "p", inner == NULL ? NULL : &source, &policy, e);
}

static void
test_rules(void **state)
{
	const struct policy_rule *r = policy.rules;
	struct err e;

	(void)state;
	assert_int_equal(
	    parse("# why\n\nread: 1\n  write:1\t\n"
		  "mmap: arg2 in PROT_READ|PROT_WRITE && arg3 == 0x22 || "
		  "arg2 == 0\nsocket: return EPERM\nclone: return 38\n"
		  "ioctl: arg1 & 6 && arg2 >= 18446744073709551615",
		NULL, &e),
	    0);
	assert_int_equal(policy.n_rules, 6);
	assert_string_equal(r[0].call, "read");
	assert_int_equal(r[0].n_terms, 0);
	assert_int_equal(r[0].line, 3);
	assert_int_equal(r[2].n_terms, 2);
	assert_int_equal(r[2].terms[0].n_tests, 2);
	assert_int_equal(r[2].terms[0].tests[0].arg, 2);
	assert_int_equal(r[2].terms[0].tests[0].op, POLICY_ONLY_BITS);
	assert_int_equal(r[2].terms[0].tests[0].value, PROT_READ | PROT_WRITE);
	assert_int_equal(r[2].terms[0].tests[1].value, 0x22);
	assert_int_equal(r[3].error_number, EPERM);
	assert_int_equal(r[4].error_number, 38);
	assert_int_equal(r[5].terms[0].tests[0].op, POLICY_ANY_BIT);
	assert_true(r[5].terms[0].tests[1].value == UINT64_MAX);
}

static void
test_includes(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(
	    parse("@include common.policy\nread: 1\n", "write: 1\n", &e), 0);
	assert_int_equal(policy.n_rules, 2);
	assert_int_equal(
	    parse("@include common.policy\nread: 1\n", "read: 1\n", &e), -1);
	assert_string_equal(
	    e.text, "common.policy:1: the call is listed twice: read");
	assert_int_equal(parse("x: 1\n@include other.policy\n", "", &e), -1);
	assert_string_equal(e.text, "p:2: no such file");
}

static const struct {
	const char *text, *inner, *error;
} wrong[] = {
    {"read", NULL, "p:1: \"call: 1\" is expected: read"},
    {"\nRead: 1", NULL, "p:2: not a system call's name: Read"},
    {": 1", NULL, "p:1: not a system call's name: "},
    {"abcdefghijklmnopqrstuvwxyzabcdefghi: 1", NULL, NULL},
    {"read: 1\nread: 1", NULL, "p:2: the call is listed twice: read"},
    {"read: 1\nread: return 1", NULL, NULL},
    {"read: 2", NULL, "p:1: arg0 to arg5 is expected: 2"},
    {"read: 1 x", NULL, "p:1: arg0 to arg5 is expected: 1"},
    {"read:", NULL, "p:1: arg0 to arg5 is expected: "},
    {"read: arg6 == 1", NULL, "p:1: arg0 to arg5 is expected: arg6"},
    {"read: arg0 = 1", NULL, "p:1: not a comparison: ="},
    {"read: arg0 ==", NULL, "p:1: not a number or a known constant: "},
    {"read: arg0 == x", NULL, "p:1: not a number or a known constant: x"},
    {"read: arg0 == 1|", NULL, NULL},
    {"read: arg0 == 0x", NULL, NULL},
    {"read: arg0 == 0xg", NULL, NULL},
    {"read: arg0 == 0x11112222333344445", NULL, NULL},
    {"read: arg0 == 18446744073709551616", NULL, NULL},
    {"read: arg0 == 1 and", NULL, "p:1: && or || is expected: and"},
    {"read: arg0 == 1 &&", NULL, "p:1: arg0 to arg5 is expected: "},
    {"read: arg0 > 1 && arg0 < 5", NULL,
	"p:1: an argument is tested twice: arg0"},
    {"read: arg0 & 0", NULL,
	"p:1: one & with at least one bit is possible: arg0"},
    {"read: arg0 & 1 && arg1 & 1", NULL, NULL},
    {"read: arg0 == 1 && arg1 == 1 && arg2 == 1 && arg3 == 1 && arg4 == 1",
	NULL, "p:1: too many comparisons: arg4"},
    {"read: arg0 == 1 || arg0 == 2 || arg0 == 3 || arg0 == 4 || arg0 == 5 "
     "|| arg0 == 6 || arg0 == 7 || arg0 == 8 || arg0 == 9",
	NULL, NULL},
    {"read: return", NULL, "p:1: an error number is expected: "},
    {"read: return 0", NULL, NULL},
    {"read: return 4096", NULL, NULL},
    {"read: return EPERM x", NULL, NULL},
    {"@include common.policy", NULL,
	"p:1: nothing can be included here: common.policy"},
    {"@include", "", "p:1: nothing can be included here: "},
    {"@include common.policy", "@include common.policy",
	"common.policy:1: an included file cannot include: common.policy"},
};

static void
test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct err e;

		if (parse(wrong[i].text, wrong[i].inner, &e) != -1)
			fail_msg("accepted: %s", wrong[i].text);
		if (wrong[i].error != NULL)
			assert_string_equal(e.text, wrong[i].error);
	}
}

static void
test_too_many(void **state)
{
	static char text[POLICY_CALLS_MAX * 16 + 64];
	char includes[10 * 32] = "";
	size_t used = 0;
	struct err e;

	(void)state;
	for (int i = 0; i <= POLICY_CALLS_MAX; i++)
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, "call_%d: 1\n", i);
	assert_int_equal(parse(text, NULL, &e), -1);
	assert_non_null(strstr(e.text, "too many calls"));
	for (int i = 0; i < 9; i++)
		strcat(includes, "@include common.policy\n");
	assert_int_equal(parse(includes, "", &e), -1);
	memset(text, 'x', 200);
	memcpy(text, "@include ", 9);
	text[200] = '\0';
	assert_int_equal(parse(text, "", &e), -1);
	assert_non_null(strstr(e.text, "not a file's name"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_includes),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
