/*
 * signer_fast.c - signatures by Nettle (ECDSA) and GMP (RSA)
 *
 * Runs in the keeper. Asks the kernel for random numbers, uses the heap.
 *
 * RSA is done here with the functions of GMP that take the same time, and
 * touch the same memory, for all numbers of a size (mpn_sec_*, and those that
 * its manual says can be used along with them). Nettle's own function of that
 * kind takes 1.7 times as long, because it draws and inverts a blinding
 * factor for each signature; here the factor is squared from one to the
 * next. Each result is checked with the public key before it leaves, so that
 * a fault in the computation does not give the key away.
 */
#include "keeper/internal.h"

#include <gmp.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "tls/tls.h"
#include "tls/wipe.h"

#define LIMB_BYTES sizeof(mp_limb_t)
#define LIMBS(bytes) (((bytes) + LIMB_BYTES - 1) / LIMB_BYTES)
#define N_MAX LIMBS(TLS_RSA_BITS_MAX / 8)
#define HALF_MAX LIMBS(TLS_RSA_BITS_MAX / 16)
/* So many signatures, then a fresh blinding factor. */
#define BLINDING_USES 4096

/* Numbers are limbs, the least significant first. */
struct rsa {
	size_t bytes; /* of the modulus */
	mp_size_t nn, hn;
	mp_bitcnt_t e_bits;
	mp_limb_t n[2 * HALF_MAX], e[LIMBS(8)];
	mp_limb_t p[HALF_MAX], q[HALF_MAX];
	mp_limb_t dp[HALF_MAX], dq[HALF_MAX], iq[HALF_MAX];
	/* r^e and 1/r */
	mp_limb_t blind[N_MAX], unblind[N_MAX];
	unsigned int uses;
	/* Of one signature, wiped behind it: parts of work. */
	mp_limb_t *m, *product, *sp, *sq, *h, *s, *check, *scratch;
	mp_limb_t *work;
	size_t n_work;
};

struct keeper_signer {
	enum tls_key_kind kind;
	struct ecc_scalar ec;
	struct rsa *rsa;
};

void
keeper_signer_init(void)
{
	wipe_what_is_freed();
}

static void
draw(void *ctx, size_t len, uint8_t *p)
{
	(void)ctx;
	tls_random(p, len);
}

/* --- numbers ----------------------------------------------------------- */

static void
from_bytes(mp_limb_t *limbs, mp_size_t n, struct span bytes)
{
	memset(limbs, 0, (size_t)n * LIMB_BYTES);
	for (size_t i = 0; i < bytes.len; i++)
		limbs[i / LIMB_BYTES] |= (mp_limb_t)bytes.p[bytes.len - 1 - i]
					 << (8 * (i % LIMB_BYTES));
}

static void
to_bytes(uint8_t *bytes, size_t len, const mp_limb_t *limbs)
{
	for (size_t i = 0; i < len; i++)
		bytes[len - 1 - i] =
		    (uint8_t)(limbs[i / LIMB_BYTES] >> (8 * (i % LIMB_BYTES)));
}

/* r = a * b mod m; a and b of n limbs, m of as many. */
static void
multiply(struct rsa *k, mp_limb_t *r, const mp_limb_t *a, const mp_limb_t *b,
    const mp_limb_t *m, mp_size_t n)
{
	mp_limb_t *product = k->product;

	mpn_sec_mul(product, a, n, b, n, k->scratch);
	mpn_sec_div_r(product, 2 * n, m, n, k->scratch);
	mpn_copyi(r, product, n);
}

/* r of half the limbs = a of n limbs mod m. */
static void
reduce(struct rsa *k, mp_limb_t *r, const mp_limb_t *a, mp_size_t n,
    const mp_limb_t *m)
{
	mp_limb_t *rest = k->product;

	mpn_copyi(rest, a, n);
	mpn_sec_div_r(rest, n, m, k->hn, k->scratch);
	mpn_copyi(r, rest, k->hn);
}

static mp_size_t
larger(mp_size_t a, mp_size_t b)
{
	return a > b ? a : b;
}

static mp_size_t
scratch_size(const struct rsa *k)
{
	mp_size_t nn = k->nn, hn = k->hn;
	mp_bitcnt_t half_bits = (mp_bitcnt_t)hn * GMP_NUMB_BITS;
	mp_size_t n = mpn_sec_powm_itch(hn, half_bits, hn);

	n = larger(n, mpn_sec_powm_itch(nn, k->e_bits, nn));
	n = larger(n, mpn_sec_mul_itch(nn, nn));
	n = larger(n, mpn_sec_mul_itch(hn, hn));
	n = larger(n, mpn_sec_div_r_itch(2 * nn, nn));
	return larger(n, mpn_sec_div_r_itch(2 * hn, hn));
}

static int
make_work(struct rsa *k)
{
	const struct {
		mp_limb_t **part;
		mp_size_t n;
	} parts[] = {
	    {&k->m, k->nn},
	    {&k->product, 4 * k->hn},
	    {&k->sp, k->hn},
	    {&k->sq, k->hn},
	    {&k->h, k->hn},
	    {&k->s, 2 * k->hn},
	    {&k->check, k->nn},
	    {&k->scratch, scratch_size(k)},
	};
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
		k->n_work += (size_t)parts[i].n;
	k->work = calloc(k->n_work, LIMB_BYTES);
	if (k->work == NULL)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		*parts[i].part = k->work + at;
		at += (size_t)parts[i].n;
	}
	return 0;
}

/* --- RSA --------------------------------------------------------------- */

/* A fresh r below n; 1/r exists but for the factors of n. How long inverting
 * takes depends on r, which is new and says nothing of the key. */
static int
draw_blinding(struct rsa *k)
{
	uint8_t bytes[TLS_RSA_BITS_MAX / 8];
	mp_limb_t r[N_MAX];
	mpz_t number, inverse;
	mpz_t n;
	int ok;

	tls_random(bytes, k->bytes);
	bytes[0] = 0;
	bytes[k->bytes - 1] |= 1;
	from_bytes(r, k->nn, (struct span){bytes, k->bytes});
	mpn_sec_powm(
	    k->blind, r, k->nn, k->e, k->e_bits, k->n, k->nn, k->scratch);
	mpz_init(number);
	mpz_init(inverse);
	mpz_import(number, k->bytes, 1, 1, 1, 0, bytes);
	ok = mpz_invert(inverse, number, mpz_roinit_n(n, k->n, k->nn));
	memset(k->unblind, 0, sizeof(k->unblind));
	mpn_copyi(
	    k->unblind, mpz_limbs_read(inverse), (mp_size_t)mpz_size(inverse));
	mpz_clear(number);
	mpz_clear(inverse);
	explicit_bzero(bytes, sizeof(bytes));
	explicit_bzero(r, sizeof(r));
	k->uses = 0;
	return ok != 0 ? 0 : -1;
}

static void
next_blinding(struct rsa *k)
{
	multiply(k, k->blind, k->blind, k->blind, k->n, k->nn);
	multiply(k, k->unblind, k->unblind, k->unblind, k->n, k->nn);
	k->uses++;
}

/* s = m^d mod n by way of p and q (RFC 8017 5.1.2). */
static void
compute_root(struct rsa *k, const mp_limb_t *m)
{
	const mp_bitcnt_t bits = (mp_bitcnt_t)k->hn * GMP_NUMB_BITS;
	const mp_size_t hn = k->hn;
	mp_limb_t *sp = k->sp, *sq = k->sq, *h = k->h;
	mp_limb_t *s = k->s;
	mp_limb_t borrow;

	reduce(k, h, m, k->nn, k->p);
	mpn_sec_powm(sp, h, hn, k->dp, bits, k->p, hn, k->scratch);
	reduce(k, h, m, k->nn, k->q);
	mpn_sec_powm(sq, h, hn, k->dq, bits, k->q, hn, k->scratch);
	reduce(k, h, sq, hn, k->p);
	borrow = mpn_sub_n(h, sp, h, hn);
	(void)mpn_cnd_add_n(borrow, h, h, k->p, hn);
	multiply(k, h, h, k->iq, k->p, hn);
	mpn_sec_mul(s, h, hn, k->q, hn, k->scratch);
	mpn_zero(k->product, 2 * hn);
	mpn_copyi(k->product, sq, hn);
	(void)mpn_add_n(s, s, k->product, 2 * hn);
}

static bool
is_root(struct rsa *k, const mp_limb_t *m)
{
	mp_limb_t differs = 0;

	mpn_sec_powm(
	    k->check, k->s, k->nn, k->e, k->e_bits, k->n, k->nn, k->scratch);
	for (mp_size_t i = 0; i < k->nn; i++)
		differs |= k->check[i] ^ m[i];
	return differs == 0;
}

/* EMSA-PKCS1-v1_5, RFC 8017 9.2: what stands before the hash. */
static const struct {
	uint8_t len;
	uint8_t prefix[19];
} infos[TLS_HASHES] = {
    [TLS_SHA256] = {32, {0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1,
			    0x65, 3, 4, 2, 1, 5, 0, 4, 32}},
    [TLS_SHA384] = {48, {0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1,
			    0x65, 3, 4, 2, 2, 5, 0, 4, 48}},
    [TLS_SHA512] = {64, {0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1,
			    0x65, 3, 4, 2, 3, 5, 0, 4, 64}},
};

static void
pad(uint8_t *out, size_t size, enum tls_hash hash, struct span value)
{
	size_t info = sizeof(infos[hash].prefix) + value.len;

	memset(out, 0xff, size);
	out[0] = 0;
	out[1] = 1;
	out[size - info - 1] = 0;
	memcpy(
	    out + size - info, infos[hash].prefix, sizeof(infos[hash].prefix));
	memcpy(out + size - value.len, value.p, value.len);
}

static int
sign_rsa(struct rsa *k, enum tls_hash hash, struct span value, uint8_t *out,
    size_t *len)
{
	mp_limb_t *m = k->m;
	int result = -1;

	if (value.len != infos[hash].len ||
	    (k->uses >= BLINDING_USES && draw_blinding(k) != 0))
		return -1;
	pad(out, k->bytes, hash, value);
	from_bytes(m, k->nn, (struct span){out, k->bytes});
	multiply(k, m, m, k->blind, k->n, k->nn);
	compute_root(k, m);
	if (is_root(k, m)) {
		multiply(k, m, k->s, k->unblind, k->n, k->nn);
		to_bytes(out, k->bytes, m);
		*len = k->bytes;
		result = 0;
	}
	next_blinding(k);
	explicit_bzero(k->work, k->n_work * LIMB_BYTES);
	return result;
}

static void
free_rsa(struct rsa *k)
{
	if (k == NULL)
		return;
	if (k->work != NULL)
		explicit_bzero(k->work, k->n_work * LIMB_BYTES);
	free(k->work);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

/* Two odd primes of the same length, whose product is the modulus. */
static bool
is_modulus(struct rsa *k, const struct keeper_parts *parts)
{
	mp_limb_t *product = k->product;
	mp_limb_t differs = 0;

	if ((k->p[0] & 1) == 0 || (k->q[0] & 1) == 0)
		return false;
	mpn_sec_mul(product, k->p, k->hn, k->q, k->hn, k->scratch);
	from_bytes(k->n, 2 * k->hn, parts->n);
	for (mp_size_t i = 0; i < 2 * k->hn; i++)
		differs |= product[i] ^ k->n[i];
	return differs == 0;
}

static struct rsa *
new_rsa(const struct keeper_parts *parts)
{
	size_t half = parts->p.len;
	struct rsa *k;

	if (parts->n.len > TLS_RSA_BITS_MAX / 8 || half * 2 != parts->n.len ||
	    parts->q.len != half || parts->dp.len == 0 ||
	    parts->dp.len > half || parts->dq.len == 0 ||
	    parts->dq.len > half || parts->iq.len == 0 ||
	    parts->iq.len > half || parts->e.len == 0 || parts->e.len > 8)
		return NULL;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return NULL;
	k->bytes = parts->n.len;
	k->nn = (mp_size_t)LIMBS(k->bytes);
	k->hn = (mp_size_t)LIMBS(half);
	k->e_bits = parts->e.len * 8;
	from_bytes(k->e, (mp_size_t)LIMBS(8), parts->e);
	from_bytes(k->p, k->hn, parts->p);
	from_bytes(k->q, k->hn, parts->q);
	from_bytes(k->dp, k->hn, parts->dp);
	from_bytes(k->dq, k->hn, parts->dq);
	from_bytes(k->iq, k->hn, parts->iq);
	if (make_work(k) == 0 && is_modulus(k, parts) && draw_blinding(k) == 0)
		return k;
	free_rsa(k);
	return NULL;
}

/* --- ECDSA ------------------------------------------------------------- */

/* An INTEGER in DER, of a number of at most 32 bytes. */
static void
put_integer(struct writer *w, const mpz_t number)
{
	uint8_t bytes[33] = {0};
	size_t len = mpz_sizeinbase(number, 2) / 8 + 1;

	/* One bit more than the number has: the sign. */
	mpz_export(bytes + len - (mpz_sizeinbase(number, 2) + 7) / 8, NULL, 1,
	    1, 1, 0, number);
	writer_u8(w, 2);
	writer_u8(w, (uint8_t)len);
	writer_bytes(w, (struct span){bytes, len});
}

static int
sign_ec(
    const struct ecc_scalar *k, struct span value, uint8_t *out, size_t *len)
{
	struct writer w = writer_of(out, TLS_ECDSA_MAX);
	struct dsa_signature signature;

	dsa_signature_init(&signature);
	ecdsa_sign(k, NULL, draw, value.len, value.p, &signature);
	writer_u8(&w, 0x30);
	writer_u8(&w, 0);
	put_integer(&w, signature.r);
	put_integer(&w, signature.s);
	dsa_signature_clear(&signature);
	if (w.full)
		return -1;
	out[1] = (uint8_t)(w.len - 2);
	*len = w.len;
	return 0;
}

static int
set_ec(struct ecc_scalar *k, struct span secret)
{
	mpz_t number;
	int ok;

	ecc_scalar_init(k, nettle_get_secp_256r1());
	mpz_init2(number, 8 * secret.len);
	mpz_import(number, secret.len, 1, 1, 1, 0, secret.p);
	/* Not 0, and below the order. */
	ok = ecc_scalar_set(k, number);
	mpz_clear(number);
	return ok ? 0 : -1;
}

/* --- both -------------------------------------------------------------- */

void
keeper_signer_free(struct keeper_signer *s)
{
	if (s == NULL)
		return;
	if (s->kind == TLS_KEY_EC)
		ecc_scalar_clear(&s->ec);
	free_rsa(s->rsa);
	free(s);
}

struct keeper_signer *
keeper_signer_new(const struct keeper_parts *parts)
{
	struct keeper_signer *s = calloc(1, sizeof(*s));
	int bad;

	if (s == NULL)
		return NULL;
	s->kind = parts->kind;
	if (s->kind == TLS_KEY_EC) {
		bad = set_ec(&s->ec, parts->secret);
	} else {
		s->rsa = new_rsa(parts);
		bad = s->rsa == NULL;
	}
	if (!bad)
		return s;
	keeper_signer_free(s);
	return NULL;
}

int
keeper_signer_sign(struct keeper_signer *s, enum tls_hash hash,
    struct span value, uint8_t out[TLS_SIGNATURE_MAX], size_t *len)
{
	if (s->kind == TLS_KEY_EC)
		return sign_ec(&s->ec, value, out, len);
	return sign_rsa(s->rsa, hash, value, out, len);
}
