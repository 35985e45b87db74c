/*
 * libopendkim for dkim_diff.py: the same jobs as dkim_tool.c, without zone and key in them: keys are looked up in the file that is
 * argument 1 ("name key-record" lines); the private RSA key is the file that is argument 2.
 *
 *	verify MESSAGE PIECE\n bytes                                          "pass" or "fail error" for the first signature
 *	sign MESSAGE PIECE HEADER-CANON BODY-CANON DOMAIN SELECTOR\n          the length of the field's value, and the value
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <opendkim/dkim.h>

static unsigned char *read_all(FILE *in, size_t n)
{
	unsigned char *p = calloc(n + 1, 1);

	if (p == NULL || fread(p, 1, n, in) != n)
		abort();
	return p;
}

static unsigned char *read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	unsigned char *p = calloc(16384, 1);

	if (in == NULL || p == NULL || fread(p, 1, 16383, in) == 0)
		abort();
	fclose(in);
	return p;
}

/* The field's end: a CRLF with no blank behind it. */
static size_t field_length(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (p[i] == '\r' && p[i + 1] == '\n' &&
		    (i + 2 == n || (p[i + 2] != ' ' && p[i + 2] != '\t')))
			return i;
	return n;
}

static DKIM_STAT feed(DKIM *d, unsigned char *p, size_t n, size_t piece)
{
	DKIM_STAT s = DKIM_STAT_OK;

	while (n >= 2 && !(p[0] == '\r' && p[1] == '\n')) {
		size_t f = field_length(p, n);
		s = dkim_header(d, p, f);
		if (s != DKIM_STAT_OK)
			return s;
		p += f + 2 <= n ? f + 2 : n;
		n -= f + 2 <= n ? f + 2 : n;
	}
	s = dkim_eoh(d);
	if (s != DKIM_STAT_OK)
		return s;
	for (p += 2, n = n < 2 ? 0 : n - 2; n && s == DKIM_STAT_OK;) {
		size_t part = piece < n ? piece : n;
		s = dkim_body(d, p, part);
		p += part;
		n -= part;
	}
	return s == DKIM_STAT_OK ? dkim_eom(d, NULL) : s;
}

static void verify(DKIM_LIB *lib, unsigned char *m, size_t n, size_t piece)
{
	DKIM_STAT s;
	DKIM *d = dkim_verify(lib, (const unsigned char *)"x", NULL, &s);
	DKIM_SIGINFO **sigs;
	int sigs_n = 0;

	s = feed(d, m, n, piece);
	if (dkim_getsiglist(d, &sigs, &sigs_n) != DKIM_STAT_OK || sigs_n == 0)
		printf("fail none %d\n", (int)s);
	else if ((dkim_sig_getflags(sigs[0]) & DKIM_SIGFLAG_PASSED) &&
		 dkim_sig_getbh(sigs[0]) == DKIM_SIGBH_MATCH)
		printf("pass\n");
	else
		printf("fail %s\n", dkim_sig_geterrorstr(dkim_sig_geterror(sigs[0])));
	dkim_free(d);
}

static void sign(DKIM_LIB *lib, unsigned char *m, char **word, unsigned char *key)
{
	DKIM_STAT s;
	DKIM *d = dkim_sign(lib, (const unsigned char *)"x", NULL, key, (unsigned char *)word[6],
			    (unsigned char *)word[5], strcmp(word[3], "relaxed") == 0,
			    strcmp(word[4], "relaxed") == 0, DKIM_SIGN_RSASHA256, -1, &s);
	unsigned char *field = NULL;
	size_t n = 0;

	if (d == NULL ||
	    feed(d, m, strtoul(word[1], NULL, 10), strtoul(word[2], NULL, 10)) != DKIM_STAT_OK ||
	    dkim_getsighdr_d(d, strlen("DKIM-Signature: "), &field, &n) != DKIM_STAT_OK)
		n = 0;
	printf("%zu\n", n);
	fwrite(field, 1, n, stdout);
	if (d)
		dkim_free(d);
}

int main(int argc, char **argv)
{
	char line[4096], *word[7];
	DKIM_LIB *lib = dkim_init(NULL, NULL);
	dkim_query_t method = DKIM_QUERY_FILE;
	unsigned char *key;

	if (argc != 3 || lib == NULL)
		return 2;
	key = read_file(argv[2]);
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYMETHOD, &method, sizeof method);
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYINFO, argv[1], strlen(argv[1]));
	while (fgets(line, sizeof line, stdin)) {
		size_t n = 0;
		unsigned char *m;
		for (char *save = NULL, *w = strtok_r(line, " \n", &save); w && n < 7;
		     w = strtok_r(NULL, " \n", &save))
			word[n++] = w;
		m = read_all(stdin, strtoul(word[1], NULL, 10));
		if (n == 3)
			verify(lib, m, strtoul(word[1], NULL, 10), strtoul(word[2], NULL, 10));
		else
			sign(lib, m, word, key);
		fflush(stdout);
		free(m);
	}
	return 0;
}
