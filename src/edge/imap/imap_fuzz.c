/*
 * A whole session, logged in and with a mailbox open, fed with anything; at each 0xFF the client waits for what the session says. A line "!notice"
 * comes to the protocol as a notice of the office.
 */
#include "edge/script_test.h"

#include "base/log.h"
#include "edge/imap/imap.h"
#include "edge/mailbox_fake_test.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { FUZZ_ARENA = 4 << 20 }; /* then the fake begins anew: what it was given adds up */

static const char mail[] =
    "From: Joe <joe@example.test>\r\nSubject: fuzz\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    "\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nS: x\r\n\r\ntwo\r\n--b--\r\n";

static enum turn turn(struct session *s, enum wake why)
{
	if (why == WAKE_LINE && str_eq(session_line(s), S("!notice")))
		why = WAKE_NOTICE;
	return imap_protocol.turn(s, why);
}

static struct fake *start(void)
{
	struct fake *x = fake_new();

	log_name("fuzz", LOG_ERROR);
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
		skeleton = fake_skeleton(a, str_cstr(mail));
	}
	for (u32 i = 0; i < 3; i++)
		fake_add(x, fake_find(x, S("INBOX")), str_cstr(mail), skeleton, 0, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct fake *x;
	struct protocol watched = imap_protocol;

	if (size / 8 >= FAKE_MAILBOXES - 8)
		return 0;
	watched.turn = turn;
	x = x ? x : start();
	fill(x);
	script_run(&x->peers.process, &watched, SERVICE_IMAP,
		   S("a login alice@example.test alice\r\nb select inbox\r\n"),
		   str_from(data, size));
	if (arena_used(x->peers.arena) > FUZZ_ARENA)
		fake_free(&x);
	else
		fake_empty(x);
	return 0;
}
