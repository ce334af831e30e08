/*
 * set.c - all certificates of a server, found by the name a client asks for
 *
 * Pure but for the heap.
 */
#include "tls/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* Of one name and kind of key. More than a few that are each valid when the
 * others are not is nobody's intention. */
#define CLAIMS_MAX 3

/* Who may be served, by kind of key, the one that ends last first. */
struct claims {
	const struct tls_identity *of[TLS_KEY_KINDS][CLAIMS_MAX];
};

struct row {
	struct claims claims;
	uint8_t len; /* 0: the row is free */
	uint8_t name[TLS_NAME_MAX];
};

/* An identity and the DER that it borrows from. */
struct tls_chain {
	unsigned int users;
	struct tls_identity identity;
	uint8_t der[];
};

struct tls_set {
	struct hash_key key;
	unsigned int users;
	struct row *rows; /* open addressing, at most half full */
	size_t n_rows, cap_rows;
	struct tls_chain **held;
	size_t n_held;
	struct claims fallback;
	bool has_fallback;
};

/* --- chains ------------------------------------------------------------ */

struct tls_chain *
tls_chain_new(struct span pem, uint32_t key_id, struct err *e)
{
	struct tls_chain *c = calloc(1, sizeof(*c) + pem.len);

	if (c == NULL) {
		(void)err_set(e, "no memory");
		return NULL;
	}
	if (tls_certificate_parse(
		&c->identity.certificate, pem, c->der, pem.len, e) != 0) {
		free(c);
		return NULL;
	}
	c->identity.key_id = key_id;
	c->users = 1;
	return c;
}

struct tls_chain *
tls_chain_hold(struct tls_chain *c)
{
	c->users++;
	return c;
}

void
tls_chain_release(struct tls_chain *c)
{
	if (c != NULL && --c->users == 0)
		free(c);
}

/* --- sets -------------------------------------------------------------- */

struct tls_set *
tls_set_new(const struct hash_key *key)
{
	struct tls_set *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->key = *key;
	s->users = 1;
	return s;
}

struct tls_set *
tls_set_hold(struct tls_set *s)
{
	s->users++;
	return s;
}

void
tls_set_release(struct tls_set *s)
{
	if (s == NULL || --s->users > 0)
		return;
	for (size_t i = 0; i < s->n_held; i++)
		tls_chain_release(s->held[i]);
	free((void *)s->held);
	free(s->rows);
	free(s);
}

/* --- rows -------------------------------------------------------------- */

/* Lower case and without the trailing dot; the length, 0 when it is no name.
 */
static size_t
canonical(struct span name, uint8_t out[TLS_NAME_MAX])
{
	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > TLS_NAME_MAX)
		return 0;
	for (size_t i = 0; i < name.len; i++)
		out[i] = ascii_lower(name.p[i]);
	return name.len;
}

/* The row of a canonical name, or the free one where it belongs. */
static struct row *
row_of(const struct tls_set *s, struct span name)
{
	size_t at = hash_bytes(&s->key, name) & (s->cap_rows - 1);

	while (
	    s->rows[at].len != 0 &&
	    !span_equal((struct span){s->rows[at].name, s->rows[at].len}, name))
		at = (at + 1) & (s->cap_rows - 1);
	return &s->rows[at];
}

static const struct claims *
find(const struct tls_set *s, struct span name)
{
	struct row *r =
	    s->cap_rows > 0 && name.len > 0 ? row_of(s, name) : NULL;

	return r != NULL && r->len != 0 ? &r->claims : NULL;
}

/* Those to the name itself, and those to the wildcard of its parent domain. */
struct found {
	const struct claims *own, *wildcard;
};

static struct found
find_both(const struct tls_set *s, struct span name)
{
	uint8_t lower[TLS_NAME_MAX];
	size_t len = canonical(name, lower);
	struct found found = {find(s, (struct span){lower, len}), NULL};
	size_t dot = 0;

	/* "*" takes the place of the first label, however long that is. */
	while (dot < len && lower[dot] != '.')
		dot++;
	if (dot > 0 && dot < len) {
		lower[dot - 1] = '*';
		found.wildcard =
		    find(s, (struct span){lower + dot - 1, len - dot + 1});
	}
	return found;
}

static int
grow_rows(struct tls_set *s, size_t wanted)
{
	struct tls_set bigger = *s;

	if (bigger.cap_rows == 0)
		bigger.cap_rows = 64;
	while (bigger.cap_rows < wanted * 2)
		bigger.cap_rows *= 2;
	if (bigger.cap_rows == s->cap_rows)
		return 0;
	bigger.rows = calloc(bigger.cap_rows, sizeof(s->rows[0]));
	if (bigger.rows == NULL)
		return -1;
	for (size_t i = 0; i < s->cap_rows; i++) {
		const struct row *r = &s->rows[i];

		if (r->len != 0)
			*row_of(&bigger, (struct span){r->name, r->len}) = *r;
	}
	free(s->rows);
	*s = bigger;
	return 0;
}

/* Whether x is valid whenever y is. */
static bool
outlives(const struct tls_certificate *x, const struct tls_certificate *y)
{
	return x->not_before <= y->not_before && x->not_after >= y->not_after;
}

static void
put(struct claims *claims, const struct tls_identity *identity)
{
	const struct tls_certificate *c = &identity->certificate;
	const struct tls_identity **of = claims->of[c->key.kind];
	size_t at = 0;

	while (at < CLAIMS_MAX && of[at] != NULL &&
	       of[at]->certificate.not_after >= c->not_after) {
		if (outlives(&of[at]->certificate, c))
			return;
		at++;
	}
	if (at == CLAIMS_MAX)
		return;
	for (size_t i = CLAIMS_MAX - 1; i > at; i--)
		of[i] = of[i - 1];
	of[at] = identity;
}

/* There is room: grow_rows was asked beforehand. */
static void
enter(struct tls_set *s, struct span name, const struct tls_identity *identity)
{
	uint8_t lower[TLS_NAME_MAX];
	size_t len = canonical(name, lower);
	struct row *r;

	if (len == 0)
		return;
	r = row_of(s, (struct span){lower, len});
	if (r->len == 0) {
		r->len = (uint8_t)len;
		memcpy(r->name, lower, len);
		s->n_rows++;
	}
	put(&r->claims, identity);
}

/* --- filling ----------------------------------------------------------- */

/* Room for one more. -1: no memory. */
static int
grow_held(struct tls_set *s)
{
	void *held =
	    array_with_room((void *)s->held, s->n_held, sizeof(void *));

	if (held == NULL)
		return -1;
	s->held = held;
	return 0;
}

int
tls_set_enter(
    struct tls_set *s, struct tls_chain *c, struct span name, struct err *e)
{
	const struct tls_identity *identity = &c->identity;
	struct span rest, each;

	if (grow_rows(s, s->n_rows + identity->certificate.n_names + 1) != 0 ||
	    grow_held(s) != 0)
		return err_set(e, "no memory");
	s->held[s->n_held++] = tls_chain_hold(c);
	enter(s, name, identity);
	rest = identity->certificate.names;
	while (tls_certificate_next_name(&rest, &each))
		enter(s, each, identity);
	return 0;
}

int
tls_set_enter_where_none(
    struct tls_set *s, struct tls_chain *c, struct span name, struct err *e)
{
	if (tls_set_covers(s, name))
		return 0;
	if (grow_rows(s, s->n_rows + 1) != 0 || grow_held(s) != 0)
		return err_set(e, "no memory");
	s->held[s->n_held++] = tls_chain_hold(c);
	enter(s, name, &c->identity);
	return 0;
}

int
tls_set_enter_default(struct tls_set *s, struct tls_chain *c, struct err *e)
{
	if (grow_held(s) != 0)
		return err_set(e, "no memory");
	s->held[s->n_held++] = tls_chain_hold(c);
	put(&s->fallback, &c->identity);
	s->has_fallback = true;
	return 0;
}

int
tls_set_add(struct tls_set *s, struct span pem, uint32_t key_id,
    struct span name, struct err *e)
{
	struct tls_chain *c = tls_chain_new(pem, key_id, e);
	int failed = c == NULL ? -1 : tls_set_enter(s, c, name, e);

	tls_chain_release(c);
	return failed;
}

int
tls_set_add_default(
    struct tls_set *s, struct span pem, uint32_t key_id, struct err *e)
{
	struct tls_chain *c = tls_chain_new(pem, key_id, e);
	int failed = c == NULL ? -1 : tls_set_enter_default(s, c, e);

	tls_chain_release(c);
	return failed;
}

/* --- asking ------------------------------------------------------------ */

bool
tls_set_covers(const struct tls_set *s, struct span name)
{
	struct found found = find_both(s, name);

	return found.own != NULL || found.wildcard != NULL;
}

bool
tls_identity_is_valid(const struct tls_identity *identity, int64_t now)
{
	return identity->certificate.not_before <= now &&
	       identity->certificate.not_after > now;
}

/* The longest of each kind that is valid now; false: none is. */
static bool
pick_valid(const struct claims *claims, int64_t now, struct tls_entry *entry)
{
	bool any = false;

	*entry = (struct tls_entry){{NULL}};
	for (size_t kind = 0; claims != NULL && kind < TLS_KEY_KINDS; kind++)
		for (size_t i = CLAIMS_MAX; i-- > 0;) {
			const struct tls_identity *each = claims->of[kind][i];

			if (each == NULL || !tls_identity_is_valid(each, now))
				continue;
			entry->of[kind] = each;
			any = true;
		}
	return any;
}

/* The longest of each kind; false: there are no claims. */
static bool
pick_any(const struct claims *claims, struct tls_entry *entry)
{
	for (size_t kind = 0; claims != NULL && kind < TLS_KEY_KINDS; kind++)
		entry->of[kind] = claims->of[kind][0];
	return claims != NULL;
}

static bool
covers(const struct tls_entry *entry, struct span name)
{
	for (size_t kind = 0; kind < TLS_KEY_KINDS; kind++)
		if (entry->of[kind] != NULL &&
		    tls_certificate_covers(&entry->of[kind]->certificate, name))
			return true;
	return false;
}

bool
tls_set_find(const struct tls_set *s, struct span name, int64_t now,
    struct tls_entry *entry)
{
	struct found found = find_both(s, name);
	const struct claims *last = s->has_fallback ? &s->fallback : NULL;
	bool none = found.own == NULL && found.wildcard == NULL;

	if (pick_valid(found.own, now, entry) ||
	    pick_valid(found.wildcard, now, entry))
		return true;
	if (pick_valid(last, now, entry) && (none || covers(entry, name)))
		return true;
	*entry = (struct tls_entry){{NULL}};
	return pick_any(found.own, entry) || pick_any(found.wildcard, entry) ||
	       pick_any(last, entry);
}

size_t
tls_set_size(const struct tls_set *s)
{
	return s->n_held;
}

const struct tls_identity *
tls_set_at(const struct tls_set *s, size_t i)
{
	return &s->held[i]->identity;
}
