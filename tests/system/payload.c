/*
 * payload.c - prints the payloads of webhooks, for readers in other languages
 *
 * One case a line on stdin, words between spaces: kind (open or click), id,
 * inspected and spam (0 or 1), then in hexadecimal token, scope, message_id,
 * rcpt_to, mail_from, subject, timestamp, tag of the message, url, token, ip,
 * user_agent. "-" is NULL, "=" is empty.
 *
 * For each case a line on stdout: the payload, or "!" and the result.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "forward/payload.h"

static uint8_t out[FORWARD_PAYLOAD_MAX];

static void
stop_with(const char *what)
{
	(void)fprintf(stderr, "payload: %s\n", what);
	exit(1);
}

static uint8_t
digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = strchr(digits, c);

	if (c == '\0' || at == NULL)
		stop_with("a word is not hexadecimal");
	return (uint8_t)(at - digits);
}

static char *
next_word(char **rest)
{
	char *word = strsep(rest, " \n");

	if (word == NULL || word[0] == '\0')
		stop_with("a word is missing");
	return word;
}

/* Decodes in place: the bytes take less space than their digits. */
static struct span
next_bytes(char **rest)
{
	char *word = next_word(rest);
	uint8_t *bytes = (uint8_t *)word;
	size_t len = strlen(word) / 2;

	if (strcmp(word, "-") == 0)
		return (struct span){NULL, 0};
	if (strcmp(word, "=") == 0)
		return (struct span){bytes, 0};
	for (size_t i = 0; i < len; i++)
		bytes[i] =
		    (uint8_t)(digit(word[2 * i]) << 4 | digit(word[2 * i + 1]));
	return (struct span){bytes, len};
}

static struct forward_payload
read_case(char *line)
{
	struct forward_payload p = {.kind = IPC_EVENT_OPEN};
	struct span *const fields[] = {&p.message.token, &p.message.scope,
	    &p.message.message_id, &p.message.rcpt_to, &p.message.mail_from,
	    &p.message.subject, &p.message.timestamp, &p.message.tag, &p.url,
	    &p.token, &p.ip, &p.user_agent};

	if (strcmp(next_word(&line), "click") == 0)
		p.kind = IPC_EVENT_CLICK;
	p.message.id = strtoimax(next_word(&line), NULL, 10);
	p.message.inspected = strcmp(next_word(&line), "1") == 0;
	p.message.spam = strcmp(next_word(&line), "1") == 0;
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++)
		*fields[i] = next_bytes(&line);
	return p;
}

int
main(void)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		struct forward_payload p = read_case(line);
		struct writer w = writer_of(out, sizeof(out));
		enum forward_payload_result result =
		    forward_payload_write(&p, &w);

		if (result != FORWARD_PAYLOAD_OK)
			(void)printf("!%d", (int)result);
		(void)fwrite(out, 1, w.len, stdout);
		(void)putchar('\n');
	}
	free(line);
	return fflush(stdout) == 0 ? 0 : 1;
}
