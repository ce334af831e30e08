/*
 * policy.c - the text of policy/<role>.policy, as rules
 *
 * Pure. Run at build time, by the policy compiler, and by tests.
 */
#include "sandbox/policy.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/array.h"
#include "base/number.h"

struct parser {
	struct policy *policy;
	const struct policy_source *source;
	const char *name; /* of the file being read, for messages */
	unsigned int line;
	bool included; /* this file was included by another one */
	struct err *err;
};

/* --- constants --------------------------------------------------------- */

/* What policies need; add a row when one needs more. */
static const struct {
	const char *name;
	uint64_t value;
} constants[] = {
    {"PROT_READ", PROT_READ},
    {"PROT_WRITE", PROT_WRITE},
    {"PROT_EXEC", PROT_EXEC},
    {"MAP_SHARED", MAP_SHARED},
    {"MAP_PRIVATE", MAP_PRIVATE},
    {"MAP_ANONYMOUS", MAP_ANONYMOUS},
    {"MAP_NORESERVE", MAP_NORESERVE},
    {"MAP_STACK", MAP_STACK},
    {"MADV_DONTNEED", MADV_DONTNEED},
    {"MADV_FREE", MADV_FREE},
    {"FUTEX_WAKE_PRIVATE", FUTEX_WAKE_PRIVATE},
    {"F_GETFD", F_GETFD},
    {"F_SETFD", F_SETFD},
    {"F_GETFL", F_GETFL},
    {"F_SETFL", F_SETFL},
    {"F_GETLK", F_GETLK},
    {"F_SETLK", F_SETLK},
    {"F_DUPFD_CLOEXEC", F_DUPFD_CLOEXEC},
    {"F_ADD_SEALS", F_ADD_SEALS},
    {"MFD_CLOEXEC", MFD_CLOEXEC},
    {"MFD_ALLOW_SEALING", MFD_ALLOW_SEALING},
    {"SOL_SOCKET", SOL_SOCKET},
    {"SO_PEERCRED", SO_PEERCRED},
    {"SO_ERROR", SO_ERROR},
    {"SO_REUSEADDR", SO_REUSEADDR},
    {"SO_REUSEPORT", SO_REUSEPORT},
    {"IPPROTO_TCP", IPPROTO_TCP},
    {"TCP_NODELAY", TCP_NODELAY},
    {"SHUT_WR", SHUT_WR},
    {"O_RDWR", O_RDWR},
    {"O_CREAT", O_CREAT},
    {"O_EXCL", O_EXCL},
    {"O_CLOEXEC", O_CLOEXEC},
    {"O_NONBLOCK", O_NONBLOCK},
    {"O_NOCTTY", O_NOCTTY},
    {"O_NOFOLLOW", O_NOFOLLOW},
    {"O_DIRECTORY", O_DIRECTORY},
    {"AF_UNIX", AF_UNIX},
    {"AF_INET", AF_INET},
    {"AF_INET6", AF_INET6},
    {"AF_NETLINK", AF_NETLINK},
    {"SOCK_STREAM", SOCK_STREAM},
    {"SOCK_DGRAM", SOCK_DGRAM},
    {"SOCK_SEQPACKET", SOCK_SEQPACKET},
    {"SOCK_RAW", SOCK_RAW},
    {"SOCK_CLOEXEC", SOCK_CLOEXEC},
    {"SOCK_NONBLOCK", SOCK_NONBLOCK},
    {"NETLINK_ROUTE", NETLINK_ROUTE},
    {"SO_RCVTIMEO", SO_RCVTIMEO},
    {"SO_SNDTIMEO", SO_SNDTIMEO},
    {"SO_KEEPALIVE", SO_KEEPALIVE},
    {"IPPROTO_IP", IPPROTO_IP},
    {"IPPROTO_IPV6", IPPROTO_IPV6},
    {"IPV6_V6ONLY", IPV6_V6ONLY},
    {"IP_TOS", IP_TOS},
    {"IP_RECVERR", IP_RECVERR},
    {"IPV6_RECVERR", IPV6_RECVERR},
    {"FIONREAD", FIONREAD},
    {"FIONBIO", FIONBIO},
    {"SIOCGIFINDEX", SIOCGIFINDEX},
    {"EPERM", EPERM},
    {"ENOSYS", ENOSYS},
    {"EACCES", EACCES},
};

static int
fail(struct parser *p, const char *what, struct span shown)
{
	return err_set(p->err, "%s:%u: %s: %.*s", p->name, p->line, what,
	    shown.len > 60 ? 60 : (int)shown.len, (const char *)shown.p);
}

/* --- words ------------------------------------------------------------- */

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The next word of a line; empty at its end. */
static struct span
take_word(struct span *line)
{
	struct span word;
	size_t len = 0;

	*line = span_trim(*line);
	while (len < line->len && !is_blank(line->p[len]))
		len++;
	word = (struct span){line->p, len};
	line->p += len;
	line->len -= len;
	return word;
}

static int
parse_hex(struct span text, uint64_t *value)
{
	uint64_t v = 0;

	if (text.len == 0 || text.len > 16)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = ascii_lower(text.p[i]);

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return -1;
	}
	*value = v;
	return 0;
}

static int
parse_constant(struct span text, uint64_t *value)
{
	struct span hex = span_of("0x");

	if (span_starts(text, hex))
		return parse_hex(
		    (struct span){text.p + 2, text.len - 2}, value);
	if (number_parse(text, 0, UINT64_MAX, value) == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LENGTH(constants); i++) {
		if (!span_equal(text, span_of(constants[i].name)))
			continue;
		*value = constants[i].value;
		return 0;
	}
	return -1;
}

/* "PROT_READ|PROT_WRITE", without spaces. */
static int
parse_value(struct span text, uint64_t *value)
{
	uint64_t sum = 0, part;

	while (text.len > 0) {
		const uint8_t *bar = memchr(text.p, '|', text.len);
		size_t len = bar == NULL ? text.len : (size_t)(bar - text.p);

		if (parse_constant((struct span){text.p, len}, &part) != 0)
			return -1;
		sum |= part;
		if (bar == NULL) {
			*value = sum;
			return 0;
		}
		text.p += len + 1;
		text.len -= len + 1;
	}
	return -1;
}

/* --- tests ------------------------------------------------------------- */

static const struct {
	const char *text;
	enum policy_op op;
} operators[] = {
    {"==", POLICY_EQ},
    {"!=", POLICY_NE},
    {"<", POLICY_LT},
    {"<=", POLICY_LE},
    {">", POLICY_GT},
    {">=", POLICY_GE},
    {"&", POLICY_ANY_BIT},
    {"in", POLICY_ONLY_BITS},
};

static int
parse_operator(struct span text, uint8_t *op)
{
	for (size_t i = 0; i < ARRAY_LENGTH(operators); i++) {
		if (!span_equal(text, span_of(operators[i].text)))
			continue;
		*op = (uint8_t)operators[i].op;
		return 0;
	}
	return -1;
}

static int
parse_argument(struct span text, uint8_t *arg)
{
	if (text.len != 4 || memcmp(text.p, "arg", 3) != 0 || text.p[3] < '0' ||
	    text.p[3] > '5')
		return -1;
	*arg = (uint8_t)(text.p[3] - '0');
	return 0;
}

/* libseccomp takes one comparison for an argument. */
static bool
is_tested(const struct policy_term *term, uint8_t arg)
{
	for (size_t i = 0; i < term->n_tests; i++)
		if (term->tests[i].arg == arg)
			return true;
	return false;
}

static bool
has_any_bit(const struct policy_term *term)
{
	for (size_t i = 0; i < term->n_tests; i++)
		if (term->tests[i].op == POLICY_ANY_BIT)
			return true;
	return false;
}

static int
parse_test(struct parser *p, struct policy_term *term, struct span *line)
{
	struct policy_test test = {0, 0, 0};
	struct span arg = take_word(line), op = take_word(line);
	struct span value = take_word(line);

	if (parse_argument(arg, &test.arg) != 0)
		return fail(p, "arg0 to arg5 is expected", arg);
	if (parse_operator(op, &test.op) != 0)
		return fail(p, "not a comparison", op);
	if (parse_value(value, &test.value) != 0)
		return fail(p, "not a number or a known constant", value);
	if (term->n_tests == POLICY_TESTS_MAX)
		return fail(p, "too many comparisons", arg);
	if (is_tested(term, test.arg))
		return fail(p, "an argument is tested twice", arg);
	if (test.op == POLICY_ANY_BIT && (has_any_bit(term) || test.value == 0))
		return fail(p, "one & with at least one bit is possible", arg);
	term->tests[term->n_tests++] = test;
	return 0;
}

/* "arg0 == 1 && arg1 in 3 || arg0 == 2" */
static int
parse_terms(struct parser *p, struct policy_rule *rule, struct span line)
{
	struct span word;

	for (;;) {
		struct policy_term *term = &rule->terms[rule->n_terms];

		if (rule->n_terms == POLICY_TERMS_MAX)
			return fail(p, "too many alternatives", line);
		do {
			if (parse_test(p, term, &line) != 0)
				return -1;
			word = take_word(&line);
		} while (span_equal(word, span_of("&&")));
		rule->n_terms++;
		if (word.len == 0)
			return 0;
		if (!span_equal(word, span_of("||")))
			return fail(p, "&& or || is expected", word);
	}
}

/* --- rules ------------------------------------------------------------- */

static bool
is_call_name(struct span name)
{
	if (name.len == 0 || name.len >= POLICY_CALL_SIZE)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.p[i];

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_')
			return false;
	}
	return true;
}

static int
parse_action(struct parser *p, struct policy_rule *rule, struct span line)
{
	struct span rest = line, word = take_word(&rest);
	uint64_t number;

	if (span_equal(word, span_of("1")) && span_trim(rest).len == 0)
		return 0;
	if (!span_equal(word, span_of("return")))
		return parse_terms(p, rule, line);
	word = take_word(&rest);
	if (parse_value(word, &number) != 0 || number == 0 || number > 4095 ||
	    span_trim(rest).len > 0)
		return fail(p, "an error number is expected", word);
	rule->error_number = (uint16_t)number;
	return 0;
}

static int
parse_rule(struct parser *p, struct span line)
{
	const uint8_t *colon = memchr(line.p, ':', line.len);
	struct policy *policy = p->policy;
	struct policy_rule *rule = &policy->rules[policy->n_rules];
	struct span name = line;

	if (colon == NULL)
		return fail(p, "\"call: 1\" is expected", line);
	name.len = (size_t)(colon - line.p);
	if (!is_call_name(name))
		return fail(p, "not a system call's name", name);
	if (policy->n_rules == POLICY_CALLS_MAX)
		return fail(p, "too many calls", name);
	memset(rule, 0, sizeof(*rule));
	memcpy(rule->call, name.p, name.len);
	rule->line = p->line;
	for (size_t i = 0; i < policy->n_rules; i++)
		if (strcmp(policy->rules[i].call, rule->call) == 0)
			return fail(p, "the call is listed twice", name);
	line.p += name.len + 1;
	line.len -= name.len + 1;
	if (parse_action(p, rule, line) != 0)
		return -1;
	policy->n_rules++;
	return 0;
}

/* --- files ------------------------------------------------------------- */

/* An @include line of the outer file is kept for later, because reading a
 * file within a file would be a recursion. */
struct includes {
	struct span names[8];
	unsigned int lines[8];
	size_t n;
};

static int
parse_include(struct parser *p, struct span line, struct includes *includes)
{
	(void)take_word(&line);
	line = span_trim(line);
	if (p->included)
		return fail(p, "an included file cannot include", line);
	if (p->source == NULL || line.len == 0 ||
	    includes->n == ARRAY_LENGTH(includes->names))
		return fail(p, "nothing can be included here", line);
	includes->lines[includes->n] = p->line;
	includes->names[includes->n++] = line;
	return 0;
}

static int
parse_text(struct parser *p, struct span text, struct includes *includes)
{
	p->line = 0;
	while (text.len > 0) {
		const uint8_t *end = memchr(text.p, '\n', text.len);
		size_t len = end == NULL ? text.len : (size_t)(end - text.p);
		struct span line = span_trim((struct span){text.p, len});
		int failed = 0;

		p->line++;
		if (span_starts(line, span_of("@include")))
			failed = parse_include(p, line, includes);
		else if (line.len > 0 && line.p[0] != '#')
			failed = parse_rule(p, line);
		if (failed)
			return -1;
		text.p += len + (end != NULL);
		text.len -= len + (end != NULL);
	}
	return 0;
}

int
policy_parse(struct span text, const char *name,
    const struct policy_source *source, struct policy *policy, struct err *e)
{
	struct parser p = {
	    .policy = policy, .source = source, .name = name, .err = e};
	struct includes includes = {.n = 0};
	char included[128];
	struct span inner;

	policy->n_rules = 0;
	if (parse_text(&p, text, &includes) != 0)
		return -1;
	for (size_t i = 0; i < includes.n; i++) {
		p.included = false;
		p.name = name;
		p.line = includes.lines[i];
		if (span_to_text(
			includes.names[i], included, sizeof(included)) != 0)
			return fail(&p, "not a file's name", includes.names[i]);
		if (source->include(
			source->owner, includes.names[i], &inner, e) != 0)
			return err_prefix(e, "%s:%u", name, p.line);
		p.included = true;
		p.name = included;
		if (parse_text(&p, inner, &includes) != 0)
			return -1;
	}
	return 0;
}
