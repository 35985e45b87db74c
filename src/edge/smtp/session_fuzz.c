/*
 * A whole session with a fake office and login. The first byte chooses the service; every 0xFF in the rest is where
 * the client waits for a reply, so that the fuzzer gets past the rules about pipelining. What was taken must have
 * no CR or LF alone.
 */
#include "edge/script_test.h"

#include "base/log.h"
#include "edge/smtp/fake_test.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { FUZZ_ARENA = 4 << 20 }; /* then the fake begins anew: what it was given adds up */

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

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum service services[] = { SERVICE_SMTP, SERVICE_LMTP, SERVICE_SUBMISSION };
	static struct fake *x;
	unsigned before;

	if (size < 1 || size > 4096)
		return 0;
	if (!x)
		x = fake_new();
	log_level_set(LOG_ERROR + 1);
	before = x->committed;
	script_run(&x->peers.process, &smtp_protocol, services[data[0] % ARRAY_LEN(services)],
		   STR_NONE, str_from(data + 1, size - 1));
	if (x->committed > before)
		check_kept(x);
	if (arena_used(x->peers.arena) > FUZZ_ARENA)
		fake_free(&x);
	return 0;
}
