/*
 * A whole session over a socketpair with a fake office and login. The first byte chooses the service; every 0xFF in the rest is where
 * the client waits for a reply, so that the fuzzer gets past the rules about pipelining. What was taken must have
 * no CR or LF alone.
 */
#include "edge/smtp/fake_test.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_kept(const struct fake *x)
{
	str bytes = x->kept[(x->committed - 1) % FAKE_KEPT].bytes;

	for (size_t i = 0; i < bytes.n; i++) {
		if (bytes.p[i] == '\n')
			CHECK(i > 0 && bytes.p[i - 1] == '\r');
		if (bytes.p[i] == '\r')
			CHECK(i + 1 < bytes.n && bytes.p[i + 1] == '\n');
	}
}

/* Up to the next mark; then hears what there is, without insisting on a reply. */
static void say(struct talk *t, str *rest)
{
	size_t at = str_find(*rest, 0xFF);
	str piece = str_slice(*rest, 0, at);

	*rest = at == SIZE_MAX ? STR_NONE : str_skip(*rest, at + 1);
	talk_send(t, piece);
	t->n = 0;
	if (at != SIZE_MAX && piece.n > 2 && piece.p[piece.n - 1] == '\n')
		talk_read(t);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum service services[] = { SERVICE_SMTP, SERVICE_LMTP, SERVICE_SUBMISSION };
	static struct fake *x;
	static struct talk t;
	struct timeval wait = { .tv_usec = 2000 };
	unsigned before;
	str rest;

	if (!x)
		x = fake_new();
	if (size < 1 || size > 4096)
		return 0;
	before = x->committed;
	talk_open(&t, x, services[data[0] % ARRAY_LEN(services)]);
	CHECK(setsockopt(t.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
	talk_start(&t);
	talk_read(&t);
	for (rest = str_from(data + 1, size - 1); rest.n > 0;)
		say(&t, &rest);
	wait.tv_usec = 0; /* for ever: the session ends by itself */
	CHECK(setsockopt(t.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
	talk_end(&t);
	if (x->committed > before)
		check_kept(x);
	return 0;
}
