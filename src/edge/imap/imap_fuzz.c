/*
 * A whole session, logged in and with a mailbox open, fed with anything; at each 0xFF the client waits for what the session says. A line "!notice"
 * comes to the protocol as a notice of the office.
 */
#include "edge/script_test.h"

#include "edge/imap/imap.h"
#include "edge/mailbox_fake_test.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static const char mail[] =
    "From: Joe <joe@example.test>\r\nSubject: fuzz\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    "\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nS: x\r\n\r\ntwo\r\n--b--\r\n";

static enum turn turn(struct session *s, enum wake why)
{
	if (why == WAKE_LINE && str_eq(session_line(s), S("!notice")))
		why = WAKE_NOTICE;
	return imap_protocol.turn(s, why);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct fake *x;
	struct protocol watched = imap_protocol;

	if (size / 8 >= FAKE_MAILBOXES - 8)
		return 0;
	watched.turn = turn;
	x = fake_refill(x, str_cstr(mail), 3);
	script_run(&x->peers.process, &watched, SERVICE_IMAP,
		   S("a login alice@example.test alice\r\nb select inbox\r\n"),
		   str_from(data, size));
	return 0;
}
