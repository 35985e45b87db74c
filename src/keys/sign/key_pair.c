#include "keys/sign/key_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/arena.h"
#include "base/check.h"
#include "keys/sign/padding.h"

static void release_pkey(void *object)
{
	EVP_PKEY_free(object);
}

static void release_x509(void *object)
{
	X509_free(object);
}

static void release_bio(void *object)
{
	BIO_free(object);
}

static const struct fail *read_failed(struct arena *a, str path, int error, const char *doing)
{
	if (error == ENOENT)
		return fail_new(a, FAIL_INVALID, "there is no file %.*s", STR_ARG(path));
	return fail_because(a, fail_errno(a, error, doing), "cannot read %.*s", STR_ARG(path));
}

/* 0, or errno. */
static int drain(int fd, u8 *piece, struct buf *all)
{
	ssize_t n = 0;

	while (!all->full && (n = read(fd, piece, KEY_PAIR_PIECE)) > 0)
		buf_add(all, str_from(piece, (size_t)n));
	return n < 0 ? errno : 0;
}

const struct fail *key_pair_read(struct arena *a, struct arena *files, str path, str *out)
{
	struct buf *all = buf_new(files, KEY_PAIR_FILE);
	int fd = open(cstr(a, path) ?: "", O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		return read_failed(a, path, errno, "open");
	error = drain(fd, arena_alloc(files, KEY_PAIR_PIECE), all);
	fd_close(&fd);
	if (error)
		return read_failed(a, path, error, "read");
	if (all->full)
		return fail_new(a, FAIL_INVALID, "%.*s has more than %d bytes", STR_ARG(path),
				KEY_PAIR_FILE);
	*out = buf_str(all);
	return NULL;
}

/* Good as long as `files` lives. */
static const struct fail *open_pem(struct arena *a, struct arena *files, str path, BIO **out)
{
	str bytes;

	TRY(key_pair_read(a, files, path, &bytes));
	*out = BIO_new_mem_buf(bytes.n ? bytes.p : (const u8 *)"", (int)bytes.n);
	CHECK(*out != NULL);
	arena_own(files, release_bio, *out);
	return NULL;
}

static str certificate_der(struct arena *a, const X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	str copy;

	CHECK(n > 0);
	copy = str_copy(a, str_from(der, (size_t)n));
	OPENSSL_free(der);
	return copy;
}

/* DNS names of subjectAltName (RFC 6125 6.4), lower case. */
static size_t certificate_names(struct arena *a, const X509 *x, const str **out)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	str *names = arena_array_of(a, KEY_PAIR_NAMES, str);
	size_t n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && n < KEY_PAIR_NAMES; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		str name;
		if (g->type != GEN_DNS)
			continue;
		name = str_from(ASN1_STRING_get0_data(g->d.dNSName),
				(size_t)ASN1_STRING_length(g->d.dNSName));
		if (name.n && name.n <= 253 && !str_has(name, 0))
			names[n++] = str_lower(a, name);
	}
	GENERAL_NAMES_free(all);
	*out = names;
	return n;
}

/* What edges call the key: the first bytes of the hash of its public half. */
static u64 key_number(const EVP_PKEY *key)
{
	unsigned char *der = NULL;
	u8 digest[32];
	int n = i2d_PUBKEY(key, &der);
	u64 number;

	CHECK(n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL));
	OPENSSL_free(der);
	memcpy(&number, digest, sizeof number);
	return number;
}

static const struct fail *check_kind(struct arena *a, struct key_pair *k, str path)
{
	const EVP_PKEY *key = k->private_key;
	int bits = EVP_PKEY_get_bits(key);

	k->is_rsa = EVP_PKEY_is_a(key, "RSA");
	k->size = (size_t)EVP_PKEY_get_size(key);
	if (k->is_rsa && (bits < KEY_PAIR_RSA_MIN || bits > KEY_PAIR_RSA_MAX || bits % 8))
		return fail_new(a, FAIL_INVALID, "%.*s: an RSA key must have %d to %d bits",
				STR_ARG(path), KEY_PAIR_RSA_MIN, KEY_PAIR_RSA_MAX);
	if (!k->is_rsa && !EVP_PKEY_is_a(key, "EC"))
		return fail_new(a, FAIL_INVALID, "%.*s: expected an ECDSA or RSA key",
				STR_ARG(path));
	return NULL;
}

static const struct fail *load(struct arena *a, struct arena *files, str certificate_path,
			       str key_path, struct key_pair *out)
{
	static char no_passphrase[] = ""; /* nobody is there to be asked for one */
	str *chain = arena_array_of(a, KEY_PAIR_CHAIN, str);
	struct certificate *c = &out->certificate;
	BIO *certificates, *key;
	X509 *x;

	*out = (struct key_pair){ .certificate.chain = chain };
	TRY(open_pem(a, files, certificate_path, &certificates));
	TRY(open_pem(a, files, key_path, &key));
	out->private_key = PEM_read_bio_PrivateKey(key, NULL, NULL, no_passphrase);
	if (out->private_key == NULL)
		return fail_new(a, FAIL_INVALID, "%.*s holds no private key", STR_ARG(key_path));
	arena_own(a, release_pkey, out->private_key);
	TRY(check_kind(a, out, key_path));
	c->key = key_number(out->private_key);
	while (c->chain_n < KEY_PAIR_CHAIN &&
	       (x = PEM_read_bio_X509(certificates, NULL, NULL, NULL)) != NULL) {
		arena_own(a, release_x509, x);
		if (c->chain_n == 0 && X509_check_private_key(x, out->private_key) != 1)
			return fail_new(a, FAIL_INVALID, "%.*s is not the key of %.*s",
					STR_ARG(key_path), STR_ARG(certificate_path));
		if (c->chain_n == 0)
			c->names_n = certificate_names(a, x, &c->names);
		chain[c->chain_n++] = certificate_der(a, x);
	}
	ERR_clear_error(); /* the end of the file leaves one */
	if (c->chain_n == 0)
		return fail_new(a, FAIL_INVALID, "%.*s holds no certificate",
				STR_ARG(certificate_path));
	return NULL;
}

/* The files, and the buffers through which a key was read, are gone when it is loaded. */
const struct fail *key_pair_load(struct arena *a, str certificate_path, str key_path,
				 struct key_pair *out)
{
	struct arena *files = arena_new(KEY_PAIR_FILES_ARENA);
	const struct fail *f = load(a, files, certificate_path, key_path, out);

	arena_free(&files);
	return f;
}

/* A time that is none is long past. */
static i64 time_of(const ASN1_TIME *t)
{
	struct tm parts;

	return ASN1_TIME_to_tm(t, &parts) == 1 ? (i64)timegm(&parts) * 1000 : 0;
}

void key_pair_look(struct arena *a, const struct key_pair *k, str hostname,
		   struct key_pair_facts *out)
{
	str der = k->certificate.chain[0];
	const unsigned char *at = der.p;
	X509 *x = d2i_X509(NULL, &at, (long)der.n);

	CHECK(x != NULL);
	arena_own(a, release_x509, x);
	*out = (struct key_pair_facts){
		.not_before = time_of(X509_get0_notBefore(x)),
		.not_after = time_of(X509_get0_notAfter(x)),
		.is_for_host = X509_check_host(x, (const char *)hostname.p, hostname.n,
					       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1
	};
}

static const struct fail *write_new(struct arena *a, str path,
				    bool (*write)(BIO *, EVP_PKEY *, X509 *), EVP_PKEY *key,
				    X509 *x)
{
	int fd =
	    open(cstr(a, path) ?: "", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	BIO *bio;
	bool good;

	if (fd < 0)
		return fail_errno(a, errno, "making a self-signed certificate");
	bio = BIO_new_fd(fd, BIO_NOCLOSE);
	good = write(bio, key, x) && fsync(fd) == 0;
	BIO_free(bio);
	fd_close(&fd);
	return good ? NULL : fail_errno(a, errno, "writing a self-signed certificate");
}

static bool write_certificate(BIO *bio, EVP_PKEY *key, X509 *x)
{
	(void)key;
	return PEM_write_bio_X509(bio, x) == 1;
}

static bool write_key(BIO *bio, EVP_PKEY *key, X509 *x)
{
	(void)x;
	return PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
}

static void add_names(struct arena *a, X509 *x, str hostname)
{
	str value = str_format(a, "DNS:%.*s,DNS:localhost,IP:127.0.0.1,IP:::1", STR_ARG(hostname));
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, cstr(a, value));

	CHECK(e != NULL && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

const struct fail *key_pair_make(struct arena *a, str certificate_path, str key_path, str hostname)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	u64 serial;
	X509_NAME *name;

	CHECK(key != NULL && x != NULL);
	arena_own(a, release_pkey, key);
	arena_own(a, release_x509, x);
	serial = key_number(key) >> 1;
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -24 * 3600);
	X509_gmtime_adj(X509_getm_notAfter(x), (long)KEY_PAIR_SELF_SIGNED_DAYS * 24 * 3600);
	name = X509_get_subject_name(x);
	/* ub-common-name is 64 (RFC 5280 A.1); the names that count are in subjectAltName. */
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, hostname.p,
				   (int)(hostname.n > 64 ? 64 : hostname.n), -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	add_names(a, x, hostname);
	CHECK(X509_sign(x, key, EVP_sha256()) > 0);
	TRY(write_new(a, key_path, write_key, key, x));
	return write_new(a, certificate_path, write_certificate, key, x);
}

static bool scheme_fits(const struct key_pair *k, enum sign_scheme scheme, str digest)
{
	switch (scheme) {
	case SIGN_ECDSA_SHA256:
		return !k->is_rsa && digest.n == 32;
	case SIGN_ECDSA_SHA384:
		return !k->is_rsa && digest.n == 48;
	case SIGN_ECDSA_SHA512:
		return !k->is_rsa && digest.n == 64;
	case SIGN_RSA_RAW_PADDED:
		return k->is_rsa && digest.n == k->size &&
		       (padding_is_pkcs1(digest) || padding_is_pss(digest));
	}
	return false;
}

const struct fail *key_pair_sign(struct arena *a, const struct key_pair *k, enum sign_scheme scheme,
				 str digest, str *signature)
{
	EVP_PKEY_CTX *ctx;
	size_t n = (size_t)EVP_PKEY_get_size(k->private_key);
	u8 *out = arena_alloc(a, n);
	bool good;

	if (!scheme_fits(k, scheme, digest))
		return fail_new(a, FAIL_INVALID, "not a thing that a handshake signs");
	ctx = EVP_PKEY_CTX_new(k->private_key, NULL);
	good = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
	       (!k->is_rsa || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1) &&
	       EVP_PKEY_sign(ctx, out, &n, digest.p, digest.n) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (!good)
		return fail_new(a, FAIL_INTERNAL, "signing failed");
	*signature = str_from(out, n);
	return NULL;
}
