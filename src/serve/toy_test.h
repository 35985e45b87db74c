/*
 * A protocol for the tests of this folder. Each line is a command:
 *	ECHO text | COUNT n | DATA | PAUSE ms | TIMER ms | DEADLINE ms | FILE n | BIG n | FLOOD n | BLOCK ms | PEEK | TLS | WHO | QUIT
 */
#ifndef SERVE_TOY_TEST_H
#define SERVE_TOY_TEST_H

#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/fd.h"
#include "base/scan.h"
#include "serve/serve.h"

struct toy {
	struct sink sink;
	u64 taken;
	u32 crc;
	u64 flood;
};

static _Atomic u32 toy_closed, toy_opened, toy_gone, toy_notices, toy_tls_failures;

static const struct fail *toy_write(struct sink *k, struct arena *turn, str bytes)
{
	struct toy *t = (struct toy *)(void *)k;
	static const struct fail no = FAIL_STATIC(TOO_LARGE, "no percent signs");

	(void)turn;
	if (str_has(bytes, '%'))
		return &no;
	t->taken += bytes.n;
	t->crc = crc32c(t->crc, bytes);
	return NULL;
}

static void toy_file(struct session *s, u64 n)
{
	int fd = fd_memory("toy");
	u8 block[4096];

	memset(block, 'f', sizeof block);
	for (u64 at = 0; at < n; at += sizeof block)
		if (!fd_pwrite_all(
			fd,
			str_from(block, n - at < sizeof block ? (size_t)(n - at) : sizeof block),
			at))
			break;
	session_out_fd(s, fd, 0, n);
	buf_add(session_out(s), S("\r\nend of file\r\n"));
}

static void toy_flood(struct session *s, struct toy *t)
{
	while (t->flood && session_unsent(s) < SESSION_HIGH_WATER) {
		buf_printf(session_out(s), "%08llu\r\n", (unsigned long long)t->flood);
		t->flood--;
	}
	if (t->flood)
		session_continue(s);
	else
		buf_add(session_out(s), S("flooded\r\n"));
}

static void toy_big(struct session *s, u64 n)
{
	while (n--)
		buf_add_byte(session_out(s), 'b');
	buf_add(session_out(s), S("\r\n"));
}

static void toy_who(struct session *s)
{
	struct client_info c = session_client(s);
	u8 binding[32];

	buf_printf(session_out(s), "%.*s %.*s%s\r\n", STR_ARG(session_address_text(s)),
		   STR_ARG(c.tls), session_channel_binding(s, binding) ? " bound" : "");
}

static enum turn toy_number(struct session *s, struct toy *t, str word, u64 n)
{
	if (str_eq(word, S("COUNT"))) {
		t->taken = t->crc = 0;
		session_read_counted(s, n, &t->sink);
	} else if (str_eq(word, S("PAUSE"))) {
		session_pause(s, n);
	} else if (str_eq(word, S("TIMER"))) {
		session_timer(s, n);
	} else if (str_eq(word, S("DEADLINE"))) {
		session_deadline(s, n);
	} else if (str_eq(word, S("FILE"))) {
		toy_file(s, n);
	} else if (str_eq(word, S("BIG"))) {
		toy_big(s, n);
	} else if (str_eq(word, S("BLOCK"))) { /* as a bus call does */
		nanosleep(&(struct timespec){ .tv_nsec = (long)n * 1000000 }, NULL);
		buf_add(session_out(s), S("blocked\r\n"));
	} else {
		t->flood = n;
		toy_flood(s, t);
	}
	return TURN_MORE;
}

static enum turn toy_line(struct session *s, struct toy *t)
{
	struct scan line = scan_of(session_line(s));
	str word;
	u64 n;

	if (scan_lit(&line, S("ECHO "))) {
		buf_printf(session_out(s), "%.*s\r\n", STR_ARG(line.rest));
	} else if (scan_lit(&line, S("QUIT"))) {
		buf_add(session_out(s), S("bye\r\n"));
		return TURN_CLOSE;
	} else if (scan_lit(&line, S("DATA"))) {
		t->taken = t->crc = 0;
		session_read_dotted(s, &t->sink);
	} else if (scan_lit(&line, S("PEEK"))) {
		buf_printf(session_out(s), "%s\r\n", session_has_input(s) ? "more" : "none");
	} else if (scan_lit(&line, S("WHO"))) {
		toy_who(s);
	} else if (scan_lit(&line, S("TLS"))) {
		buf_add(session_out(s), S("go\r\n"));
		return TURN_TLS;
	} else if (scan_span(&line, CHAR_ALPHA, &word) && scan_sp(&line) && scan_u64(&line, &n)) {
		return toy_number(s, t, word, n);
	} else {
		buf_add(session_out(s), S("what\r\n"));
	}
	return TURN_MORE;
}

static enum turn toy_stretch(struct session *s, struct toy *t)
{
	if (session_stretch_fail(s))
		buf_printf(session_out(s), "refused: %.*s\r\n",
			   STR_ARG(session_stretch_fail(s)->text));
	else
		buf_printf(session_out(s), "took %llu %08x\r\n", (unsigned long long)t->taken,
			   t->crc);
	return TURN_MORE;
}

static void toy_tls_failed(struct session *s, str why)
{
	CHECK(session_address_text(s).n > 0 && why.n > 0);
	toy_tls_failures++;
}

static enum turn toy_turn(struct session *s, enum wake why)
{
	struct toy *t = session_state(s);

	switch (why) {
	case WAKE_OPEN:
		toy_opened++;
		t->sink.write = toy_write;
		if (session_service(s) != SERVICE_POP3)
			session_logged_in(s);
		buf_printf(session_out(s), "hello%s\r\n", session_is_tls(s) ? " tls" : "");
		return TURN_MORE;
	case WAKE_LINE:
		return toy_line(s, t);
	case WAKE_STRETCH:
		return toy_stretch(s, t);
	case WAKE_BAD_LINE:
		buf_printf(session_out(s), "bad %d\r\n", (int)session_bad(s));
		return TURN_MORE;
	case WAKE_TLS:
		return TURN_MORE;
	case WAKE_NOTICE:
		toy_notices++;
		buf_add(session_out(s), S("notice\r\n"));
		return TURN_MORE;
	case WAKE_TIMER:
		buf_add(session_out(s), S("timer\r\n"));
		return TURN_MORE;
	case WAKE_RESUME:
		if (t->flood)
			toy_flood(s, t);
		else
			buf_add(session_out(s), S("resumed\r\n"));
		return TURN_MORE;
	case WAKE_IDLE:
		buf_add(session_out(s), S("idle\r\n"));
		return TURN_CLOSE;
	case WAKE_SHUTDOWN:
		buf_add(session_out(s), S("shutdown\r\n"));
		return TURN_CLOSE;
	case WAKE_GONE:
		toy_gone++;
		return TURN_CLOSE;
	}
	return TURN_ABORT;
}

static void toy_close(struct session *s)
{
	(void)s;
	toy_closed++;
}

static str toy_too_many(struct arena *a, const struct session_refusal *r)
{
	(void)a;
	return r->per_address ? S("too many of you\r\n") : S("too many\r\n");
}

static const struct protocol toy_protocol = {
	.name = "toy",
	.session_size = sizeof(struct toy),
	.arena_budget = 64 * 1024,
	.keep_budget = 64 * 1024,
	.line_max = 100,
	.turn = toy_turn,
	.close = toy_close,
	.too_many = toy_too_many,
	.tls_failed = toy_tls_failed,
};

#endif
