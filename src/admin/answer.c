/*
 * answer.c - what a request to the admin listener gets
 *
 * Runs in admin. Who reads the answers is a machine, or a person with curl:
 * one line each, but for the metrics.
 */
#include "admin/internal.h"

#include <stdio.h>

#include "base/array.h"

/* How long the store may take: less than those who ask have patience for. */
#define STORE_WITHIN_MS 900

static void
reply_text(struct conn *c, enum http_reply reply, const char *text)
{
	admin_reply(c, reply, span_of(text));
}

/* --- without the store ------------------------------------------------- */

static const char *
away(const struct admin *a)
{
	return a->store.fd < 0
		   ? "not ready: the store is away; see the log\n"
		   : "not ready: the store does not answer; see the log\n";
}

static void
reply_metrics(struct conn *c, const struct metrics_facts *facts)
{
	struct admin *a = c->admin;
	struct writer w = writer_of(a->page, PAGE_SIZE);

	if (a->page_len == 0 || facts->status == NULL) {
		metrics_render(&w, facts);
		a->page_len = w.len;
	}
	if (w.full)
		reply_text(c, HTTP_REPLY_NOT_READY,
		    "not ready: more metrics than fit into a page\n");
	else
		admin_reply(
		    c, HTTP_REPLY_METRICS, (struct span){a->page, a->page_len});
	if (w.full || facts->status == NULL)
		a->page_len = 0;
}

/* What does not need it is still of use: that the store is away. */
void
admin_answer_without_store(struct conn *c)
{
	static const struct metrics_facts nothing = {.status = NULL};

	if (c->target.route == ADMIN_METRICS)
		reply_metrics(c, &nothing);
	else
		reply_text(c, HTTP_REPLY_NOT_READY, away(c->admin));
}

/* --- with it ----------------------------------------------------------- */

static void
reply_ready(struct conn *c, const struct ipc_status *s)
{
	char text[1200];

	if (s->ready) {
		reply_text(c, HTTP_REPLY_FINE, "ready\n");
		return;
	}
	(void)snprintf(text, sizeof(text), "not ready: %.*s\n",
	    (int)s->reason.len, (const char *)s->reason.p);
	reply_text(c, HTTP_REPLY_NOT_READY, text);
}

static void
reply_gathered(struct conn *c)
{
	struct metrics_facts facts = {admin_ask_status(c->admin),
	    admin_ask_commits(c->admin), admin_ask_pairs(c->admin)};

	if (c->target.route == ADMIN_METRICS)
		reply_metrics(c, &facts);
	else
		reply_ready(c, facts.status);
}

void
admin_answer_gathered(struct admin *a)
{
	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &a->conns[i];

		if (c->state == CONN_WAITING &&
		    c->target.route != ADMIN_PERMISSION)
			reply_gathered(c);
	}
}

void
admin_answer_permission(struct conn *c, uint8_t status)
{
	if (status == IPC_PERMISSION_YES)
		reply_text(c, HTTP_REPLY_FINE, "a tracking domain of Postal\n");
	else if (status == IPC_PERMISSION_NO)
		reply_text(c, HTTP_REPLY_NOT_FOUND,
		    "not a tracking domain of Postal\n");
	else
		reply_text(c, HTTP_REPLY_NOT_READY,
		    "not ready: the replica cannot be read; see the log\n");
}

/* --- routes ------------------------------------------------------------ */

static void
wait_for_store(struct conn *c)
{
	struct admin *a = c->admin;

	if (c->target.route != ADMIN_PERMISSION && admin_ask_is_fresh(a)) {
		reply_gathered(c);
		return;
	}
	c->state = CONN_WAITING;
	c->deadline_ms = a->loop.now_ms + STORE_WITHIN_MS;
	loop_wake_at(&a->loop, c->deadline_ms);
	/* What it still sends does not wake us. */
	if (loop_change(&a->loop, &c->watch, 0) != 0)
		admin_stop_for("cannot watch a connection");
	admin_ask_go_on(a);
}

static void
answer_health(struct conn *c)
{
	reply_text(c, HTTP_REPLY_FINE, "healthy\n");
}

static void
answer_tls(struct conn *c)
{
	if (c->target.name_len == 0)
		admin_answer_permission(c, IPC_PERMISSION_NO);
	else
		wait_for_store(c);
}

static void
answer_other(struct conn *c)
{
	reply_text(c, HTTP_REPLY_NOT_FOUND,
	    "there are /health, /ready, /metrics and "
	    "/tls-permission?domain=\n");
}

static void (*const answers[])(struct conn *c) = {
    [ADMIN_OTHER] = answer_other,
    [ADMIN_HEALTH] = answer_health,
    [ADMIN_READY] = wait_for_store,
    [ADMIN_METRICS] = wait_for_store,
    [ADMIN_PERMISSION] = answer_tls,
};

void
admin_answer_request(struct conn *c)
{
	const struct http_request *r = &c->request;

	c->minor = r->minor;
	c->head_method = r->method == HTTP_METHOD_HEAD;
	if (r->method == HTTP_METHOD_OTHER) {
		admin_reply(
		    c, HTTP_REPLY_METHOD_NOT_ALLOWED, (struct span){NULL, 0});
		return;
	}
	c->target = admin_target_decode(r->target);
	answers[c->target.route](c);
}
