/* A whole session, logged in and with mail, fed with anything; at each 0xFF the client waits for what the session says. */
#include "edge/script_test.h"

#include "edge/mailbox_fake_test.h"
#include "edge/pop3/pop3.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct fake *x;
	bool login = size && data[0] & 1; /* half of them before login */

	x = fake_refill(x, S("Subject: x\r\n\r\n.dot\r\nline\r\n"), 20);
	script_run(&x->peers.process, &pop3_protocol, SERVICE_POP3,
		   login ? S("USER alice@example.test\r\nPASS alice\r\n") : STR_NONE,
		   str_from(data, size));
	return 0;
}
