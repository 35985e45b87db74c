#include "relay/mta/body.h"

#include "base/check.h"
#include "base/env.h"
#include "text/header.h"

static bool has_bare(str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n'))
			return true;
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			return true;
	}
	return false;
}

struct body body_inspect(str message)
{
	struct body b = { .bytes = message, .bare = has_bare(message) };

	b.eight_bit = !str_is_ascii(message);
	b.header_8bit = b.eight_bit && !str_is_ascii(str_slice(message, 0, header_length(message)));
	return b;
}

/* What of the next block may go as it stands: up to and with the next CRLF that a dot follows. */
static str next_piece(str rest)
{
	str block = str_slice(rest, 0, MTA_BLOCK);
	size_t dot = str_find_str(str_slice(rest, 0, MTA_BLOCK + 1), S("\n."));

	return dot == SIZE_MAX ? block : str_slice(block, 0, dot + 1);
}

/* Each block has its own deadline, and all of them one, so that a peer that takes a byte a minute does not hold us (Q06). */
static void arm(struct connection *c, const struct mta_times *times, u64 end)
{
	u64 now = env_monotonic(env_system());
	u64 left = end > now ? end - now : 0;

	connection_deadline(c, left < times->block ? left : times->block);
}

const struct fail *body_send(struct connection *c, const struct body *b,
			     const struct mta_times *times)
{
	u64 end = env_monotonic(env_system()) + MTA_RATE_GRACE_MS + b->bytes.n * 1000 / MTA_RATE;
	bool line_start = true;
	str rest = b->bytes;

	CHECK(!b->bare);
	while (rest.n) {
		str piece = next_piece(rest);
		arm(c, times, end);
		if (line_start && piece.p[0] == '.')
			TRY(connection_write(c, S(".")));
		TRY(connection_write(c, piece));
		line_start = piece.p[piece.n - 1] == '\n';
		rest = str_skip(rest, piece.n);
	}
	arm(c, times, end);
	TRY(connection_write(c, line_start ? S(".\r\n") : S("\r\n.\r\n")));
	return connection_flush(c);
}
