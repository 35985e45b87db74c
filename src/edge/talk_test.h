/*
 * For tests and fuzzers of IMAP and POP3: a client of one session, which serve_one runs on a thread of its own against the
 * office of mailbox_fake_test.h.
 */
#ifndef EDGE_TALK_TEST_H
#define EDGE_TALK_TEST_H

#include "edge/mailbox_fake_test.h"

/* --- A client ---------------------------------------------------------------------------------------------------- */

struct talk {
	struct fake *fake;
	const struct protocol *protocol;
	enum service service;
	int fd, other;
	pthread_t thread;
	struct buf in;
};

static const struct protocol *talk_protocols[SERVICES];

/* A line "!notice" comes to the protocol as a notice of the office. */
static enum turn talk_turn(struct session *s, enum wake why)
{
	const struct protocol *p = talk_protocols[session_service(s)];

	if (why == WAKE_LINE && str_eq(session_line(s), S("!notice")))
		why = WAKE_NOTICE;
	return p->turn(s, why);
}

static void *talk_serve(void *context)
{
	struct talk *t = context;
	struct protocol watched = *t->protocol;

	watched.turn = talk_turn;
	serve_one(&t->fake->peers.process, &watched, t->service, t->other);
	return NULL;
}

static inline void talk_start(struct talk *t, struct fake *x, enum service service,
			      const struct protocol *protocol)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	*t = (struct talk){
		.fake = x, .protocol = protocol, .service = service, .fd = pair[0], .other = pair[1]
	};
	talk_protocols[service] = protocol;
	buf_init(&t->in, 64 << 20);
	/* A reply that does not come is a failure, not a hang. */
	CHECK(setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 5 },
			 sizeof(struct timeval)) == 0);
	CHECK(pthread_create(&t->thread, NULL, talk_serve, t) == 0);
}

static inline void talk_send(struct talk *t, str bytes)
{
	while (bytes.n > 0) {
		ssize_t n = send(t->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		bytes = str_skip(bytes, (size_t)n);
	}
}

static inline bool talk_read(struct talk *t)
{
	u8 *room = buf_room(&t->in, 65536);
	ssize_t n = room ? recv(t->fd, room, 65536, 0) : 0;

	if (n <= 0)
		return false;
	buf_added(&t->in, (size_t)n);
	return true;
}

/* The next line without CRLF; false at the end of the session. Borrowed until the next call. */
static inline bool talk_line(struct talk *t, struct arena *a, str *line)
{
	size_t end;

	while ((end = str_find_str(buf_str(&t->in), S("\r\n"))) == SIZE_MAX)
		if (!talk_read(t))
			return false;
	*line = str_copy(a, str_slice(buf_str(&t->in), 0, end));
	buf_drop(&t->in, end + 2);
	return true;
}

static inline void talk_end(struct talk *t)
{
	shutdown(t->fd, SHUT_WR);
	while (talk_read(t))
		buf_reset(&t->in);
	pthread_join(t->thread, NULL);
	close(t->fd);
	buf_free(&t->in);
}

/* '*' stands for any bytes. Linear in practice: scripts are ours. */
static inline bool talk_matches(str pattern, str s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;

	while (i < s.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			mark = i;
		} else if (p < pattern.n && pattern.p[p] == s.p[i]) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

#endif
