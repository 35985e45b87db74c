/*
 * Any bytes from a peer: frames decode or end the connection, nothing else. The first byte chooses server and caller; then frames,
 * each u16 length and bytes. Every call is answered with a zeroed answer.
 */
#include "base/loopback_test.h"

#include "base/log.h"
#include "bus/login.h"
#include "bus/office.h"
#include "bus/relay.h"
#include "bus/sign.h"

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n);

/* FD fields of a zeroed answer would be descriptor 0: answer by a fail, as a careful server. */
static void dispatch(void *context, struct bus_call *call)
{
	(void)context;
	bus_answer(&call, fail_new(call->arena, FAIL_NOT_FOUND, "nothing here"));
}

static unsigned peers;

static void gone(void *context, const struct bus_peer *peer)
{
	(void)context;
	(void)peer;
	peers--;
}

/* They live as long as the fuzzer. */
static struct bus_server *server_of(u8 choice)
{
	static const struct {
		const struct bus_method *methods;
		const size_t *n;
	} tables[] = {
		{ office_methods, &office_methods_n },
		{ login_methods, &login_methods_n },
		{ sign_methods, &sign_methods_n },
		{ relay_methods, &relay_methods_n },
	};
	static struct bus_server *servers[ARRAY_LEN(tables)];
	size_t i = choice % ARRAY_LEN(tables);

	if (!servers[i])
		servers[i] = bus_server_new(tables[i].methods, *tables[i].n, dispatch, gone, NULL);
	return servers[i];
}

static void send_frames(int fd, str input)
{
	while (input.n > 2) {
		size_t n = input.p[0] + 256U * input.p[1];
		str frame = str_slice(input, 2, 2 + n);

		if (send(fd, frame.p, frame.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
		input = str_skip(input, 2 + frame.n);
	}
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n)
{
	struct bus_server *s;
	int pair[2];

	if (n == 0)
		return 0;
	log_level_set(LOG_ERROR + 1);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	s = server_of(bytes[0]);
	bus_server_add(s, pair[0], bytes[0] >> 2 & 0x1F, 0);
	peers++;
	send_frames(pair[1], str_from(bytes + 1, n - 1));
	close(pair[1]);
	bus_server_run(s); /* until there is nothing to do */
	CHECK(peers == 0);
	return 0;
}
