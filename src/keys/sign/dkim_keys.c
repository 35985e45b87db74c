#include "keys/sign/dkim_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "text/address.h"
#include "text/encoding.h"

enum { DKIM_DIGEST = 32, ED25519_KEY = 32 };

struct entry {
	struct dkim_key_info info;
	EVP_PKEY *key; /* NULL: a file that holds none; only its name counts */
};

struct dkim_keys {
	struct arena *arena;
	str folder;
	struct entry entries[DKIM_KEYS_MAX];
	size_t n;
};

static const char *const states[] = {
	[DKIM_KEY_PUBLISHED] = "published",
	[DKIM_KEY_ACTIVE] = "active",
	[DKIM_KEY_RETIRING] = "retiring",
};

static const char *entry_path(const struct dkim_keys *k, struct arena *a,
			      const struct dkim_key_info *i, u8 state)
{
	return cstr(a, str_format(a, "%.*s/%.*s:%.*s:%s", STR_ARG(k->folder), STR_ARG(i->domain),
				  STR_ARG(i->selector), states[state]));
}

/* Names and their changes outlive a power cut. */
static const struct fail *sync_folder(const struct dkim_keys *k, struct arena *a)
{
	int fd = open(cstr(a, k->folder) ?: "", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return good ? NULL : fail_errno(a, errno, "keeping DKIM keys");
}

/* "v=DKIM1; k=rsa; p=..." (RFC 6376 3.6.1, RFC 8463 4). */
static str public_record(struct arena *a, EVP_PKEY *key, bool is_rsa)
{
	struct buf *text = buf_new(a, 4096);
	unsigned char *der = NULL;
	u8 raw[ED25519_KEY];
	size_t n = sizeof raw;

	buf_add(text, is_rsa ? S("v=DKIM1; k=rsa; p=") : S("v=DKIM1; k=ed25519; p="));
	if (is_rsa) {
		int der_n = i2d_PUBKEY(key, &der);
		CHECK(der_n > 0);
		base64_encode(text, str_from(der, (size_t)der_n));
		OPENSSL_free(der);
	} else {
		CHECK(EVP_PKEY_get_raw_public_key(key, raw, &n) == 1);
		base64_encode(text, str_from(raw, n));
	}
	return buf_str(text);
}

/* Takes key. */
static void entry_add(struct dkim_keys *k, str domain, str selector, u8 state, EVP_PKEY *key)
{
	struct entry *e = &k->entries[k->n++];
	bool is_rsa = key && EVP_PKEY_is_a(key, "RSA");

	e->key = key;
	e->info = (struct dkim_key_info){
		.domain = str_copy(k->arena, domain),
		.selector = str_copy(k->arena, selector),
		.algorithm = is_rsa ? S("rsa-sha256") : S("ed25519-sha256"),
		.state = state,
		.record = key ? public_record(k->arena, key, is_rsa) : STR_NONE,
	};
}

/* Of this name, a key or not. */
static struct entry *entry_named(const struct dkim_keys *k, str domain, str selector)
{
	for (size_t i = 0; i < k->n; i++)
		if (str_eq(k->entries[i].info.domain, domain) &&
		    str_eq(k->entries[i].info.selector, selector))
			return (struct entry *)(uintptr_t)&k->entries[i];
	return NULL;
}

static struct entry *entry_find(const struct dkim_keys *k, str domain, str selector)
{
	struct entry *e = entry_named(k, domain, selector);

	return e && e->key ? e : NULL;
}

/* --- the folder --- */

static bool is_of_ours(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_is_a(key, "RSA"))
		return bits >= DKIM_KEYS_RSA && bits <= DKIM_KEYS_RSA_MAX;
	return EVP_PKEY_is_a(key, "ED25519");
}

/* A regular file only: a pipe would hold us up. Nobody is there to ask for a passphrase. */
static EVP_PKEY *read_key(struct arena *a, const struct dkim_keys *k, str name)
{
	const char *path = cstr(a, str_format(a, "%.*s/%.*s", STR_ARG(k->folder), STR_ARG(name)));
	int fd = open(path ?: "", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	static char no_passphrase[] = "";
	EVP_PKEY *key = NULL;
	struct stat st;
	BIO *bio;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		bio = BIO_new_fd(fd, BIO_NOCLOSE);
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, no_passphrase);
		BIO_free(bio);
	}
	if (fd >= 0)
		close(fd);
	if (key && !is_of_ours(key)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_clear_error();
	return key;
}

static bool name_read(str name, str *domain, str *selector, u8 *state)
{
	struct scan s = scan_of(name);

	if (!scan_until(&s, ':', domain) || !scan_byte(&s, ':') || !scan_until(&s, ':', selector) ||
	    !scan_byte(&s, ':'))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (str_eq(s.rest, str_cstr(states[i]))) {
			*state = (u8)i;
			return domain_is_valid(*domain, false, false) &&
			       domain_is_valid(*selector, false, true);
		}
	}
	return false;
}

/* What begins with a dot is what a crash left while a key was being written. */
static void load_one(struct dkim_keys *k, struct arena *a, str name)
{
	str domain, selector;
	u8 state;
	EVP_PKEY *key = NULL;

	if (name.p[0] == '.')
		return;
	if (k->n < DKIM_KEYS_MAX && name_read(name, &domain, &selector, &state) &&
	    entry_named(k, domain, selector) == NULL) {
		key = read_key(a, k, name);
		entry_add(k, domain, selector, state, key);
	}
	if (key == NULL)
		LOG(WARN, "sign.bad_dkim_key", LOG_STR("file", name));
}

static void release_keys(void *object)
{
	struct dkim_keys *k = object;

	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->entries[i].key);
}

const struct fail *dkim_keys_open(struct arena *a, str folder, struct dkim_keys **out)
{
	struct dkim_keys *k = arena_new_of(a, struct dkim_keys);
	const char *path = cstr(a, folder);
	const struct dirent *d;
	DIR *dir;

	k->arena = a;
	k->folder = folder;
	arena_own(a, release_keys, k);
	if (path == NULL || (mkdir(path, 0700) != 0 && errno != EEXIST))
		return fail_errno(a, errno, "making the folder of DKIM keys");
	dir = opendir(path);
	if (dir == NULL)
		return fail_errno(a, errno, "opening the folder of DKIM keys");
	while ((d = readdir(dir)) != NULL)
		load_one(k, a, str_cstr(d->d_name));
	closedir(dir);
	LOG(INFO, "sign.dkim_keys", LOG_U64("keys", k->n));
	*out = k;
	return NULL;
}

/* --- making --- */

/* "p20261121r": the day, and r for RSA or e for Ed25519; a number when the day has more. */
static str new_selector(const struct dkim_keys *k, struct arena *a, str domain, u64 now, char kind)
{
	time_t seconds = (time_t)(now / 1000);
	struct tm day;
	str selector;

	gmtime_r(&seconds, &day);
	for (unsigned i = 1;; i++) {
		str more = i == 1 ? STR_NONE : str_format(a, "%u", i);
		selector = str_format(a, "p%04d%02d%02d%c%.*s", day.tm_year + 1900, day.tm_mon + 1,
				      day.tm_mday, kind, STR_ARG(more));
		if (entry_named(k, domain, selector) == NULL)
			return selector;
	}
}

/* One name for all: there is one writer, and what a crash left is written over. */
static const struct fail *write_key(struct arena *a, const struct dkim_keys *k, const char *path,
				    EVP_PKEY *key)
{
	const char *draft = cstr(a, str_format(a, "%.*s/.new", STR_ARG(k->folder))) ?: "";
	int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	BIO *bio = fd >= 0 ? BIO_new_fd(fd, BIO_NOCLOSE) : NULL;
	bool good = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
		    fsync(fd) == 0 && rename(draft, path ?: "") == 0;
	int error = errno;

	BIO_free(bio);
	if (fd >= 0)
		close(fd);
	if (!good && fd >= 0)
		unlink(draft);
	return good ? NULL : fail_errno(a, error, "writing a DKIM key");
}

static const struct fail *make_one(struct dkim_keys *k, struct arena *a, str domain, u64 now,
				   bool rsa)
{
	EVP_PKEY *key = rsa ? EVP_RSA_gen(DKIM_KEYS_RSA) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct dkim_key_info info = { .domain = domain,
				      .selector =
					  new_selector(k, a, domain, now, rsa ? 'r' : 'e') };
	const struct fail *f;

	CHECK(key != NULL);
	f = write_key(a, k, entry_path(k, a, &info, DKIM_KEY_PUBLISHED), key);
	if (f == NULL)
		entry_add(k, domain, info.selector, DKIM_KEY_PUBLISHED, key);
	else
		EVP_PKEY_free(key);
	return f;
}

const struct fail *dkim_keys_make(struct dkim_keys *k, struct arena *a, str domain, u64 now)
{
	const struct dkim_key_info *there;

	if (domain.n == 0 || !domain_is_valid(domain, false, false) ||
	    !str_eq(domain, str_lower(a, domain)) || domain.p[domain.n - 1] == '.')
		return fail_new(a, FAIL_INVALID, "this is not the name of a domain");
	if (k->n + 2 > DKIM_KEYS_MAX || dkim_keys_list(k, a, domain, &there) + 2 > DKIM_KEYS_DOMAIN)
		return fail_new(a, FAIL_LIMIT, "too many DKIM keys: remove old ones first");
	TRY(make_one(k, a, domain, now, true));
	TRY(make_one(k, a, domain, now, false));
	return sync_folder(k, a);
}

size_t dkim_keys_list(const struct dkim_keys *k, struct arena *a, str domain,
		      const struct dkim_key_info **out)
{
	struct dkim_key_info *list = arena_array_of(a, k->n, struct dkim_key_info);
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++)
		if (k->entries[i].key &&
		    (domain.n == 0 || str_eq(k->entries[i].info.domain, domain)))
			list[n++] = k->entries[i].info;
	*out = list;
	return n;
}

/* --- states and signatures --- */

static const struct fail *remove_key(struct dkim_keys *k, struct arena *a, struct entry *e)
{
	if (unlink(entry_path(k, a, &e->info, e->info.state) ?: "") != 0)
		return fail_errno(a, errno, "removing a DKIM key");
	EVP_PKEY_free(e->key);
	*e = k->entries[--k->n];
	return sync_folder(k, a);
}

const struct fail *dkim_keys_state(struct dkim_keys *k, struct arena *a, str domain, str selector,
				   enum dkim_key_state state)
{
	struct entry *e = entry_find(k, domain, selector);

	if (e == NULL)
		return fail_new(a, FAIL_NOT_FOUND, "there is no such DKIM key");
	if (state == DKIM_KEY_REMOVED)
		return remove_key(k, a, e);
	if (state > DKIM_KEY_REMOVED || state != e->info.state + 1u)
		return fail_new(a, FAIL_INVALID, "a key goes published, active, retiring, removed");
	if (rename(entry_path(k, a, &e->info, e->info.state) ?: "",
		   entry_path(k, a, &e->info, (u8)state) ?: "") != 0)
		return fail_errno(a, errno, "changing the state of a DKIM key");
	e->info.state = (u8)state;
	return sync_folder(k, a);
}

static bool sign_rsa(EVP_PKEY *key, str digest, u8 *out, size_t *n)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	bool good = c && EVP_PKEY_sign_init(c) == 1 &&
		    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1 &&
		    EVP_PKEY_sign(c, out, n, digest.p, digest.n) == 1;

	EVP_PKEY_CTX_free(c);
	return good;
}

static bool sign_ed25519(EVP_PKEY *key, str digest, u8 *out, size_t *n)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool good = c && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestSign(c, out, n, digest.p, digest.n) == 1;

	EVP_MD_CTX_free(c);
	return good;
}

const struct fail *dkim_keys_sign(const struct dkim_keys *k, struct arena *a, str domain,
				  str selector, str digest, str *signature)
{
	const struct entry *e = entry_find(k, domain, selector);
	size_t n = DKIM_KEYS_RSA_MAX / 8;
	u8 *out = arena_alloc(a, n);
	bool good;

	if (e == NULL || e->info.state != DKIM_KEY_ACTIVE)
		return fail_new(a, FAIL_DENIED, "no active DKIM key of this domain");
	if (digest.n != DKIM_DIGEST)
		return fail_new(a, FAIL_INVALID, "not a thing that DKIM signs");
	if (EVP_PKEY_is_a(e->key, "RSA"))
		good = sign_rsa(e->key, digest, out, &n);
	else
		good = sign_ed25519(e->key, digest, out, &n);
	ERR_clear_error();
	if (!good)
		return fail_new(a, FAIL_INTERNAL, "signing failed");
	*signature = str_from(out, n);
	return NULL;
}
