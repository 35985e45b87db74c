/*
 * The certificates at one time: immutable once made, counted, freed when the last connection made under them ends. So certificates are
 * replaced without dropping a connection (THREATS T11, F28).
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "base/log.h"
#include "serve/tls_int.h"

enum { SET_BUDGET = 8 << 20 };

/* --- Finding ------------------------------------------------------------------------------------------------------ */

/* RFC 9525 6.3: a wildcard is the whole leftmost label, and stands for exactly one. */
static bool name_matches(str pattern, str name)
{
	size_t dot = str_find(name, '.');

	if (!str_starts(pattern, S("*.")))
		return str_eq_nocase(pattern, name);
	return dot != SIZE_MAX && dot > 0 &&
	       str_eq_nocase(str_skip(pattern, 1), str_skip(name, dot));
}

static const struct tls_entry *entry_find(const struct tls_set *s, str name)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->entries[i].names_n; k++)
			if (name_matches(s->entries[i].names[k], name))
				return &s->entries[i];
	return NULL;
}

SSL_CTX *tls_set_find(const struct tls_set *s, str name)
{
	const struct tls_entry *e = name.n ? entry_find(s, name) : NULL;

	return e ? e->context : NULL;
}

/* --- Making ------------------------------------------------------------------------------------------------------- */

static X509 *parse(str der)
{
	const u8 *p = der.p;

	return der.n <= LONG_MAX ? d2i_X509(NULL, &p, (long)der.n) : NULL;
}

static STACK_OF(X509) * parse_rest(const struct certificate *c)
{
	STACK_OF(X509) *rest = sk_X509_new_null();

	for (size_t i = 1; rest && i < c->chain_n; i++) {
		X509 *x = parse(c->chain[i]);
		if (x == NULL || sk_X509_push(rest, x) == 0) {
			X509_free(x);
			sk_X509_pop_free(rest, X509_free);
			return NULL;
		}
	}
	return rest;
}

static bool use(struct tls_set *s, const struct tls_signer *signer, SSL_CTX *context,
		const struct certificate *c)
{
	X509 *leaf = c->chain_n ? parse(c->chain[0]) : NULL;
	STACK_OF(X509) *rest = leaf ? parse_rest(c) : NULL;
	EVP_PKEY *public = leaf ? X509_get0_pubkey(leaf) : NULL;
	EVP_PKEY *key = public ? tls_key_new(s->arena, signer, c->key, public) : NULL;
	bool used = key && rest && SSL_CTX_use_cert_and_key(context, leaf, key, rest, 1) == 1;

	EVP_PKEY_free(key);
	sk_X509_pop_free(rest, X509_free);
	X509_free(leaf);
	ERR_clear_error();
	return used;
}

/* An entry that has the same first name, which is how an RSA and an ECDSA certificate of one host stand side by side. */
static struct tls_entry *entry_same(struct tls_set *s, const struct certificate *c)
{
	for (size_t i = 0; i < s->n; i++)
		if (c->names_n && s->entries[i].names_n &&
		    str_eq(s->entries[i].names[0], c->names[0]))
			return &s->entries[i];
	return NULL;
}

static struct tls_entry *entry_new(struct tls_set *s, struct tls_server *t,
				   const struct certificate *c)
{
	struct tls_entry *e = &s->entries[s->n];
	str *names = arena_array_of(s->arena, c->names_n, str);

	for (size_t i = 0; i < c->names_n; i++)
		names[i] = str_copy(s->arena, c->names[i]);
	*e = (struct tls_entry){ .names = names,
				 .names_n = c->names_n,
				 .context = tls_context_new(t) };
	if (e->context)
		s->n++;
	return e->context ? e : NULL;
}

static void add(struct tls_set *s, struct tls_server *t, const struct certificate *c)
{
	struct tls_entry *same = entry_same(s, c), *e = same ? same : entry_new(s, t, c);

	if (e && use(s, t->signer, e->context, c)) {
		if (s->first == NULL || c->is_default)
			s->first = e->context;
		return;
	}
	if (e && same == NULL) {
		s->n--;
		SSL_CTX_free(e->context);
	}
	LOG(ERROR, "tls.certificate", LOG_STR("name", c->names_n ? c->names[0] : S("")),
	    LOG_U64("key", c->key));
}

const struct fail *tls_set_new(struct arena *a, struct tls_server *t,
			       const struct certificate *certificates, size_t n,
			       struct tls_set **out)
{
	struct arena *own = arena_new(SET_BUDGET);
	struct tls_set *s = arena_new_of(own, struct tls_set);

	atomic_init(&s->holders, 1);
	s->arena = own;
	s->entries = arena_array_of(own, n, struct tls_entry);
	for (size_t i = 0; i < n; i++)
		add(s, t, &certificates[i]);
	if (s->first == NULL) {
		tls_set_drop(&s);
		return fail_new(a, FAIL_INVALID, "no certificate that can be used");
	}
	*out = s;
	return NULL;
}

void tls_set_drop(struct tls_set **at)
{
	struct tls_set *s = *at;
	struct arena *own;

	*at = NULL;
	if (s == NULL || atomic_fetch_sub(&s->holders, 1) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		SSL_CTX_free(s->entries[i].context);
	own = s->arena;
	arena_free(&own);
}
