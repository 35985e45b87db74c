/* A whole session, logged in and with mail, fed with anything; at each 0xFF the client waits for what the session says. */
#include "edge/script_test.h"

#include "base/log.h"
#include "edge/mailbox_fake_test.h"
#include "edge/pop3/pop3.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define MAIL "Subject: x\r\n\r\n.dot\r\nline\r\n"

enum { FUZZ_ARENA = 4 << 20 }; /* then the fake begins anew: what it was given adds up */

static struct fake *start(void)
{
	struct fake *x = fake_new();

	log_name("fuzz", LOG_ERROR + 1);
	x->peers.config->limit_errors = 1000;
	x->peers.delay_ms = 1; /* of a wrong password */
	return x;
}

static void fill(struct fake *x)
{
	static str skeleton;
	static struct arena *a;

	if (!a) {
		a = arena_new(1 << 20);
		skeleton = fake_skeleton(a, S(MAIL));
	}
	for (u32 i = 0; i < 20; i++)
		fake_add(x, fake_find(x, S("INBOX")), S(MAIL), skeleton, 0, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct fake *x;
	bool login = size && data[0] & 1; /* half of them before login */

	x = x ? x : start();
	fill(x);
	script_run(&x->peers.process, &pop3_protocol, SERVICE_POP3,
		   login ? S("USER alice@example.test\r\nPASS alice\r\n") : STR_NONE,
		   str_from(data, size));
	if (arena_used(x->peers.arena) > FUZZ_ARENA)
		fake_free(&x);
	else
		fake_empty(x);
	return 0;
}
