#include "verdict/dkim_canon.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/chars.h"
#include "base/check.h"
#include "verdict/dkim_canon_int.h"

/* OpenSSL 3.0 takes longer to find SHA-256 than to hash a short header: found once. */
static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	CHECK(sha256 != NULL);
}

const EVP_MD *dkim_sha256(void)
{
	pthread_once(&sha256_once, fetch_sha256);
	return sha256;
}

struct dkim_hash {
	EVP_MD_CTX *context;
};

static void release_context(void *object)
{
	EVP_MD_CTX_free(object);
}

struct dkim_hash *dkim_hash_new(struct arena *a)
{
	struct dkim_hash *h = arena_new_of(a, struct dkim_hash);

	h->context = EVP_MD_CTX_new();
	CHECK(h->context != NULL && EVP_DigestInit_ex2(h->context, dkim_sha256(), NULL));
	arena_own(a, release_context, h->context);
	return h;
}

void dkim_hash_write(struct dkim_hash *h, const u8 *p, size_t n)
{
	CHECK(EVP_DigestUpdate(h->context, p, n));
}

static void hash_write(void *context, const u8 *p, size_t n)
{
	dkim_hash_write(context, p, n);
}

struct dkim_sink dkim_hash_sink(struct dkim_hash *h)
{
	return (struct dkim_sink){ h, hash_write };
}

void dkim_hash_finish(struct dkim_hash *h, u8 digest[DKIM_DIGEST])
{
	CHECK(EVP_DigestFinal_ex(h->context, digest, NULL) &&
	      EVP_DigestInit_ex2(h->context, NULL, NULL));
}

void dkim_hash_peek(const struct dkim_hash *h, struct dkim_hash *scratch, u8 digest[DKIM_DIGEST])
{
	CHECK(EVP_MD_CTX_copy_ex(scratch->context, h->context) &&
	      EVP_DigestFinal_ex(scratch->context, digest, NULL));
}

/* Small writes put together: a call of OpenSSL costs as much as hashing a hundred bytes. */
void dkim_gather_flush(struct dkim_gather *g)
{
	if (g->n)
		g->sink.write(g->sink.context, g->bytes, g->n);
	g->n = 0;
}

void dkim_gather_add(struct dkim_gather *g, const u8 *p, size_t n)
{
	if (n > g->size - g->n)
		dkim_gather_flush(g);
	if (n > g->size / 2) {
		dkim_gather_flush(g);
		g->sink.write(g->sink.context, p, n);
		return;
	}
	if (n)
		memcpy(g->bytes + g->n, p, n);
	g->n += n;
}

static str without_crlf(str raw)
{
	return raw.n >= 2 && raw.p[raw.n - 2] == '\r' && raw.p[raw.n - 1] == '\n'
		   ? str_slice(raw, 0, raw.n - 2)
		   : raw;
}

/* RFC 6376 3.4.2: the value unfolded, each run of blanks one SP, none at the ends. */
struct relaxed {
	struct dkim_gather out;
	bool begun;
	bool blank;
};

static void relax_value(struct relaxed *r, str value)
{
	const u8 *p = value.p, *end, *run;

	if (value.n == 0) /* then p may be NULL, which takes no sum */
		return;
	end = p + value.n;
	while (p < end) {
		if (char_is(*p, CHAR_WSP)) {
			r->blank = r->begun;
			p++;
		} else if (*p == '\r' && p + 1 < end && p[1] == '\n') {
			p += 2;
		} else {
			for (run = p++; p < end && !char_is(*p, CHAR_WSP) && *p != '\r';)
				p++;
			if (r->blank)
				dkim_gather_add(&r->out, (const u8 *)" ", 1);
			dkim_gather_add(&r->out, run, (size_t)(p - run));
			r->blank = false;
			r->begun = true;
		}
	}
}

static void relax_name(struct relaxed *r, str name)
{
	while (name.n && char_is(name.p[name.n - 1], CHAR_WSP))
		name.n--;
	for (size_t i = 0; i < name.n; i++) {
		u8 c = char_lower(name.p[i]);
		dkim_gather_add(&r->out, &c, 1);
	}
	dkim_gather_add(&r->out, (const u8 *)":", 1);
}

/* The field without the bytes from `from` to `to`. */
static void canon_around(enum dkim_canon canon, str raw, size_t from, size_t to, bool last,
			 struct dkim_sink sink)
{
	str field = without_crlf(raw);
	size_t colon = str_find(field, ':');
	u8 bytes[DKIM_GATHER_FIELD];
	struct relaxed r = { .out = { .sink = sink, .bytes = bytes, .size = sizeof bytes } };

	if (canon == DKIM_SIMPLE) {
		dkim_gather_add(&r.out, field.p, from < field.n ? from : field.n);
		dkim_gather_add(&r.out, str_skip(field, to).p, str_skip(field, to).n);
	} else {
		relax_name(&r, str_slice(field, 0, colon));
		relax_value(&r, str_slice(field, colon + 1, from));
		relax_value(&r, str_skip(field, to > colon ? to : colon + 1));
	}
	if (!last)
		dkim_gather_add(&r.out, (const u8 *)"\r\n", 2);
	dkim_gather_flush(&r.out);
}

void dkim_canon_field(enum dkim_canon canon, str raw, bool last, struct dkim_sink sink)
{
	canon_around(canon, raw, raw.n, raw.n, last, sink);
}

void dkim_canon_signature(enum dkim_canon canon, str raw, struct dkim_sink sink)
{
	size_t at = str_find(raw, ':');

	while (at < raw.n) {
		str spec = str_skip(raw, at + 1); /* behind ':' or ';' */
		size_t equals = str_find(spec, '='), end = str_find(spec, ';');
		if (equals < end && str_eq(str_trim(str_slice(spec, 0, equals)), S("b"))) {
			size_t from = at + 1 + equals + 1;
			canon_around(canon, raw, from, end == SIZE_MAX ? raw.n : at + 1 + end, true,
				     sink);
			return;
		}
		at = end == SIZE_MAX ? raw.n : at + 1 + end;
	}
	canon_around(canon, raw, raw.n, raw.n, true, sink);
}
