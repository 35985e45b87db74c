/*
 * Public keys. The DER of an RSA key is read here, not by OpenSSL's decoders: they would read any kind of key that a stranger
 * publishes (CVE-2022-0778 was an endless loop in one), and take longer than the signature's check.
 */
#include "verdict/dkim_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "text/address.h"
#include "text/dns_rdata.h"
#include "text/encoding.h"
#include "verdict/dkim_canon_int.h"
#include "verdict/dkim_tag.h"

enum { RSA_EXPONENT = 8 /* bytes: larger ones only cost time (D05) */, ED25519_KEY = 32 };

static enum dkim_result refuse(enum dkim_result result, str *reason, str why)
{
	*reason = why;
	return result;
}

/* --- DER --- */

/* One element of this tag, its length in the shortest form (X.690 10.1). */
static bool der_take(str *rest, u8 tag, str *content)
{
	size_t n, head = 2;

	if (rest->n < 2 || rest->p[0] != tag)
		return false;
	n = rest->p[1];
	if (n >= 0x80) {
		size_t bytes = n & 0x7F;
		if (bytes < 1 || bytes > 2 || rest->n < 2 + bytes)
			return false;
		n = bytes == 1 ? rest->p[2] : (size_t)(rest->p[2] << 8 | rest->p[3]);
		head += bytes;
		if (n < (bytes == 1 ? 0x80u : 0x100u))
			return false;
	}
	if (rest->n - head < n)
		return false;
	*content = str_slice(*rest, head, head + n);
	*rest = str_skip(*rest, head + n);
	return true;
}

/* A positive INTEGER without its leading zero. */
static bool der_number(str *rest, str *number)
{
	if (!der_take(rest, 0x02, number) || number->n == 0 || number->p[0] & 0x80)
		return false;
	if (number->n > 1 && number->p[0] == 0)
		*number = str_skip(*number, 1);
	return number->p[0] != 0;
}

/* RFC 8017 A.1.1 RSAPublicKey, bare or in a SubjectPublicKeyInfo: RFC 6376 says the one, everybody publishes the other. */
static bool rsa_read(str der, str *modulus, str *exponent)
{
	static const u8 rsa_oid[] = { 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86,
				      0xF7, 0x0D, 0x01, 0x01, 0x01 };
	str outer, algorithm, bits, key;

	if (!der_take(&der, 0x30, &outer) || der.n)
		return false;
	key = outer;
	if (der_take(&key, 0x30, &algorithm)) {
		if (!str_starts(algorithm, str_from(rsa_oid, sizeof rsa_oid)) ||
		    !der_take(&key, 0x03, &bits) || key.n || bits.n == 0 || bits.p[0] != 0)
			return false;
		bits = str_skip(bits, 1);
		if (!der_take(&bits, 0x30, &key) || bits.n)
			return false;
	}
	return der_number(&key, modulus) && der_number(&key, exponent) && key.n == 0;
}

/* --- keys --- */

static void release_key(void *object)
{
	EVP_PKEY_free(object);
}

static void release_check(void *object)
{
	EVP_PKEY_CTX_free(object);
}

/* Ready for any number of checks, one at a time; NULL when OpenSSL will not. */
static EVP_PKEY_CTX *rsa_check_make(EVP_PKEY *key)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);

	if (c && EVP_PKEY_verify_init(c) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(c, dkim_sha256()) == 1)
		return c;
	EVP_PKEY_CTX_free(c);
	return NULL;
}

static void reverse(u8 *to, str from)
{
	for (size_t i = 0; i < from.n; i++)
		to[i] = from.p[from.n - 1 - i];
}

/* OSSL_PARAM integers are in the machine's order. */
static EVP_PKEY *rsa_make(str modulus, str exponent)
{
	u8 n[DKIM_RSA_MAX / 8], e[RSA_EXPONENT];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n, modulus.n),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e, exponent.n),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "reverse() is for this order");
	reverse(n, modulus);
	reverse(e, exponent);
	CHECK(context != NULL);
	if (EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	return key;
}

static enum dkim_result rsa_key(struct dkim_key *out, str der, str *reason)
{
	str modulus, exponent;

	if (!rsa_read(der, &modulus, &exponent))
		return refuse(DKIM_PERMERROR, reason, S("p= in the key record is not an RSA key"));
	out->bits = (u32)modulus.n * 8 - (u32)(__builtin_clz(modulus.p[0]) - 24);
	if (out->bits < DKIM_RSA_MIN)
		return refuse(DKIM_POLICY, reason, S("the RSA key is shorter than 1024 bits"));
	if (out->bits > DKIM_RSA_MAX)
		return refuse(DKIM_POLICY, reason, S("the RSA key is longer than 4096 bits"));
	if (exponent.n > RSA_EXPONENT || !(exponent.p[exponent.n - 1] & 1) ||
	    (exponent.n == 1 && exponent.p[0] < 3) || !(modulus.p[modulus.n - 1] & 1))
		return refuse(DKIM_PERMERROR, reason, S("the RSA key is not a sound one"));
	out->public_key = rsa_make(modulus, exponent);
	return DKIM_NONE;
}

static enum dkim_result ed25519_key(struct dkim_key *out, str raw, str *reason)
{
	out->is_ed25519 = true;
	if (raw.n != ED25519_KEY) /* RFC 8463 4: the bare 32 bytes */
		return refuse(DKIM_PERMERROR, reason,
			      S("p= in the key record is not an Ed25519 key"));
	out->bits = 256;
	out->public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw.p, raw.n);
	return DKIM_NONE;
}

/* --- the record, RFC 6376 3.6.1 --- */

static bool list_has(str list, str word)
{
	str item;

	while (dkim_tag_item(&list, &item))
		if (str_eq(item, word))
			return true;
	return false;
}

static enum dkim_result check_use(const struct dkim_tags *t, str *reason)
{
	str v;

	if (dkim_tags_find(t, S("v"), &v) &&
	    (!str_eq(v, S("DKIM1")) || !str_eq(t->list[0].name, S("v"))))
		return refuse(DKIM_PERMERROR, reason, S("the key record is not of version DKIM1"));
	if (dkim_tags_find(t, S("h"), &v) && !list_has(v, S("sha256")))
		return refuse(DKIM_PERMERROR, reason, S("the key is not for SHA-256"));
	if (dkim_tags_find(t, S("s"), &v) && !list_has(v, S("*")) && !list_has(v, S("email")))
		return refuse(DKIM_PERMERROR, reason, S("the key is not for mail"));
	return DKIM_NONE;
}

static enum dkim_result read_public(struct arena *a, const struct dkim_tags *t,
				    struct dkim_key *out, str *reason)
{
	str p, k = S("rsa");
	struct buf *bytes;
	enum dkim_result r;

	(void)dkim_tags_find(t, S("k"), &k);
	if (!dkim_tags_find(t, S("p"), &p))
		return refuse(DKIM_PERMERROR, reason, S("the key record has no p="));
	if (p.n == 0)
		return refuse(DKIM_PERMERROR, reason, S("the key was revoked"));
	p = dkim_tag_squeeze(a, p);
	bytes = buf_new(a, p.n + 3);
	if (!base64_decode(bytes, p))
		return refuse(DKIM_PERMERROR, reason, S("p= in the key record is not base64"));
	if (str_eq(k, S("rsa")))
		r = rsa_key(out, buf_str(bytes), reason);
	else if (str_eq(k, S("ed25519")))
		r = ed25519_key(out, buf_str(bytes), reason);
	else
		return refuse(DKIM_PERMERROR, reason, S("the key is of an unknown kind"));
	if (r == DKIM_NONE && out->public_key == NULL)
		r = refuse(DKIM_PERMERROR, reason, S("the key cannot be used"));
	ERR_clear_error();
	return r;
}

static enum dkim_result parse(struct arena *a, str record, struct dkim_key *out, str *reason)
{
	struct dkim_tags t;
	const char *why;
	enum dkim_result r;
	str flags;

	if (record.n > DKIM_KEY_RECORD)
		return refuse(DKIM_PERMERROR, reason, S("the key record is too long"));
	why = dkim_tags_parse(a, record, &t);
	if (why)
		return refuse(DKIM_PERMERROR, reason,
			      str_format(a, "the key record is not a tag list: %s", why));
	if (dkim_tags_find(&t, S("t"), &flags)) {
		out->testing = list_has(flags, S("y"));
		out->strict = list_has(flags, S("s"));
	}
	r = check_use(&t, reason);
	if (r == DKIM_NONE)
		r = read_public(a, &t, out, reason);
	return r;
}

/* --- the records of the last senders --- */

/*
 * Making a key from its numbers, and what OpenSSL works out at its first use, takes as long as a check of a signature. A memo of a pure
 * function, by all bytes of the record: what is found is what parse() would make. Who sends many keys only drives others out.
 */
struct kept_key {
	pthread_mutex_t lock; /* of the members below */
	struct dkim_key key;  /* public_key NULL: empty */
	size_t n;
	u8 record[DKIM_KEPT_RECORD];
};

static struct kept_key kept[DKIM_KEYS_KEPT];
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;

static void kept_init(void)
{
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		CHECK(pthread_mutex_init(&kept[i].lock, NULL) == 0);
}

static struct kept_key *kept_lock(str record)
{
	struct kept_key *k = &kept[crc32c(0, record) % ARRAY_LEN(kept)];

	pthread_once(&kept_once, kept_init);
	pthread_mutex_lock(&k->lock);
	return k;
}

/* A second owner of the same key; checks under way need a context each. */
static struct dkim_key key_share(const struct dkim_key *k)
{
	struct dkim_key mine = *k;

	CHECK(EVP_PKEY_up_ref(mine.public_key) == 1);
	if (k->check)
		mine.check = EVP_PKEY_CTX_dup(k->check);
	return mine;
}

static bool kept_find(str record, struct dkim_key *out)
{
	struct kept_key *k = kept_lock(record);
	bool found = k->key.public_key && str_eq(str_from(k->record, k->n), record);

	if (found)
		*out = key_share(&k->key);
	pthread_mutex_unlock(&k->lock);
	return found;
}

static void kept_put(str record, const struct dkim_key *key)
{
	struct kept_key *k = kept_lock(record);

	EVP_PKEY_CTX_free(k->key.check);
	EVP_PKEY_free(k->key.public_key);
	k->key = key_share(key);
	k->n = record.n;
	memcpy(k->record, record.p, record.n);
	pthread_mutex_unlock(&k->lock);
}

enum dkim_result dkim_key_parse(struct arena *a, str record, struct dkim_key *out, str *reason)
{
	bool keep = record.n && record.n <= DKIM_KEPT_RECORD, found;
	enum dkim_result r = DKIM_NONE;

	*out = (struct dkim_key){ 0 };
	found = keep && kept_find(record, out);
	if (!found)
		r = parse(a, record, out, reason);
	if (r == DKIM_NONE && !out->is_ed25519 && out->check == NULL)
		out->check = rsa_check_make(out->public_key);
	if (out->check)
		arena_own(a, release_check, out->check);
	if (out->public_key)
		arena_own(a, release_key, out->public_key);
	if (r == DKIM_NONE && keep && !found)
		kept_put(record, out);
	return r;
}

/* --- DNS --- */

static bool name_to_ascii(struct arena *a, str name, str *out)
{
	*out = name;
	return str_is_ascii(name) || domain_to_ascii(a, name, out) == NULL;
}

/* RFC 6376 3.6.2.1, RFC 8553. */
static bool key_name(struct arena *a, str selector, str domain, str *out)
{
	if (!name_to_ascii(a, selector, &selector) || !name_to_ascii(a, domain, &domain))
		return false;
	*out = str_format(a, "%.*s._domainkey.%.*s", STR_ARG(selector), STR_ARG(domain));
	return out->n <= RDATA_NAME_TEXT;
}

/* RFC 6376 6.1.2: of several records one may be chosen; each that could be it is. The first one's fault is the reason when none can. */
static enum dkim_result keys_read(struct arena *a, const struct dns_answer *answer,
				  enum dkim_algorithm algorithm, struct dkim_keys *out, str *reason)
{
	enum dkim_result worst = DKIM_NONE;

	for (size_t i = 0; i < answer->records_n && i < DKIM_KEYS_TRIED; i++) {
		struct dkim_key *k = &out->list[out->n];
		str record, why = STR_NONE;
		enum dkim_result r = DKIM_PERMERROR;
		if (!rdata_txt(a, answer->records[i], &record))
			why = S("the key record cannot be read");
		else
			r = dkim_key_parse(a, record, k, &why);
		if (r == DKIM_NONE && k->is_ed25519 != (algorithm == DKIM_ED25519_SHA256))
			r = refuse(DKIM_PERMERROR, &why, S("the key is for another algorithm"));
		out->n += r == DKIM_NONE;
		if (r != DKIM_NONE && worst == DKIM_NONE)
			worst = refuse(r, reason, why);
	}
	if (out->n)
		return DKIM_NONE;
	return worst ? worst : refuse(DKIM_PERMERROR, reason, S("there is no key in DNS"));
}

enum dkim_result dkim_keys_find(struct arena *a, const struct dns_source *dns, str selector,
				str domain, enum dkim_algorithm algorithm, struct dkim_keys *out,
				str *reason)
{
	struct dns_answer answer = { .status = DNS_TEMPFAIL };

	*out = (struct dkim_keys){ 0 };
	if (!key_name(a, selector, domain, &out->name)) {
		out->name = STR_NONE;
		return refuse(DKIM_PERMERROR, reason, S("no key can be at this name"));
	}
	dns->query(dns->context, a, out->name, DNS_TYPE_TXT, &answer);
	out->dns = answer.status;
	out->secure = answer.secure;
	switch (answer.status) {
	case DNS_OK:
		return keys_read(a, &answer, algorithm, out, reason);
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		return refuse(DKIM_PERMERROR, reason, S("there is no key in DNS"));
	case DNS_OVER_RATE:
		return refuse(
		    DKIM_TEMPERROR, reason,
		    S("not asked, mail of its domain takes too many DNS questions a minute"));
	case DNS_TEMPFAIL:
	case DNS_BOGUS:
		break;
	}
	return refuse(DKIM_TEMPERROR, reason, S("DNS gave no answer about the key"));
}

/* --- the check --- */

static bool rsa_verify(EVP_PKEY_CTX *check, const u8 *digest, str signature)
{
	return check && EVP_PKEY_verify(check, signature.p, signature.n, digest, DKIM_DIGEST) == 1;
}

/* RFC 8463 3: PureEdDSA over the SHA-256 digest. */
static bool ed25519_verify(EVP_PKEY *key, const u8 *digest, str signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestVerify(context, signature.p, signature.n, digest, DKIM_DIGEST) == 1;

	EVP_MD_CTX_free(context);
	return good;
}

bool dkim_key_verify(const struct dkim_key *k, const u8 digest[DKIM_DIGEST], str signature)
{
	bool good = k->is_ed25519 ? ed25519_verify(k->public_key, digest, signature)
				  : rsa_verify(k->check, digest, signature);

	ERR_clear_error();
	return good;
}

void dkim_prepare(void)
{
	static const u8 point[ED25519_KEY] = { 1 };
	static const u8 digest[DKIM_DIGEST];
	EVP_PKEY_CTX *rsa = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, sizeof point);

	CHECK(dkim_sha256() != NULL && rsa != NULL && key != NULL);
	(void)ed25519_verify(key, digest, S("no signature"));
	EVP_PKEY_CTX_free(rsa);
	EVP_PKEY_free(key);
	ERR_clear_error();
}
