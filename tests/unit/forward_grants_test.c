/*
 * forward_grants_test.c - the table of grants, and how it is written as SQL
 */
#include "tests/unit/test.h"

#include <string.h>

#include "forward/grants.h"

static const char *
quoted(const char *user, const char *host)
{
	static char text[GRANT_ACCOUNT_SIZE];

	return grant_quote_account(
	    span_of(user), span_of(host), text, sizeof(text));
}

static void
test_accounts(void **state)
{
	char small[8];

	(void)state;
	assert_string_equal(quoted("tracker", "%"), "'tracker'@'%'");
	assert_string_equal(quoted("", ""), "''@''");
	assert_string_equal(quoted("a'b\\c", "h'"), "'a''b\\\\c'@'h'''");
	(void)grant_quote_account(
	    span_of("tracker"), span_of("%"), small, sizeof(small));
	assert_true(strlen(small) < sizeof(small));
}

static void
test_statements(void **state)
{
	char text[256];
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < n_grants; i++) {
		struct writer w = writer_of(text, sizeof(text) - 1);

		if (strcmp(grants[i].table, "messages") != 0 ||
		    strcmp(grants[i].what, "SELECT") == 0)
			continue;
		seen++;
		grant_write(&w, &grants[i], "`postal-server-1`", "'a'@'%'");
		text[w.len] = '\0';
		assert_string_equal(text,
		    "GRANT UPDATE (loaded, clicked) ON "
		    "`postal-server-1`.`messages` TO 'a'@'%'");
	}
	assert_int_equal(seen, 1);
}

/* Quoted twice, where it is text within a statement. */
static void
test_where_there(void **state)
{
	const struct grant g = {GRANT_POSTAL1, "t", "SELECT", "", "", NULL};
	char text[1024];
	struct writer w = writer_of(text, sizeof(text) - 1);

	(void)state;
	grant_write_where_there(&w, &g, "po'stal", "`po'stal`", "'a'@'%'");
	text[w.len] = '\0';
	assert_string_equal(text,
	    "SET @s = IF((SELECT COUNT(*) FROM information_schema.tables"
	    " WHERE table_schema = 'po''stal' AND table_name = 't') > 0,"
	    " 'GRANT SELECT ON `po''stal`.`t` TO ''a''@''%''', 'DO 0');\n"
	    "PREPARE s FROM @s;\nEXECUTE s;\nDEALLOCATE PREPARE s");
}

/* Each is tested by a statement of its own kind, and stands there once. */
static void
test_table(void **state)
{
	(void)state;
	assert_true(n_grants > 0 && n_grants <= GRANTS_MAX);
	for (size_t i = 0; i < n_grants; i++) {
		const struct grant *g = &grants[i];
		char verb[16];

		assert_true(sscanf(g->what, "%15s", verb) == 1);
		assert_int_equal(strncmp(g->before, verb, strlen(verb)), 0);
		for (size_t j = 0; j < i; j++)
			assert_false(grants[j].place == g->place &&
				     strcmp(grants[j].table, g->table) == 0 &&
				     strcmp(grants[j].what, g->what) == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accounts),
	    cmocka_unit_test(test_statements),
	    cmocka_unit_test(test_where_there),
	    cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
