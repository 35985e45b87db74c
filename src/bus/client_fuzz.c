/* Any bytes from a server: an answer decodes, or the call fails and the connection ends. The first two bytes choose the call. */
#include "base/loopback_test.h"

#include "base/arena.h"
#include "base/fd.h"
#include "bus/frame.h"
#include "bus/office.h"

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n);

/* The server's end of the link as long as it lives, and how many calls it has seen. */
static int server = -1;
static u64 calls;

/* Head of the answer that the client waits for, so that the rest reaches the decoder. One too large is not sent: then the server is gone. */
static void send_answer(const struct bus_method *m, u8 form, str body)
{
	struct frame_out o;

	frame_begin(&o, ++calls, m->number, form);
	buf_add(&o.bytes, body);
	if (o.bytes.n <= BUS_FRAME)
		CHECK(send(server, o.bytes.p, o.bytes.n, MSG_NOSIGNAL) == (ssize_t)o.bytes.n);
	else
		shutdown(server, SHUT_WR);
	frame_free(&o);
}

/* Takes the request, and notices when the client has ended the link. */
static void hear(void)
{
	static u8 request[BUS_FRAME];
	ssize_t n;

	while ((n = recv(server, request, sizeof request, MSG_DONTWAIT)) > 0)
		;
	if (n == 0)
		fd_close(&server);
}

static struct bus *connected(void)
{
	static struct bus *b;
	int pair[2];

	if (server >= 0)
		return b;
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	server = pair[1];
	calls = 0;
	if (b)
		bus_replace(b, pair[0]);
	else
		b = bus_new(pair[0]);
	return b;
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n)
{
	const struct bus_method *m;
	struct arena *a;
	struct bus *b;

	if (n < 2)
		return 0;
	a = arena_new(1 << 20);
	m = &office_methods[bytes[0] % office_methods_n];
	b = connected();
	send_answer(m, bytes[1] % 3, str_from(bytes + 2, n - 2));
	(void)!bus_call(a, b, m, arena_alloc(a, m->request_size), arena_alloc(a, m->answer_size));
	hear();
	arena_free(&a);
	return 0;
}
