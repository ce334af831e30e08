/*
 * filter.c - a compiled policy to a seccomp filter
 *
 * Runs in every role, as the last of its steps. The only file that includes
 * seccomp.h.
 */
#include "sandbox/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/sandbox.h"

/* --- one rule ---------------------------------------------------------- */

static const enum scmp_compare compares[] = {
    [POLICY_EQ] = SCMP_CMP_EQ,
    [POLICY_NE] = SCMP_CMP_NE,
    [POLICY_LT] = SCMP_CMP_LT,
    [POLICY_LE] = SCMP_CMP_LE,
    [POLICY_GT] = SCMP_CMP_GT,
    [POLICY_GE] = SCMP_CMP_GE,
};

static struct scmp_arg_cmp
compare_of(const struct policy_test *test)
{
	struct scmp_arg_cmp c = {.arg = test->arg, .datum_a = test->value};

	if (test->op == POLICY_ONLY_BITS) {
		c.op = SCMP_CMP_MASKED_EQ;
		c.datum_a = ~test->value;
		c.datum_b = 0;
	} else {
		c.op = compares[test->op];
	}
	return c;
}

static int
add_rule(scmp_filter_ctx ctx, int call, const struct policy_term *term)
{
	struct scmp_arg_cmp compare[POLICY_TESTS_MAX];

	for (size_t i = 0; i < term->n_tests; i++)
		compare[i] = compare_of(&term->tests[i]);
	return seccomp_rule_add_array(
	    ctx, SCMP_ACT_ALLOW, call, term->n_tests, compare);
}

/*
 * "Any of these bits" has no comparison of its own: it is one rule for each
 * bit. Terms with two such tests are not accepted by the parser.
 */
static int
add_term(scmp_filter_ctx ctx, int call, const struct policy_term *term)
{
	struct policy_term each = *term;
	size_t i = 0;
	int r = 0;

	while (i < term->n_tests && term->tests[i].op != POLICY_ANY_BIT)
		i++;
	if (i == term->n_tests)
		return add_rule(ctx, call, term);
	for (int bit = 0; bit < 64 && r == 0; bit++) {
		struct scmp_arg_cmp compare[POLICY_TESTS_MAX];

		if ((term->tests[i].value >> bit & 1) == 0)
			continue;
		for (size_t j = 0; j < each.n_tests; j++)
			if (j != i)
				compare[j] = compare_of(&each.tests[j]);
		compare[i] = (struct scmp_arg_cmp){.arg = term->tests[i].arg,
		    .op = SCMP_CMP_MASKED_EQ,
		    .datum_a = UINT64_C(1) << bit,
		    .datum_b = UINT64_C(1) << bit};
		r = seccomp_rule_add_array(
		    ctx, SCMP_ACT_ALLOW, call, each.n_tests, compare);
	}
	return r;
}

static int
add_call(scmp_filter_ctx ctx, const struct policy_rule *rule, struct err *e)
{
	int call = seccomp_syscall_resolve_name(rule->call);
	int r = 0;

	if (call == __NR_SCMP_ERROR)
		return err_set(e, "there is no system call %s", rule->call);
	/* Known, but not on this machine: nobody can call it either. */
	if (call < 0)
		return 0;
	if (rule->error_number != 0)
		r = seccomp_rule_add_array(
		    ctx, SCMP_ACT_ERRNO(rule->error_number), call, 0, NULL);
	else if (rule->n_terms == 0)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, 0, NULL);
	for (size_t i = 0; i < rule->n_terms && r == 0; i++)
		r = add_term(ctx, call, &rule->terms[i]);
	if (r != 0)
		return err_set(e, "system call %s cannot be filtered: %s",
		    rule->call, strerror(-r));
	return 0;
}

/* --- loading ----------------------------------------------------------- */

static void (*report)(int call);

static void
on_sigsys(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	report(info->si_syscall);
}

static int
install_handler(void (*refused)(int call), struct err *e)
{
	struct sigaction action = {
	    .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
	sigset_t unblock;

	report = refused;
	(void)sigemptyset(&unblock);
	(void)sigaddset(&unblock, SIGSYS);
	if (sigaction(SIGSYS, &action, NULL) != 0 ||
	    sigprocmask(SIG_UNBLOCK, &unblock, NULL) != 0)
		return err_errno(e, "cannot handle SIGSYS");
	return 0;
}

static scmp_filter_ctx
build(const struct sandbox_table *table, enum sandbox_action action,
    struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(
	    action == SANDBOX_KILL ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_TRAP);

	if (ctx == NULL) {
		(void)err_set(e, "libseccomp cannot make a filter");
		return NULL;
	}
	/* A binary tree: the filter runs at each call of a busy server. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < table->n_rules; i++) {
		if (add_call(ctx, &table->rules[i], e) == 0)
			continue;
		(void)err_prefix(e, "policy %s", table->role);
		seccomp_release(ctx);
		return NULL;
	}
	return ctx;
}

int
sandbox_load_table(const struct sandbox_table *table,
    enum sandbox_action action, void (*refused)(int call), struct err *e)
{
	scmp_filter_ctx ctx = build(table, action, e);
	int r;

	if (ctx == NULL)
		return -1;
	if (action == SANDBOX_TRAP && install_handler(refused, e) != 0) {
		seccomp_release(ctx);
		return -1;
	}
	r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r != 0)
		return err_set(e, "policy %s cannot be loaded: %s", table->role,
		    strerror(-r));
	return 0;
}

int
sandbox_load_filter(const char *role, enum sandbox_action action,
    void (*refused)(int call), struct err *e)
{
	const struct sandbox_table *table = sandbox_find_table(role);

	if (table == NULL)
		return err_set(e, "there is no policy %s", role);
	return sandbox_load_table(table, action, refused, e);
}

const struct sandbox_table *
sandbox_find_table(const char *role)
{
	for (size_t i = 0; i < sandbox_n_tables; i++)
		if (strcmp(sandbox_tables[i].role, role) == 0)
			return &sandbox_tables[i];
	return NULL;
}

/* --- names ------------------------------------------------------------- */

const char *
sandbox_call_name(int call, char *text, size_t size)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

	if (name != NULL)
		(void)snprintf(text, size, "%s", name);
	else
		(void)snprintf(text, size, "call %d", call);
	free(name);
	return text;
}

const char *
sandbox_library_version(void)
{
	static char text[32];
	const struct scmp_version *v = seccomp_version();

	(void)snprintf(
	    text, sizeof(text), "%u.%u.%u", v->major, v->minor, v->micro);
	return text;
}
