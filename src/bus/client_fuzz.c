/* Any bytes from a server: an answer decodes, or the call fails and the connection ends. The first two bytes choose the call. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "bus/frame.h"
#include "bus/office.h"

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n);

/* Head of the answer that the client waits for, so that the rest reaches the decoder. */
static void send_answer(int fd, const struct bus_method *m, u8 form, str body)
{
	struct frame_out o;

	frame_begin(&o, 1, m->number, form);
	buf_add(&o.bytes, body);
	if (o.bytes.n <= BUS_FRAME)
		CHECK(send(fd, o.bytes.p, o.bytes.n, MSG_NOSIGNAL) == (ssize_t)o.bytes.n);
	frame_free(&o);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n)
{
	const struct bus_method *m;
	struct arena *a;
	struct bus *b;
	int pair[2];

	if (n < 2)
		return 0;
	a = arena_new(1 << 20);
	m = &office_methods[bytes[0] % office_methods_n];
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	b = bus_new(pair[0]);
	send_answer(pair[1], m, bytes[1] % 3, str_from(bytes + 2, n - 2));
	shutdown(pair[1], SHUT_WR);
	(void)!bus_call(a, b, m, arena_alloc(a, m->request_size), arena_alloc(a, m->answer_size));
	bus_free(&b);
	close(pair[1]);
	arena_free(&a);
	return 0;
}
