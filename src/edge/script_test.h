/*
 * For fuzzers of the edge: a client whose words are given, of one session that serve_one runs in this thread (base/loopback_test.h). It speaks when
 * the session waits: a piece up to the next 0xFF each time it is heard, and at its end it shuts down.
 */
#ifndef EDGE_SCRIPT_TEST_H
#define EDGE_SCRIPT_TEST_H

#include "base/loopback_test.h"

#include <openssl/ssl.h>

#include "edge/edge.h"

struct script {
	int fd;
	str rest;
	bool over;
	u64 heard; /* bytes */
};

static struct script script;

/* Everything the session said has arrived; what it says is looked at as a whole by tests, not here. */
static void script_hear(void)
{
	static u8 said[65536];
	ssize_t n;

	while ((n = recv(script.fd, said, sizeof said, 0)) > 0)
		script.heard += (u64)n;
}

static void script_send(str bytes)
{
	if (bytes.n > 0)
		(void)!send(script.fd, bytes.p, bytes.n,
			    MSG_NOSIGNAL); /* the session may have ended */
}

/* Pieces that do not end a line go at once, so that a line comes in several. */
static bool script_turn(void)
{
	script_hear();
	if (script.over)
		return false;
	while (script.rest.n > 0) {
		size_t at = str_find(script.rest, 0xFF);
		str piece = str_slice(script.rest, 0, at);

		script.rest = at == SIZE_MAX ? STR_NONE : str_skip(script.rest, at + 1);
		script_send(piece);
		if (piece.n > 0 && piece.p[piece.n - 1] == '\n')
			return true;
	}
	script.over = true;
	shutdown(script.fd, SHUT_WR);
	return true;
}

/* A whole session, to its end. STARTTLS is offered: the session is told that TLS has begun, and the words go on as they are. */
static inline void script_run(struct process *process, const struct protocol *protocol,
			      enum service service, str first, str words)
{
	static int tls_server; /* nobody looks into it: that there is one is why TLS is offered */
	static SSL *tls;
	struct edge *edge = process->state;
	int pair[2];

	if (!tls)
		tls = SSL_new(SSL_CTX_new(TLS_server_method()));
	edge->tls = (struct tls_server *)(void *)&tls_server;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	script = (struct script){ .fd = pair[0], .rest = words };
	script_send(first);
	loopback_idle = script_turn;
	serve_one_as_tls(process, protocol, service, pair[1], tls);
	loopback_idle = NULL;
	close(pair[0]);
}

#endif
