/*
 * callbacks.c - what BearSSL asks while it runs: the key pair, the signature,
 * the session
 *
 * Runs in the web worker; no private keys. All of it was decided or made before
 * the engine was started, and is handed out here. If it ever wanted anything
 * else, the handshake fails.
 */
#include "tls/internal.h"

#include <stddef.h>
#include <string.h>

/* BearSSL's table of curve functions has no argument for a context: this is
 * the connection whose engine runs, and NULL between. */
static struct tls_conn *current;

void
tls_callbacks_serve(struct tls_conn *c)
{
	current = c;
}

/* --- the key exchange -------------------------------------------------- */

static const unsigned char *
group_generator(int curve, size_t *len)
{
	return br_ec_all_m31.generator(curve, len);
}

static const unsigned char *
group_order(int curve, size_t *len)
{
	return br_ec_all_m31.order(curve, len);
}

static size_t
group_xoff(int curve, size_t *len)
{
	return br_ec_all_m31.xoff(curve, len);
}

/* The engine's own secret is not used: the pair was made beforehand. */
static size_t
group_mulgen(
    unsigned char *point, const unsigned char *x, size_t x_len, int curve)
{
	(void)x;
	(void)x_len;
	if ((int)current->pair.group != curve)
		return 0;
	memcpy(point, current->pair.point, current->pair.point_len);
	return current->pair.point_len;
}

/* In place: the shared secret stands where xoff says. Once, then the secret
 * is gone. */
static uint32_t
group_mul(unsigned char *point, size_t point_len, const unsigned char *x,
    size_t x_len, int curve)
{
	uint8_t shared[TLS_SECRET_SIZE];
	size_t len, at = br_ec_all_m31.xoff(curve, &len);
	int result;

	(void)x;
	(void)x_len;
	if ((int)current->pair.group != curve || point_len < at + len)
		return 0;
	result = tls_group_share(
	    &current->pair, (struct span){point, point_len}, shared);
	explicit_bzero(current->pair.secret, sizeof(current->pair.secret));
	if (result == 0)
		memcpy(point + at, shared, sizeof(shared));
	explicit_bzero(shared, sizeof(shared));
	return result == 0;
}

/* Only for checking signatures, which a server does not do. */
static uint32_t
group_muladd(unsigned char *a, const unsigned char *b, size_t len,
    const unsigned char *x, size_t x_len, const unsigned char *y, size_t y_len,
    int curve)
{
	(void)a;
	(void)b;
	(void)len;
	(void)x;
	(void)x_len;
	(void)y;
	(void)y_len;
	(void)curve;
	return 0;
}

#define GROUP_TABLE(group)                                               \
	{                                                                \
		1u << (group), group_generator, group_order, group_xoff, \
		    group_mul, group_mulgen, group_muladd                \
	}
static const br_ec_impl x25519_only = GROUP_TABLE(TLS_GROUP_X25519);
static const br_ec_impl p256_only = GROUP_TABLE(TLS_GROUP_P256);

/* --- policy ------------------------------------------------------------ */

static struct tls_conn *
conn_of_policy(const br_ssl_server_policy_class **p)
{
	return (struct tls_conn *)(void *)((uint8_t *)(void *)p -
					   offsetof(struct tls_conn, policy));
}

static int
policy_choose(const br_ssl_server_policy_class **p,
    const br_ssl_server_context *context, br_ssl_server_choices *choices)
{
	struct tls_conn *c = conn_of_policy(p);
	const struct tls_certificate *from = &c->choice.identity->certificate;

	(void)context;
	for (size_t i = 0; i < from->n_chain; i++) {
		/* BearSSL's pointer lacks the const; it only reads. */
		memcpy(&c->chain[i].data, &from->chain[i].p,
		    sizeof(c->chain[i].data));
		c->chain[i].data_len = from->chain[i].len;
	}
	choices->cipher_suite = c->choice.suite;
	/* Below 0xff00: what comes to be signed is not hashed. */
	choices->algo_id = tls_signature_id(from->key.kind, c->choice.hash);
	choices->chain = c->chain;
	choices->chain_len = from->n_chain;
	return 1;
}

static uint32_t
policy_do_keyx(
    const br_ssl_server_policy_class **p, unsigned char *data, size_t *len)
{
	(void)p;
	(void)data;
	(void)len;
	return 0;
}

static size_t
policy_do_sign(const br_ssl_server_policy_class **p, unsigned int algo_id,
    unsigned char *data, size_t data_len, size_t cap)
{
	struct tls_conn *c = conn_of_policy(p);

	(void)algo_id;
	if (!span_equal((struct span){data, data_len},
		(struct span){c->to_sign, c->to_sign_len}) ||
	    c->signature_len > cap) {
		c->differs = true;
		return 0;
	}
	memcpy(data, c->signature, c->signature_len);
	return c->signature_len;
}

static const br_ssl_server_policy_class policy_table = {
    sizeof(struct tls_conn), policy_choose, policy_do_keyx, policy_do_sign};

/* --- sessions ---------------------------------------------------------- */

static struct tls_conn *
conn_of_cache(const br_ssl_session_cache_class **p)
{
	return (struct tls_conn *)(void *)((uint8_t *)(void *)p -
					   offsetof(struct tls_conn, cache));
}

/* The one that was found when the ClientHello was read. */
static int
cache_load(const br_ssl_session_cache_class **p, br_ssl_server_context *context,
    br_ssl_session_parameters *session)
{
	const struct tls_conn *c = conn_of_cache(p);

	(void)context;
	if (!c->resuming)
		return 0;
	session->version = BR_TLS12;
	session->cipher_suite = c->session.suite;
	memcpy(session->master_secret, c->session.master_secret,
	    sizeof(session->master_secret));
	return 1;
}

static void
cache_save(const br_ssl_session_cache_class **p, br_ssl_server_context *context,
    const br_ssl_session_parameters *session)
{
	struct tls_conn *c = conn_of_cache(p);
	struct tls_server *s = c->server;
	struct tls_session kept = {
	    .name = c->name_hash,
	    .ends_s = s->now_s + s->session_life_s,
	    .suite = session->cipher_suite,
	};

	(void)context;
	memcpy(kept.id, session->session_id, sizeof(kept.id));
	memcpy(kept.master_secret, session->master_secret,
	    sizeof(kept.master_secret));
	tls_sessions_put(s->sessions, &kept, s->now_s);
	explicit_bzero(&kept, sizeof(kept));
}

static const br_ssl_session_cache_class cache_table = {
    sizeof(struct tls_conn), cache_save, cache_load};

void
tls_callbacks_set(struct tls_conn *c)
{
	br_ssl_engine_set_ec(&c->context.eng,
	    c->choice.group == TLS_GROUP_X25519 ? &x25519_only : &p256_only);
	c->policy = &policy_table;
	br_ssl_server_set_policy(&c->context, &c->policy);
	c->cache = &cache_table;
	if (c->server->sessions != NULL)
		br_ssl_server_set_cache(&c->context, &c->cache);
}
