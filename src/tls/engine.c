/*
 * engine.c - BearSSL, set up for what was decided, and driven
 *
 * Runs in the web worker; no private keys. The engine gets exactly one suite,
 * one group, one protocol; what it asks for, callbacks.c has ready.
 *
 * Its random numbers come from a seed that we drew with getrandom; its own
 * seeder is switched off, for it would open a device that is not there.
 */
#include "tls/internal.h"

#include <string.h>

#include "base/array.h"

/* What this processor has; asking it is slow on virtual machines. */
static struct {
	const br_block_ctr_class *aes;
	br_ghash ghash;
	br_chacha20_run chacha20;
	br_poly1305_run poly1305;
	bool has_aes;
} found;

void
tls_engine_init(void)
{
	found.aes = br_aes_x86ni_ctr_get_vtable();
	found.ghash = br_ghash_pclmul_get();
	if (found.aes == NULL)
		found.aes = br_aes_pwr8_ctr_get_vtable();
	if (found.ghash == NULL)
		found.ghash = br_ghash_pwr8_get();
	found.has_aes = found.aes != NULL && found.ghash != NULL;
	if (found.aes == NULL)
		found.aes = &br_aes_ct64_ctr_vtable;
	if (found.ghash == NULL)
		found.ghash = br_ghash_ctmul64;
	found.chacha20 = br_chacha20_sse2_get();
	if (found.chacha20 == NULL)
		found.chacha20 = br_chacha20_ct_run;
	found.poly1305 = br_poly1305_ctmulq_get();
	if (found.poly1305 == NULL)
		found.poly1305 = br_poly1305_ctmul_run;
}

bool
tls_has_aes(void)
{
	return found.has_aes;
}

/* --- starting ---------------------------------------------------------- */

/* The same steps as those of the engine up to its ServerHello: it draws the
 * session id, then 28 bytes behind 4 that are 0. */
void
tls_engine_predict(const uint8_t seed[SEED_SIZE], uint8_t random[32])
{
	br_hmac_drbg_context rng;
	uint8_t id[32];

	br_hmac_drbg_init(&rng, &br_sha256_vtable, NULL, 0);
	br_hmac_drbg_update(&rng, seed, SEED_SIZE);
	br_hmac_drbg_generate(&rng, id, sizeof(id));
	memset(random, 0, 4);
	br_hmac_drbg_generate(&rng, random + 4, 28);
	explicit_bzero(&rng, sizeof(rng));
}

static void
set_hashes(br_ssl_engine_context *e, const struct tls_choice *choice)
{
	/* The transcript is hashed with each hash that is set. */
	br_ssl_engine_set_hash(e, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_prf_sha256(e, &br_tls12_sha256_prf);
	if (tls_suite_has_sha384(choice->suite)) {
		br_ssl_engine_set_hash(e, br_sha384_ID, &br_sha384_vtable);
		br_ssl_engine_set_prf_sha384(e, &br_tls12_sha384_prf);
	}
	/* A signature's hash has to be one that the engine has. */
	if (choice->hash == TLS_SHA384)
		br_ssl_engine_set_hash(e, br_sha384_ID, &br_sha384_vtable);
	else if (choice->hash == TLS_SHA512)
		br_ssl_engine_set_hash(e, br_sha512_ID, &br_sha512_vtable);
}

static void
set_ciphers(br_ssl_engine_context *e, uint16_t suite)
{
	br_ssl_engine_set_suites(e, &suite, 1);
	if (tls_suite_has_chacha20(suite)) {
		br_ssl_engine_set_chapol(e, &br_sslrec_in_chapol_vtable,
		    &br_sslrec_out_chapol_vtable);
		br_ssl_engine_set_chacha20(e, found.chacha20);
		br_ssl_engine_set_poly1305(e, found.poly1305);
	} else {
		br_ssl_engine_set_gcm(
		    e, &br_sslrec_in_gcm_vtable, &br_sslrec_out_gcm_vtable);
		br_ssl_engine_set_aes_ctr(e, found.aes);
		br_ssl_engine_set_ghash(e, found.ghash);
	}
}

static void
set_up(struct tls_conn *c)
{
	static const char *protocols[] = {"http/1.1"};
	br_ssl_engine_context *e = &c->context.eng;

	br_ssl_server_zero(&c->context);
	br_ssl_engine_set_versions(e, BR_TLS12, BR_TLS12);
	br_ssl_engine_add_flags(e, BR_OPT_ENFORCE_SERVER_PREFERENCES |
				       BR_OPT_NO_RENEGOTIATION |
				       BR_OPT_FAIL_ON_ALPN_MISMATCH);
	set_hashes(e, &c->choice);
	set_ciphers(e, c->choice.suite);
	if (c->has_alpn)
		br_ssl_engine_set_protocol_names(
		    e, protocols, ARRAY_LENGTH(protocols));
	tls_callbacks_set(c);
	br_ssl_engine_set_buffers_bidi(
	    e, c->input, sizeof(c->input), c->output, sizeof(c->output));
	br_ssl_engine_inject_entropy(e, c->seed, sizeof(c->seed));
	/* No seeder of its own; there is no function to say so. */
	e->rng_os_rand_done = 1;
}

/* Feeds from the record, which lies where the engine wants it. */
static void
feed_record(br_ssl_engine_context *e, const uint8_t *from, size_t len)
{
	uint8_t *at;
	size_t n;

	while (len > 0 && (at = br_ssl_engine_recvrec_buf(e, &n)) != NULL) {
		n = n < len ? n : len;
		if (at != from)
			memmove(at, from, n);
		from += n;
		len -= n;
		br_ssl_engine_recvrec_ack(e, n);
	}
}

/*
 * Behind the last byte of a ClientHello the engine looks up each place of
 * its list of common suites, the empty ones too, in a table that it searches
 * to the end: 0.15 ms. A suite that stands first in that table is found at
 * once. The list has no other use than to be shown to our policy, which does
 * not look at it.
 */
static void
fill_suites(br_ssl_server_context *context)
{
	for (size_t i = 1; i < ARRAY_LENGTH(context->client_suites); i++)
		context->client_suites[i][0] = BR_TLS_RSA_WITH_3DES_EDE_CBC_SHA;
}

void
tls_engine_start(struct tls_conn *c)
{
	struct span record = tls_gather_record(&c->gather);
	br_ssl_engine_context *e = &c->context.eng;

	set_up(c);
	c->running = true;
	if (br_ssl_server_reset(&c->context) != 1)
		return;
	tls_callbacks_serve(c);
	feed_record(e, record.p, record.len - 1);
	fill_suites(&c->context);
	feed_record(e, record.p + record.len - 1, 1);
	tls_callbacks_serve(NULL);
}

/* --- running ----------------------------------------------------------- */

bool
tls_engine_has_output(const struct tls_conn *c)
{
	size_t n;

	return br_ssl_engine_sendrec_buf(&c->context.eng, &n) != NULL;
}

bool
tls_engine_is_open(const struct tls_conn *c)
{
	return (br_ssl_engine_current_state(&c->context.eng) &
		   (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) != 0;
}

bool
tls_engine_is_at_rest(const struct tls_conn *c)
{
	size_t n;

	return br_ssl_engine_recvrec_buf(&c->context.eng, &n) == c->input;
}

void
tls_engine_push(struct tls_conn *c, struct span *bytes)
{
	br_ssl_engine_context *e = &c->context.eng;
	uint8_t *at;
	size_t n;

	tls_callbacks_serve(c);
	/* In a handshake BearSSL expects its words to be on their way before
	 * it reads on. Where it ends, the caller is told so: behind it may
	 * come a good-bye. */
	while (bytes->len > 0 &&
	       (c->open ||
		   (!tls_engine_has_output(c) && !tls_engine_is_open(c))) &&
	       (at = br_ssl_engine_recvrec_buf(e, &n)) != NULL) {
		n = n < bytes->len ? n : bytes->len;
		memcpy(at, bytes->p, n);
		tls_reach(c, at, n);
		bytes->p += n;
		bytes->len -= n;
		br_ssl_engine_recvrec_ack(e, n);
	}
	tls_callbacks_serve(NULL);
}

size_t
tls_engine_take(struct tls_conn *c, uint8_t *out, size_t cap)
{
	br_ssl_engine_context *e = &c->context.eng;
	size_t used = 0, n;
	const uint8_t *at;

	tls_callbacks_serve(c);
	br_ssl_engine_flush(e, 0);
	while (used < cap && (at = br_ssl_engine_sendrec_buf(e, &n)) != NULL) {
		c->mid_record = n > cap - used;
		n = n < cap - used ? n : cap - used;
		memcpy(out + used, at, n);
		used += n;
		br_ssl_engine_sendrec_ack(e, n);
	}
	tls_callbacks_serve(NULL);
	return used;
}

/* --- failures ---------------------------------------------------------- */

static const struct {
	int error;
	enum tls_alert alert;
	const char *text;
} broken[] = {
    {BR_ERR_BAD_PARAM, TLS_ALERT_DECODE_ERROR, "a message that is cut short"},
    {BR_ERR_UNSUPPORTED_VERSION, TLS_ALERT_PROTOCOL_VERSION,
	"a record is not of TLS"},
    {BR_ERR_BAD_VERSION, TLS_ALERT_PROTOCOL_VERSION,
	"a record has another version than was agreed on"},
    {BR_ERR_BAD_LENGTH, TLS_ALERT_RECORD_OVERFLOW,
	"a record has a length that cannot be"},
    {BR_ERR_TOO_LARGE, TLS_ALERT_RECORD_OVERFLOW, "a record is too long"},
    {BR_ERR_BAD_MAC, TLS_ALERT_BAD_RECORD_MAC, "a record was tampered with"},
    {BR_ERR_UNKNOWN_TYPE, TLS_ALERT_UNEXPECTED_MESSAGE,
	"a record of an unknown type"},
    {BR_ERR_UNEXPECTED, TLS_ALERT_UNEXPECTED_MESSAGE,
	"a message out of its order"},
    {BR_ERR_BAD_CCS, TLS_ALERT_DECODE_ERROR, "a broken ChangeCipherSpec"},
    {BR_ERR_BAD_ALERT, TLS_ALERT_DECODE_ERROR, "a broken alert"},
    {BR_ERR_BAD_HANDSHAKE, TLS_ALERT_DECODE_ERROR, "a broken message"},
    {BR_ERR_BAD_FINISHED, TLS_ALERT_DECRYPT_ERROR,
	"the Finished is not of this handshake"},
};

struct tls_failure
tls_engine_failure(const struct tls_conn *c)
{
	int error = br_ssl_engine_last_error(&c->context.eng);

	if (c->differs || error == BR_ERR_NO_RANDOM ||
	    error == BR_ERR_BAD_STATE)
		return (struct tls_failure){TLS_REASON_INTERNAL,
		    TLS_ALERT_INTERNAL_ERROR, "the engine went another way"};
	if (error == BR_ERR_OK)
		return (struct tls_failure){
		    TLS_REASON_CLOSED, 0, "the client left in the handshake"};
	if (error >= BR_ERR_SEND_FATAL_ALERT)
		return (struct tls_failure){TLS_REASON_BROKEN,
		    (uint8_t)(error - BR_ERR_SEND_FATAL_ALERT),
		    "the engine refused the ClientHello"};
	if (error >= BR_ERR_RECV_FATAL_ALERT)
		return (struct tls_failure){TLS_REASON_CLIENT_ALERT,
		    (uint8_t)(error - BR_ERR_RECV_FATAL_ALERT),
		    "the client sent an alert"};
	for (size_t i = 0; i < ARRAY_LENGTH(broken); i++)
		if (broken[i].error == error)
			return (struct tls_failure){TLS_REASON_BROKEN,
			    (uint8_t)broken[i].alert, broken[i].text};
	return (struct tls_failure){TLS_REASON_BROKEN, TLS_ALERT_DECODE_ERROR,
	    "a message that cannot be read"};
}
