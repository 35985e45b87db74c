/* A whole session over a socketpair, logged in and with a mailbox open, fed with anything. */
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "edge/imap/imap.h"
#include "edge/talk_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char mail[] =
    "From: Joe <joe@example.test>\r\nSubject: fuzz\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    "\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nS: x\r\n\r\ntwo\r\n--b--\r\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *x;
	struct talk t;

	if (!x) {
		log_name("fuzz", LOG_ERROR);
		x = fake_new();
		x->peers.config->limit_errors = 1000;
		x->peers.delay_ms = 1; /* of a wrong password */
		fake_fill(x, "INBOX", str_cstr(mail), 3);
	}
	if (x->mailboxes_n + size / 8 >= FAKE_MAILBOXES || (fake_find(x, S("INBOX")) == NULL) ||
	    fake_find(x, S("INBOX"))->n > FAKE_MESSAGES / 2)
		fake_free(&x);
	if (!x)
		return 0;
	talk_start(&t, x, SERVICE_IMAP, &imap_protocol);
	talk_send(&t, S("a login alice@example.test alice\r\nb select inbox\r\n"));
	talk_send(&t, str_from(data, size));
	talk_end(&t);
	return 0;
}
