/*
 * config_fuzzer.c - tracker.conf from any bytes
 *
 * Properties: errors exist exactly when -1 is returned, each is one line that
 * names the file; what was taken can be written out, value by value, and read
 * again with the same result, by another line structure than it came in.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define FILE_SIZE (CONFIG_DIRECTIVES_MAX * (CONFIG_VALUE_SIZE + 64))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scratch {
	struct config first, second;
	struct config_errors errors;
	char value[CONFIG_VALUE_SIZE];
	char again[CONFIG_VALUE_SIZE];
	char text[FILE_SIZE];
};

static void
check_errors(int result, const struct config_errors *errors)
{
	assert(result == 0 || result == -1);
	assert((result == -1) == (errors->n > 0));
	for (size_t i = 0; i < errors->n && i < CONFIG_ERRORS_MAX; i++) {
		assert(strncmp(errors->list[i].text, "fuzz:", 5) == 0);
		assert(strchr(errors->list[i].text, '\n') == NULL);
	}
}

/* Writes all values; elements of a list stand in a line each. */
static size_t
write_all(struct scratch *s)
{
	size_t used = 0;

	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];

		config_format_value(&s->first, d, s->value, sizeof(s->value));
		used += (size_t)snprintf(s->text + used, sizeof(s->text) - used,
		    "[%s]\n%s=", d->section, d->key);
		for (const char *p = s->value; *p != '\0'; p++) {
			bool list = d->type == CONFIG_ENDPOINTS ||
				    d->type == CONFIG_NETWORKS;

			if (list && *p == ' ')
				s->text[used++] = '\n';
			s->text[used++] = *p;
		}
		s->text[used++] = '\n';
	}
	return used;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scratch *s = malloc(sizeof(*s));
	int result;

	assert(s != NULL);
	result = config_parse(
	    (struct span){data, size}, "fuzz", &s->first, NULL, &s->errors);
	check_errors(result, &s->errors);
	if (result == 0) {
		size_t len = write_all(s);

		result =
		    config_parse((struct span){(const uint8_t *)s->text, len},
			"again", &s->second, NULL, &s->errors);
		assert(result == 0);
	}
	for (size_t i = 0; result == 0 && i < config_n_directives; i++) {
		const struct config_directive *d = &config_directives[i];

		config_format_value(&s->first, d, s->value, sizeof(s->value));
		config_format_value(&s->second, d, s->again, sizeof(s->again));
		assert(strcmp(s->value, s->again) == 0);
	}
	free(s);
	return 0;
}
