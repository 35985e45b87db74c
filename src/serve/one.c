/* One session over one descriptor, in the caller's thread: for unit tests, talk scripts and fuzzers. See serve_one in serve.h. */
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/fd.h"
#include "serve/session_int.h"

/* Until the descriptor or the clock has something for it. */
static void wait_for(const struct session *s)
{
	struct pollfd p = { .fd = s->stream.fd };
	u64 due = session_due(s), now = session_now(s);
	int ms = -1;

	if (s->want & EPOLLIN)
		p.events |= POLLIN;
	if (s->want & EPOLLOUT)
		p.events |= POLLOUT;
	if (due)
		ms = due <= now ? 0 : due - now > 1000 ? 1000 : (int)(due - now);
	if (p.events == 0)
		p.fd = -1; /* a pause: only the clock */
	poll(&p, 1, ms);
}

/* Of serve_one_as_tls in this thread. */
static _Thread_local SSL *in_name;

/* Nothing that was said in the clear may be left for what comes within TLS. */
static bool begin_in_name(struct session *s)
{
	CHECK(s->in.n == s->in_at);
	SSL_up_ref(in_name);
	s->stream.tls = in_name;
	return true;
}

void serve_one(struct process *p, const struct protocol *protocol, enum service service, int fd)
{
	serve_one_as_tls(p, protocol, service, fd, NULL);
}

void serve_one_as_tls(struct process *p, const struct protocol *protocol, enum service service,
		      int fd, SSL *tls)
{
	struct sockaddr_storage from = { 0 };
	socklen_t n = sizeof from;
	struct session *s;

	CHECK(fd_nonblock(fd));
	s = session_new(p, protocol, service, fd, 1);
	in_name = tls;
	s->begin_tls = tls ? begin_in_name : NULL;
	if (getpeername(fd, (struct sockaddr *)&from, &n) == 0)
		s->caller = caller_of((struct sockaddr *)&from);
	while (session_run(s, NULL) != SESSION_END) {
		session_compact(s);
		wait_for(s);
	}
	session_free(s);
}
