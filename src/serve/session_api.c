/* What protocols call on their own session, within a turn. */
#include "serve/session_int.h"

#include "base/check.h"
#include "serve/tls_stream.h"

void *session_state(struct session *s)
{
	CHECK_MAGIC(s, SESSION_MAGIC);
	return s->state;
}

struct arena *session_turn_arena(struct session *s)
{
	if (s->turn == NULL)
		s->turn = arena_new(s->protocol->arena_budget);
	return s->turn;
}

struct arena *session_arena(struct session *s)
{
	return s->keep;
}

struct process *session_process(struct session *s)
{
	return s->process;
}

u64 session_id(const struct session *s)
{
	return s->id;
}

enum service session_service(const struct session *s)
{
	return (enum service)s->service;
}

struct client_info session_client(struct session *s)
{
	return (struct client_info){
		.service = s->service,
		.address = caller_address(&s->caller),
		.port = s->caller.port,
		.tls =
		    s->stream.tls ? tls_stream_text(&s->stream, session_turn_arena(s)) : STR_NONE,
	};
}

str session_address_text(const struct session *s)
{
	return caller_text(&s->caller);
}

bool session_is_tls(const struct session *s)
{
	return s->stream.tls != NULL;
}

bool session_channel_binding(struct session *s, u8 out[32])
{
	return s->stream.tls != NULL && tls_stream_binding(&s->stream, out);
}

str session_line(const struct session *s)
{
	return s->reader.line;
}

enum bad_line session_bad(const struct session *s)
{
	return (enum bad_line)s->reader.bad;
}

const struct fail *session_stretch_fail(const struct session *s)
{
	return s->reader.fail;
}

void session_line_max(struct session *s, size_t max)
{
	s->reader.line_max = max;
}

void session_read_counted(struct session *s, u64 n, struct sink *k)
{
	reader_counted(&s->reader, n, k);
}

void session_read_dotted(struct session *s, struct sink *k)
{
	reader_dotted(&s->reader, k);
}

bool session_has_input(const struct session *s)
{
	struct stream look = s->stream; /* looking changes nothing that is kept here */

	return s->in.n > s->in_at || look.ops->pending(&look);
}

bool session_is_pipelined(const struct session *s)
{
	return s->in.n > s->in_at || (!s->stream.drained && session_has_input(s));
}

struct buf *session_out(struct session *s)
{
	return &s->out.fresh;
}

void session_out_fd(struct session *s, int fd, u64 at, u64 n)
{
	output_fd(&s->out, fd, at, n);
}

size_t session_unsent(const struct session *s)
{
	return (size_t)output_unsent(&s->out);
}

void session_continue(struct session *s)
{
	s->continuing = true;
}

static u64 from_now(const struct session *s, u64 ms)
{
	return ms ? session_now(s) + ms : 0;
}

void session_deadline(struct session *s, u64 ms)
{
	s->input_ms = ms;
	s->deadline = from_now(s, ms);
}

void session_timer(struct session *s, u64 ms)
{
	s->timer = from_now(s, ms);
}

void session_pause(struct session *s, u64 ms)
{
	s->pause = from_now(s, ms);
}

void session_logged_in(struct session *s)
{
	s->stranger = false;
}
