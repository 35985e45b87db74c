/* A whole session over a socketpair, logged in and with mail, fed with anything. */
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "edge/pop3/pop3.h"
#include "edge/talk_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *x;
	struct talk t;

	if (!x) {
		log_name("fuzz", LOG_ERROR + 1);
		x = fake_new();
		x->peers.config->limit_errors = 1000;
		x->peers.delay_ms = 1; /* of a wrong password */
		fake_fill(x, "INBOX", S("Subject: x\r\n\r\n.dot\r\nline\r\n"), 20);
	}
	talk_start(&t, x, SERVICE_POP3, &pop3_protocol);
	if (size && data[0] & 1) /* half of them before login */
		talk_send(&t, S("USER alice@example.test\r\nPASS alice\r\n"));
	talk_send(&t, str_from(data, size));
	talk_end(&t);
	if (fake_find(x, S("INBOX"))->n > FAKE_MESSAGES / 2)
		fake_free(&x);
	return 0;
}
