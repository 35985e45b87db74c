/*
 * Our DKIM for dkim_diff.py: jobs on standard input, one answer each on standard output.
 *
 *	verify ZONE MESSAGE PIECE NOW\n bytes      ZONE, MESSAGE: lengths; the zone is "name TAB text" lines; PIECE: bytes fed at once
 *	sign KEY MESSAGE PIECE NOW ALGORITHM HEADER-CANON BODY-CANON DOMAIN SELECTOR LENGTH NAMES\n bytes
 *
 * Answers: "result<TAB>reason<TAB>..." for all signatures on one line; or the length of the field on a line, then the field.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "text/header.h"
#include "verdict/dkim.h"
#include "verdict/sign_test.h"
#include "verdict/zone_test.h"

enum { ARENA = 64 << 20, LINE = 8192, RECORDS = 16 };

static str read_bytes(struct arena *a, size_t n)
{
	u8 *p = arena_alloc(a, n + 1);

	CHECK(fread(p, 1, n, stdin) == n);
	return str_from(p, n);
}

/* "name TAB text" lines. */
static struct zone read_zone(struct arena *a, str text)
{
	struct zone_record *records = arena_array_of(a, RECORDS, struct zone_record);
	struct zone z = { .records = records, .missing = DNS_NXDOMAIN };

	while (text.n && z.n < RECORDS) {
		str line = str_slice(text, 0, str_find(text, '\n'));
		size_t tab = str_find(line, '\t');
		records[z.n++] = (struct zone_record){ cstr(a, str_slice(line, 0, tab)),
						       cstr(a, str_skip(line, tab + 1)) };
		text = str_skip(text, line.n + 1);
	}
	return z;
}

static void verify(struct arena *a, char **word)
{
	struct zone zone = read_zone(a, read_bytes(a, strtoul(word[1], NULL, 10)));
	str message = read_bytes(a, strtoul(word[2], NULL, 10));
	size_t piece = strtoul(word[3], NULL, 10), head = header_length(message);
	struct dns_source dns = { &zone, zone_query };
	struct dkim_verifier *v = dkim_verifier_new(a, str_slice(message, 0, head));
	struct dkim_verdicts out;

	for (str rest = str_skip(message, head); rest.n; rest = str_skip(rest, piece))
		dkim_verifier_body(v, str_slice(rest, 0, piece));
	dkim_verifier_finish(v, &dns, strtoull(word[4], NULL, 10), &out);
	for (size_t i = 0; i < out.n; i++)
		printf("%s%.*s\t%.*s", i ? "\t" : "", STR_ARG(dkim_result_name(out.list[i].result)),
		       STR_ARG(out.list[i].reason));
	printf("\n");
}

static size_t split_names(struct arena *a, char *text, const str **out)
{
	str *names = arena_array_of(a, LINE, str);
	size_t n = 0;

	if (strcmp(text, "-") == 0)
		return 0;
	for (char *save = NULL, *w = strtok_r(text, ":", &save); w; w = strtok_r(NULL, ":", &save))
		names[n++] = str_cstr(w);
	*out = names;
	return n;
}

static void sign(struct arena *a, char **word)
{
	str pem = read_bytes(a, strtoul(word[1], NULL, 10));
	str message = read_bytes(a, strtoul(word[2], NULL, 10));
	size_t piece = strtoul(word[3], NULL, 10), head = header_length(message);
	struct dkim_sign_options o = {
		.header_canon = strcmp(word[6], "relaxed") == 0 ? DKIM_RELAXED : DKIM_SIMPLE,
		.body_canon = strcmp(word[7], "relaxed") == 0 ? DKIM_RELAXED : DKIM_SIMPLE,
		.now = strtoull(word[4], NULL, 10),
		.with_length = word[10][0] == '1',
	};
	struct dkim_identity who = { str_cstr(word[8]), str_cstr(word[9]),
				     strcmp(word[5], "ed25519") == 0 ? DKIM_ED25519_SHA256
								     : DKIM_RSA_SHA256 };
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	struct dkim_key_holder holder = { key, sign_with };
	struct buf *field = buf_new(a, 1 << 20);
	struct dkim_signer *s;

	CHECK(key != NULL);
	o.names_n = split_names(a, word[11], &o.names);
	s = dkim_signer_new(a, str_slice(message, 0, head), &o);
	for (str rest = str_skip(message, head); rest.n; rest = str_skip(rest, piece))
		dkim_signer_body(s, str_slice(rest, 0, piece));
	CHECK(dkim_signer_field(s, &who, &holder, field) == NULL);
	printf("%zu\n", field->n);
	fwrite(field->p, 1, field->n, stdout);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

int main(void)
{
	char line[LINE], *word[12];

	while (fgets(line, sizeof line, stdin)) {
		struct arena *a = arena_new(ARENA);
		size_t n = 0;
		for (char *save = NULL, *w = strtok_r(line, " \n", &save); w && n < 12;
		     w = strtok_r(NULL, " \n", &save))
			word[n++] = w;
		CHECK(n == 5 || n == 12);
		if (n == 5)
			verify(a, word);
		else
			sign(a, word);
		fflush(stdout);
		arena_free(&a);
	}
	return 0;
}
