/*
 * set.h - all certificates of a server, found by the name a client asks for
 *
 * A set is filled once, then only read; a reload makes another. It is counted
 * how many use it, because a handshake that began with the old set ends with
 * it: whoever keeps a set holds it, the last one that releases frees it.
 *
 * A name finds its own certificates first, then those of the wildcard of its
 * parent domain, then the default pair, if there is one: of each kind of key
 * the one that ends last. One that is outside of its dates gives way to any
 * that covers the name and is not; when all are, it may be the clock that is
 * wrong, and they are served as if all were valid.
 */
#ifndef TLS_SET_H
#define TLS_SET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "tls/certificate.h"

struct tls_set;

struct tls_identity {
	struct tls_certificate certificate;
	uint32_t key_id; /* what the keeper calls the key */
};

/* now: Unix seconds, as everywhere here. */
bool tls_identity_is_valid(const struct tls_identity *identity, int64_t now);

/* What is served for a name, by kind of key; NULL: none of this kind. At least
 * one is not. Borrowed from the set. */
struct tls_entry {
	const struct tls_identity *of[TLS_KEY_KINDS];
};

/* Owner: the caller, who holds it. NULL: no memory. */
struct tls_set *tls_set_new(const struct hash_key *key);

/*
 * A chain that was read, and the number of its key. Reading is what takes long
 * (most of it is PEM); many sets, one after another, may have the same chain.
 * Owner: who has made or held it releases it; NULL is taken there.
 */
struct tls_chain;
struct tls_chain *tls_chain_new(
    struct span pem, uint32_t key_id, struct err *e);
struct tls_chain *tls_chain_hold(struct tls_chain *c);
void tls_chain_release(struct tls_chain *c);

/*
 * Enters a chain under each of its names, and under name when that is not
 * empty: a certificate without alternative names is served for the name that
 * it was stored under. -1: no memory; the set is as before. Owner: the set
 * holds it for itself.
 */
int tls_set_enter(
    struct tls_set *s, struct tls_chain *c, struct span name, struct err *e);
/*
 * The same for one name alone, whatever names are in it, and only when the set
 * has nothing for that name yet but the default; otherwise the chain is not
 * held.
 */
int tls_set_enter_where_none(
    struct tls_set *s, struct tls_chain *c, struct span name, struct err *e);
/* The same as tls_set_enter, as the default: for unknown names, and clients
 * without SNI. */
int tls_set_enter_default(
    struct tls_set *s, struct tls_chain *c, struct err *e);

/* Both at once: a chain that only this set has. */
int tls_set_add(struct tls_set *s, struct span pem, uint32_t key_id,
    struct span name, struct err *e);
int tls_set_add_default(
    struct tls_set *s, struct span pem, uint32_t key_id, struct err *e);

/*
 * What is served for a name now; false: nothing. Without case, a trailing dot
 * ignored. An empty name gives the default.
 */
bool tls_set_find(const struct tls_set *s, struct span name, int64_t now,
    struct tls_entry *entry);
/* Whether there is anything for a name but the default, be it valid or not. */
bool tls_set_covers(const struct tls_set *s, struct span name);

/* For reports: all identities, in the order they were added. */
size_t tls_set_size(const struct tls_set *s);
const struct tls_identity *tls_set_at(const struct tls_set *s, size_t i);

struct tls_set *tls_set_hold(struct tls_set *s);
/* NULL is taken. */
void tls_set_release(struct tls_set *s);

#endif
