/*
 * What libopendkim takes to verify a message, key file and message in memory, one library handle for all. CPU of this thread, microseconds
 * a message, the median of TURNS turns.
 *
 *	opendkim_bench KEYFILE MESSAGE ROUNDS	KEYFILE: lines "name record"
 */
#include <opendkim/dkim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS = 9, MOST = 2 << 20, PIECE = 64 * 1024 };

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* As a milter would: field by field, then the body in pieces. */
static int passes(DKIM_LIB *lib, unsigned char *m, size_t n)
{
	DKIM_STAT s;
	DKIM *d = dkim_verify(lib, (const unsigned char *)"x", NULL, &s);
	unsigned char *p = m, *end = m + n;

	while (s == DKIM_STAT_OK && p < end && *p != '\r') {
		unsigned char *stop = p;
		do
			stop = memmem(stop, (size_t)(end - stop), "\r\n", 2) + 2;
		while (*stop == ' ' || *stop == '\t');
		s = dkim_header(d, p, (size_t)(stop - p) - 2);
		p = stop;
	}
	if (s == DKIM_STAT_OK)
		s = dkim_eoh(d);
	for (p += 2; s == DKIM_STAT_OK && p < end; p += PIECE)
		s = dkim_body(d, p, end - p < PIECE ? (size_t)(end - p) : PIECE);
	if (s == DKIM_STAT_OK)
		s = dkim_eom(d, NULL);
	dkim_free(d);
	return s == DKIM_STAT_OK;
}

int main(int argc, char **argv)
{
	static unsigned char m[MOST];
	DKIM_LIB *lib = dkim_init(NULL, NULL);
	dkim_query_t method = DKIM_QUERY_FILE;
	double turns[TURNS];
	long rounds;
	size_t n;
	FILE *f;

	if (argc != 4 || lib == NULL || (f = fopen(argv[2], "rb")) == NULL)
		return 2;
	n = fread(m, 1, sizeof m, f);
	fclose(f);
	rounds = strtol(argv[3], NULL, 10);
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYMETHOD, &method, sizeof method);
	dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_QUERYINFO, argv[1], strlen(argv[1]));
	for (int turn = 0; turn < TURNS; turn++) {
		double began = cpu();
		for (long i = 0; i < rounds; i++)
			if (!passes(lib, m, n))
				return 1;
		turns[turn] = (cpu() - began) / (double)rounds;
	}
	qsort(turns, TURNS, sizeof turns[0], by_size);
	printf("%.2f\n", turns[TURNS / 2] * 1e6);
	return 0;
}
