/*
 * choose.c - what a handshake is made with
 *
 * Pure.
 */
#include "tls/choose.h"

#include "base/array.h"

enum { SHA384 = 1, CHACHA20 = 2 };

/* In the order that we prefer. RFC 5289, RFC 7905. */
static const struct {
	uint16_t id;
	enum tls_key_kind kind;
	unsigned int flags;
	const char *name;
} suites[] = {
    {0xc02b, TLS_KEY_EC, 0, "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {0xc02c, TLS_KEY_EC, SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"},
    {0xcca9, TLS_KEY_EC, CHACHA20, "ECDHE-ECDSA-CHACHA20-POLY1305"},
    {0xc02f, TLS_KEY_RSA, 0, "ECDHE-RSA-AES128-GCM-SHA256"},
    {0xc030, TLS_KEY_RSA, SHA384, "ECDHE-RSA-AES256-GCM-SHA384"},
    {0xcca8, TLS_KEY_RSA, CHACHA20, "ECDHE-RSA-CHACHA20-POLY1305"},
};

static size_t
find(uint16_t id)
{
	size_t i = 0;

	while (i < ARRAY_LENGTH(suites) && suites[i].id != id)
		i++;
	return i;
}

const char *
tls_suite_name(uint16_t suite)
{
	size_t i = find(suite);

	return i < ARRAY_LENGTH(suites) ? suites[i].name : NULL;
}

static bool
has(uint16_t suite, unsigned int flag)
{
	size_t i = find(suite);

	return i < ARRAY_LENGTH(suites) && (suites[i].flags & flag) != 0;
}

bool
tls_suite_has_sha384(uint16_t suite)
{
	return has(suite, SHA384);
}

bool
tls_suite_has_chacha20(uint16_t suite)
{
	return has(suite, CHACHA20);
}

uint16_t
tls_signature_id(enum tls_key_kind kind, enum tls_hash hash)
{
	return (uint16_t)(((unsigned int)hash + 4u) << 8 |
			  (kind == TLS_KEY_RSA ? 1u : 3u));
}

static int
refuse(struct tls_failure *f, enum tls_reason reason, enum tls_alert alert,
    const char *text)
{
	*f = (struct tls_failure){reason, (uint8_t)alert, text};
	return -1;
}

int
tls_choose_check(const struct tls_hello *h, struct tls_failure *f)
{
	if (h->version < 0x0303)
		return refuse(f, TLS_REASON_VERSION, TLS_ALERT_PROTOCOL_VERSION,
		    "the client knows nothing newer than TLS 1.1");
	if (h->has_versions && !h->has_tls12)
		return refuse(f, TLS_REASON_VERSION, TLS_ALERT_PROTOCOL_VERSION,
		    "the client does not want TLS 1.2");
	if (!h->uncompressed)
		return refuse(f, TLS_REASON_BROKEN, TLS_ALERT_ILLEGAL_PARAMETER,
		    "the client insists on compression");
	if (h->has_alpn && !h->has_http11)
		return refuse(f, TLS_REASON_PROTOCOL,
		    TLS_ALERT_NO_APPLICATION_PROTOCOL,
		    "the client offers protocols, but not http/1.1");
	return 0;
}

static uint16_t
suite_at(const struct tls_hello *h, size_t at)
{
	return (uint16_t)(h->suites.p[at] << 8 | h->suites.p[at + 1]);
}

bool
tls_hello_offers(const struct tls_hello *h, uint16_t suite)
{
	for (size_t at = 0; at + 1 < h->suites.len; at += 2)
		if (suite_at(h, at) == suite)
			return true;
	return false;
}

/* Returns 0 when there is none. */
static uint16_t
choose_suite(const struct tls_hello *h, enum tls_key_kind kind, bool aes_first)
{
	for (size_t i = 0; aes_first && i < ARRAY_LENGTH(suites); i++)
		if (suites[i].kind == kind && tls_hello_offers(h, suites[i].id))
			return suites[i].id;
	for (size_t at = 0; !aes_first && at + 1 < h->suites.len; at += 2) {
		size_t i = find(suite_at(h, at));

		if (i < ARRAY_LENGTH(suites) && suites[i].kind == kind)
			return suites[i].id;
	}
	return 0;
}

static bool
choose_hash(
    const struct tls_hello *h, enum tls_key_kind kind, enum tls_hash *hash)
{
	for (unsigned int i = 0; i < TLS_HASHES; i++) {
		if ((h->signatures & TLS_SIGNATURE_BIT(kind, i)) == 0)
			continue;
		*hash = (enum tls_hash)i;
		return true;
	}
	return false;
}

/* A client's groups are also those of the keys it takes (RFC 8422 5.1). */
static bool
takes_key(const struct tls_hello *h, enum tls_key_kind kind)
{
	return kind == TLS_KEY_RSA || (h->groups & 1u << TLS_GROUP_P256) != 0;
}

int
tls_choose(const struct tls_hello *h, const struct tls_entry *entry,
    bool aes_first, struct tls_choice *choice, struct tls_failure *f)
{
	if ((h->groups & 1u << TLS_GROUP_X25519) != 0)
		choice->group = TLS_GROUP_X25519;
	else if ((h->groups & 1u << TLS_GROUP_P256) != 0)
		choice->group = TLS_GROUP_P256;
	else
		return refuse(f, TLS_REASON_SUITE, TLS_ALERT_HANDSHAKE_FAILURE,
		    "no group in common: X25519 or P-256");
	for (unsigned int i = 0; i < TLS_KEY_KINDS; i++) {
		enum tls_key_kind kind = (enum tls_key_kind)i;

		choice->identity = entry->of[kind];
		if (choice->identity == NULL || !takes_key(h, kind) ||
		    !choose_hash(h, kind, &choice->hash))
			continue;
		choice->suite = choose_suite(h, kind, aes_first);
		if (choice->suite != 0)
			return 0;
	}
	return refuse(f, TLS_REASON_SUITE, TLS_ALERT_HANDSHAKE_FAILURE,
	    "no suite and signature in common");
}
