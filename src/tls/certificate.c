/*
 * certificate.c - the public part of a certificate chain, read from PEM
 *
 * Pure.
 */
#include "tls/certificate.h"

#include <string.h>

#include "base/array.h"
#include "tls/der.h"
#include "tls/pem.h"

/* GeneralName, context tag 2: dNSName. */
#define DNS_NAME 0x82

static const uint8_t oid_ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1};
static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
static const uint8_t oid_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1};
static const uint8_t oid_alternative_names[] = {0x55, 0x1d, 0x11};

/* What is read of each certificate of a chain. */
struct fields {
	struct span issuer, subject; /* whole names */
	struct span key_info;
	struct span names;
	int64_t not_before, not_after;
};

static bool
is(struct span s, const uint8_t *bytes, size_t len)
{
	return span_equal(s, (struct span){bytes, len});
}

/* --- names ------------------------------------------------------------- */

bool
tls_certificate_next_name(struct span *rest, struct span *name)
{
	struct cursor c = cursor_of(*rest);
	bool found = false;

	while (!found && !c.bad && c.left > 0)
		found = der_take_any(&c, name) == DNS_NAME && name->len > 0 &&
			name->len <= TLS_NAME_MAX;
	*rest = (struct span){c.p, c.left};
	return found && !c.bad;
}

static struct span
without_dot(struct span s)
{
	if (s.len > 0 && s.p[s.len - 1] == '.')
		s.len--;
	return s;
}

bool
tls_name_covers(struct span pattern, struct span host)
{
	pattern = without_dot(pattern);
	host = without_dot(host);
	if (!span_starts(pattern, span_of("*.")))
		return host.len > 0 && span_equal_nocase(pattern, host);
	pattern.p++;
	pattern.len--;
	for (size_t i = 0; i < host.len; i++)
		if (host.p[i] == '.')
			return i > 0 &&
			       span_equal_nocase(pattern,
				   (struct span){host.p + i, host.len - i});
	return false;
}

bool
tls_certificate_covers(const struct tls_certificate *c, struct span host)
{
	struct span rest = c->names, name;

	while (tls_certificate_next_name(&rest, &name))
		if (tls_name_covers(name, host))
			return true;
	return false;
}

/* --- one certificate --------------------------------------------------- */

static int
read_extensions(struct cursor c, struct fields *f)
{
	struct cursor list = cursor_of(der_take(&c, DER_SEQUENCE));

	while (!list.bad && list.left > 0) {
		struct cursor x = cursor_of(der_take(&list, DER_SEQUENCE));
		struct span oid = der_take(&x, DER_OID);
		struct cursor value;

		if (der_is(&x, DER_BOOLEAN))
			(void)der_take(&x, DER_BOOLEAN);
		value = cursor_of(der_take(&x, DER_OCTET_STRING));
		if (cursor_end(&x) != 0)
			return -1;
		if (!is(oid, oid_alternative_names,
			sizeof(oid_alternative_names)))
			continue;
		if (f->names.len > 0)
			return -1;
		f->names = der_take(&value, DER_SEQUENCE);
		if (cursor_end(&value) != 0)
			return -1;
	}
	return list.bad ? -1 : cursor_end(&c);
}

/* Certificate and TBSCertificate, RFC 5280 4.1. */
static int
read_fields(struct span der, struct fields *f)
{
	struct cursor outer = cursor_of(der), whole, c, validity;

	*f = (struct fields){0};
	whole = cursor_of(der_take(&outer, DER_SEQUENCE));
	c = cursor_of(der_take(&whole, DER_SEQUENCE));
	(void)der_take(&whole, DER_SEQUENCE);
	(void)der_take_bits(&whole);
	if (cursor_end(&outer) != 0 || cursor_end(&whole) != 0)
		return -1;
	if (der_is(&c, 0xa0))
		(void)der_take(&c, 0xa0);
	(void)der_take(&c, DER_INTEGER);
	(void)der_take(&c, DER_SEQUENCE);
	f->issuer = der_take_whole(&c, DER_SEQUENCE);
	validity = cursor_of(der_take(&c, DER_SEQUENCE));
	f->not_before = der_take_time(&validity);
	f->not_after = der_take_time(&validity);
	f->subject = der_take_whole(&c, DER_SEQUENCE);
	f->key_info = der_take(&c, DER_SEQUENCE);
	if (c.bad || cursor_end(&validity) != 0)
		return -1;
	/* Unique identifiers of old. */
	for (uint8_t tag = 0x81; tag <= 0x82; tag++)
		if (der_is(&c, tag))
			(void)der_take(&c, tag);
	if (der_is(&c, 0xa3) &&
	    read_extensions(cursor_of(der_take(&c, 0xa3)), f) != 0)
		return -1;
	return cursor_end(&c);
}

static unsigned int
bits_of(struct span n)
{
	unsigned int bits = (unsigned int)n.len * 8;

	for (uint8_t top = n.len > 0 ? n.p[0] : 1; top < 0x80 && bits > 0;
	     top = (uint8_t)(top << 1))
		bits--;
	return bits;
}

static int
read_rsa(struct tls_public_key *key, struct span bits)
{
	struct cursor c = cursor_of(bits), n;

	n = cursor_of(der_take(&c, DER_SEQUENCE));
	key->kind = TLS_KEY_RSA;
	key->modulus = der_take_unsigned(&n);
	key->exponent = der_take_unsigned(&n);
	if (cursor_end(&c) != 0 || cursor_end(&n) != 0 ||
	    key->modulus.p == NULL || key->exponent.p == NULL)
		return -1;
	/* Such an exponent or modulus is nobody's key. */
	if (key->exponent.len > 8 ||
	    (key->exponent.p[key->exponent.len - 1] & 1) == 0 ||
	    (key->modulus.p[key->modulus.len - 1] & 1) == 0 ||
	    (key->exponent.len == 1 && key->exponent.p[0] < 3))
		return -1;
	key->bits = bits_of(key->modulus);
	return 0;
}

/* SubjectPublicKeyInfo; the reason in e. */
static int
read_key(struct tls_public_key *key, struct span info, struct err *e)
{
	struct cursor c = cursor_of(info), algorithm;
	struct span oid, bits;

	*key = (struct tls_public_key){0};
	algorithm = cursor_of(der_take(&c, DER_SEQUENCE));
	oid = der_take(&algorithm, DER_OID);
	bits = der_take_bits(&c);
	if (cursor_end(&c) != 0 || algorithm.bad)
		return err_set(e, "the public key cannot be read");
	if (is(oid, oid_rsa, sizeof(oid_rsa))) {
		if (read_rsa(key, bits) != 0)
			return err_set(e, "the RSA key cannot be read");
		if (key->bits < TLS_RSA_BITS_MIN ||
		    key->bits > TLS_RSA_BITS_MAX || key->bits % 8 != 0)
			return err_set(e,
			    "the RSA key has %u bits; from %d to %d are "
			    "served",
			    key->bits, TLS_RSA_BITS_MIN, TLS_RSA_BITS_MAX);
		return 0;
	}
	if (!is(oid, oid_ec, sizeof(oid_ec)) ||
	    !is(der_take(&algorithm, DER_OID), oid_p256, sizeof(oid_p256)))
		return err_set(
		    e, "the key is neither RSA nor EC with the curve P-256");
	if (bits.len != TLS_POINT_SIZE || bits.p[0] != 4)
		return err_set(e, "the EC key is not an uncompressed point");
	key->kind = TLS_KEY_EC;
	key->bits = 256;
	key->point = bits;
	return 0;
}

size_t
tls_signature_size(const struct tls_public_key *key)
{
	return key->kind == TLS_KEY_EC ? TLS_ECDSA_MAX : key->modulus.len;
}

/* --- a chain ----------------------------------------------------------- */

static int
take_first(struct tls_certificate *c, const struct fields *f, struct err *e)
{
	struct span rest = f->names, name;

	if (read_key(&c->key, f->key_info, e) != 0)
		return -1;
	c->not_before = f->not_before;
	c->not_after = f->not_after;
	c->names = f->names;
	while (tls_certificate_next_name(&rest, &name))
		c->n_names++;
	if (rest.len > 0)
		return err_set(e, "the list of its names cannot be read");
	if (c->n_names > TLS_NAMES_MAX)
		return err_set(e, "it has more than %d names", TLS_NAMES_MAX);
	return 0;
}

static int
take_certificate(struct tls_certificate *c, struct span der,
    struct span *issuer, struct err *e)
{
	struct fields f;

	if (c->n_chain == TLS_CHAIN_MAX)
		return err_set(e, "more than %d certificates", TLS_CHAIN_MAX);
	if (read_fields(der, &f) != 0)
		return err_set(
		    e, "certificate %zu is not X.509 in DER", c->n_chain + 1);
	if (c->n_chain == 0) {
		if (take_first(c, &f, e) != 0)
			return -1;
	} else if (!span_equal(f.subject, *issuer))
		c->in_order = false;
	*issuer = f.issuer;
	c->to_root = span_equal(f.issuer, f.subject);
	c->chain[c->n_chain++] = der;
	return 0;
}

int
tls_certificate_parse(struct tls_certificate *c, struct span pem, void *memory,
    size_t size, struct err *e)
{
	struct writer out = writer_of(memory, size);
	char label[PEM_LABEL_SIZE];
	struct span der, issuer = {0};
	enum pem_result got;

	*c = (struct tls_certificate){.in_order = true};
	while ((got = pem_next(&pem, &out, label, &der)) == PEM_OBJECT) {
		if (strcmp(label, "CERTIFICATE") != 0 &&
		    strcmp(label, "X509 CERTIFICATE") != 0)
			return err_set(
			    e, "a \"%.40s\" among the certificates", label);
		if (take_certificate(c, der, &issuer, e) != 0)
			return -1;
	}
	if (got == PEM_BROKEN)
		return err_set(e, "broken PEM");
	if (c->n_chain == 0)
		return err_set(e, "there is no certificate in it");
	return 0;
}
