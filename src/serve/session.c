/*
 * A session runs: it reads, hands units to its protocol's turn, flushes, and says what it waits for. Knows nothing of threads or epoll;
 * whoever calls session_run owns the session.
 */
#include "serve/session_int.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/env.h"
#include "base/log.h"
#include "serve/tls_stream.h"

u64 session_now(const struct session *s)
{
	return env_monotonic(s->env);
}

static bool is_for_people(enum service service)
{
	static const bool people[SERVICES] = {
#define SERVICE(NAME, name, port, role, tls) [SERVICE_##NAME] = ROLE_##role == ROLE_CLIENT,
#include "bus/services.tbl"
#undef SERVICE
	};

	return people[service];
}

struct session *session_new(struct process *p, const struct protocol *protocol,
			    enum service service, int fd, u64 id)
{
	struct arena *keep =
	    arena_new(protocol->keep_budget + sizeof(struct session) + protocol->session_size);
	struct session *s = arena_new_of(keep, struct session);

	s->magic = SESSION_MAGIC;
	s->process = p;
	s->protocol = protocol;
	s->service = (u8)service;
	s->stranger = is_for_people(service);
	s->env = env_system();
	s->keep = keep;
	s->state = arena_alloc(keep, protocol->session_size);
	s->id = id;
	s->phase = PHASE_SERVING;
	atomic_init(&s->kept, UINT64_MAX);
	stream_plain(&s->stream, fd);
	reader_init(&s->reader, protocol->line_max);
	output_init(&s->out);
	buf_init(&s->in, protocol->line_max + 2 + SESSION_CHUNK_STRETCH);
	return s;
}

void session_free(struct session *s)
{
	struct arena *keep = s->keep;

	CHECK(s->phase == PHASE_DEAD);
	s->magic = 0;
	arena_free(&keep);
}

/* --- Time ---------------------------------------------------------------------------------------------------- */

static void earliest(u64 *due, u64 at)
{
	if (at && (*due == 0 || at < *due))
		*due = at;
}

static bool over(u64 at, u64 now)
{
	return at && at <= now;
}

/* Nothing is handed out: a pause, or output that must leave first. */
static bool held(const struct session *s)
{
	return s->pause || s->continuing;
}

u64 session_due(const struct session *s)
{
	u64 due = 0;

	if (s->phase != PHASE_SERVING) {
		earliest(&due, s->phase_end);
		return due;
	}
	earliest(&due, s->pause);
	earliest(&due, s->progress);
	if (held(s))
		return due;
	earliest(&due, s->timer);
	if (!s->blocked)
		earliest(&due, s->deadline);
	return due;
}

static void phase_enter(struct session *s, enum session_phase phase, u64 ms)
{
	s->phase = (u8)phase;
	s->phase_end = session_now(s) + ms;
}

void session_begin_tls(struct session *s)
{
	s->tls_waits = 0;
	phase_enter(s, PHASE_TO_TLS, SESSION_HANDSHAKE_MS);
}

static void deadline_anew(struct session *s)
{
	s->deadline = s->input_ms ? session_now(s) + s->input_ms : 0;
	s->stretch_credit = 0;
}

/* --- The end --------------------------------------------------------------------------------------------------- */

static void end(struct session *s)
{
	if (s->phase == PHASE_DEAD)
		return;
	s->phase = PHASE_DEAD;
	if (s->opened)
		s->protocol->close(s);
	output_free(&s->out);
	buf_free(&s->in);
	arena_free(&s->turn);
	stream_close(&s->stream);
}

static void close_politely(struct session *s)
{
	phase_enter(s, PHASE_CLOSING, SESSION_CLOSING_MS);
}

static void give_turn(struct session *s, enum wake why);

/* The peer is no more: its protocol hears it, and that was all. */
static void gone(struct session *s)
{
	if (s->phase == PHASE_SERVING && s->opened)
		give_turn(s, WAKE_GONE);
	end(s);
}

/* --- Turns ----------------------------------------------------------------------------------------------------- */

static bool last_turn(enum wake why)
{
	return why == WAKE_IDLE || why == WAKE_SHUTDOWN || why == WAKE_GONE;
}

/* RFC 3207 4.2: what was sent before the handshake must not be taken as sent within it. */
static void begin_tls(struct session *s)
{
	if (s->begin_tls == NULL || session_is_tls(s) || session_has_input(s)) {
		LOG(INFO, "serve.starttls_refused", LOG_STR("peer", session_address_text(s)));
		output_free(&s->out);
		s->sour = true;
		close_politely(s);
		return;
	}
	s->greeted_tls = true;
	session_begin_tls(s);
}

/* The deadline is of input: what we had to say ourselves does not give the peer more time. */
static bool of_input(enum wake why)
{
	return why != WAKE_NOTICE && why != WAKE_TIMER;
}

static void after_turn(struct session *s, enum wake why, enum turn what)
{
	switch (what) {
	case TURN_MORE:
		if (of_input(why))
			deadline_anew(s);
		break;
	case TURN_CLOSE:
		close_politely(s);
		break;
	case TURN_ABORT:
		end(s);
		break;
	case TURN_TLS:
		begin_tls(s);
		break;
	}
}

static void give_turn(struct session *s, enum wake why)
{
	enum turn what = s->protocol->turn(s, why);

	output_turn(&s->out);
	if (what == TURN_MORE && last_turn(why))
		what = TURN_CLOSE;
	after_turn(s, why, what);
	if (s->turn)
		arena_reset(s->turn);
}

/* --- Input ----------------------------------------------------------------------------------------------------- */

/* Nothing more is taken from this peer: its protocol hears it, so that what it noted is not lost; answers still leave. */
static void cut_off(struct session *s)
{
	s->sour = true;
	give_turn(s, WAKE_GONE);
	if (s->phase == PHASE_SERVING)
		close_politely(s);
}

static str unseen(const struct session *s)
{
	return str_skip(buf_str(&s->in), s->in_at);
}

/* Hands out the next unit that the buffer holds; false when it holds none. */
static bool give_unit(struct session *s)
{
	size_t used;
	bool stretch = reader_in_stretch(&s->reader);
	enum reader_unit unit = reader_next(&s->reader, session_turn_arena(s), unseen(s), &used);

	s->in_at += used;
	s->before_login += s->stranger ? used : 0;
	if (s->stranger && s->before_login > SESSION_BEFORE_LOGIN) {
		LOG(INFO, "serve.stranger", LOG_STR("peer", session_address_text(s)));
		cut_off(s);
		return true;
	}
	s->stretch_credit += stretch ? used : 0;
	if (s->stretch_credit >= SESSION_STRETCH_STEP)
		deadline_anew(s);
	switch (unit) {
	case READER_NONE:
		return used && unseen(s).n;
	case READER_LINE:
		give_turn(s, WAKE_LINE);
		return true;
	case READER_STRETCH:
		give_turn(s, WAKE_STRETCH);
		return true;
	case READER_BAD:
		s->sour = true;
		give_turn(s, WAKE_BAD_LINE);
		return true;
	case READER_LOST:
		cut_off(s);
		return true;
	}
	return false;
}

static enum stream_state fill(struct session *s)
{
	size_t got, want = reader_in_stretch(&s->reader) ? SESSION_CHUNK_STRETCH : SESSION_CHUNK;
	enum stream_state state;
	u8 *room;

	buf_drop(&s->in, s->in_at); /* nothing, or the front of one line */
	s->in_at = 0;
	s->in.max = s->reader.line_max + 2 + SESSION_CHUNK_STRETCH;
	room = buf_room(&s->in, want);
	CHECK(room != NULL);
	state = stream_read(&s->stream, room, want, &got);
	buf_added(&s->in, got);
	return state;
}

/* --- Output ---------------------------------------------------------------------------------------------------- */

/* False: the session has ended. */
static bool flush(struct session *s)
{
	bool progress;
	enum stream_state state = output_flush(&s->out, &s->stream, &progress);

	s->write_wants_read = state == STREAM_WANT_READ;
	if (state == STREAM_BROKEN) {
		if (s->out.failed)
			LOG(ERROR, "serve.output_failed", LOG_STR("peer", session_address_text(s)));
		gone(s);
		return false;
	}
	if (state == STREAM_OK) {
		if (s->blocked)
			deadline_anew(s); /* it was busy taking, not idle */
		s->progress = 0;
	} else if (progress || s->progress == 0) {
		s->progress = session_now(s) + SESSION_PROGRESS_MS;
	}
	s->blocked = state != STREAM_OK;
	return true;
}

/* --- Waiting --------------------------------------------------------------------------------------------------- */

static enum session_stop park(struct session *s, bool input)
{
	s->want = 0;
	if ((input && !s->read_wants_write) || (s->blocked && s->write_wants_read))
		s->want |= EPOLLIN;
	if ((s->blocked && !s->write_wants_read) || (input && s->read_wants_write))
		s->want |= EPOLLOUT;
	return SESSION_PARK;
}

static bool take_wake(struct session *s, u32 bit)
{
	return (atomic_fetch_and(&s->wakes, ~bit) & bit) != 0;
}

/* Wakes that hold whatever the session is doing. True when one was handed out. */
static bool give_urgent(struct session *s)
{
	u32 wakes = atomic_load(&s->wakes);

	if (wakes & WAKE_BIT_SHUTDOWN) {
		take_wake(s, WAKE_BIT_SHUTDOWN);
		s->pause = 0;
		s->continuing = false;
		give_turn(s, WAKE_SHUTDOWN);
		return true;
	}
	if (over(s->progress, session_now(s)) || ((wakes & WAKE_BIT_HANGUP) && held(s))) {
		gone(s);
		return true;
	}
	return false;
}

/* Ends of a pause, of a continuation, then notices and times. */
static bool give_wake(struct session *s)
{
	u64 now = session_now(s);

	if (over(s->pause, now)) {
		s->pause = 0;
		give_turn(s, WAKE_RESUME);
		return true;
	}
	if (s->continuing && output_unsent(&s->out) == 0) {
		s->continuing = false;
		give_turn(s, WAKE_RESUME);
		return true;
	}
	if (held(s))
		return false;
	if (take_wake(s, WAKE_BIT_NOTICE)) {
		give_turn(s, WAKE_NOTICE);
		return true;
	}
	if (over(s->timer, now)) {
		s->timer = 0;
		give_turn(s, WAKE_TIMER);
		return true;
	}
	return false;
}

static bool full(const struct session *s)
{
	return output_unsent(&s->out) >= SESSION_HIGH_WATER;
}

/* The peer's idle time, looked at only when it has nothing for us. */
static bool give_idle(struct session *s)
{
	if (s->blocked || !over(s->deadline, session_now(s)))
		return false;
	s->sour = reader_in_stretch(&s->reader);
	give_turn(s, WAKE_IDLE);
	return true;
}

/* After a read that took all there was, it is cheaper to wait to be told of more than to look. */
static enum stream_state fill_or_wait(struct session *s)
{
	if (!s->stream.drained)
		return fill(s);
	s->stream.drained = false;
	return STREAM_WANT_READ;
}

/* Nothing is left to hand out. True: go on; else *stop is set. */
static bool read_more(struct session *s, u32 *reads, enum session_stop *stop)
{
	enum stream_state state;

	(*reads)++;
	s->read_wants_write = false;
	state = fill_or_wait(s);
	switch (state) {
	case STREAM_OK:
		return true;
	case STREAM_WANT_WRITE:
		s->read_wants_write = true;
		break;
	case STREAM_WANT_READ:
		break;
	case STREAM_END:
		give_turn(s, WAKE_GONE);
		if (s->phase != PHASE_DEAD)
			close_politely(s); /* it may still read what it asked for */
		return true;
	case STREAM_BROKEN:
		gone(s);
		return true;
	}
	if (give_idle(s))
		return true;
	*stop = park(s, true);
	return false;
}

/* One step while serving. True: go on. */
static bool serve_step(struct session *s, u32 *reads, enum session_stop *stop)
{
	if (!s->opened) {
		s->opened = true;
		give_turn(s, WAKE_OPEN);
		return true;
	}
	if (give_urgent(s))
		return true;
	if ((full(s) || s->continuing) && !flush(s))
		return true;
	if (full(s)) {
		*stop = park(s, false);
		return false;
	}
	if (give_wake(s))
		return true;
	if (!held(s) && give_unit(s))
		return true;
	if (output_unsent(&s->out) && !flush(s))
		return true;
	if (held(s)) {
		if (s->continuing && !s->blocked)
			return true;
		*stop = park(s, false);
		return false;
	}
	return read_more(s, reads, stop);
}

/* --- The other phases ------------------------------------------------------------------------------------------ */

/* A peer that goes without a word of TLS, as those do who look whether a port is open, has failed at nothing. */
static void tell_tls_failed(struct session *s, enum stream_state state)
{
	if (s->protocol->tls_failed == NULL || state == STREAM_END)
		return;
	s->protocol->tls_failed(s, state == STREAM_BROKEN ? tls_stream_why() : S("too slow"));
	if (s->turn)
		arena_reset(s->turn);
}

static bool handshake_step(struct session *s, enum session_stop *stop)
{
	enum stream_state state = s->stream.ops->handshake(&s->stream);

	if (state == STREAM_OK) {
		s->phase = PHASE_SERVING;
		deadline_anew(s);
		if (s->greeted_tls)
			give_turn(s, WAKE_TLS);
		return true;
	}
	if (state == STREAM_BROKEN || state == STREAM_END || over(s->phase_end, session_now(s))) {
		tell_tls_failed(s, state);
		end(s);
		return true;
	}
	if (take_wake(s, WAKE_BIT_SHUTDOWN)) {
		end(s);
		return true;
	}
	s->want = state == STREAM_WANT_WRITE ? EPOLLOUT : EPOLLIN;
	*stop = SESSION_PARK;
	return false;
}

/* Sends what is left, in the time of the phase. True: go on, with *done when all has left. */
static bool drain(struct session *s, bool *done, enum session_stop *stop)
{
	*done = false;
	if (!flush(s))
		return true;
	if (!s->blocked) {
		*done = true;
		return true;
	}
	if (over(s->phase_end, session_now(s))) {
		end(s);
		return true;
	}
	*stop = park(s, false);
	return false;
}

static bool to_tls_step(struct session *s, enum session_stop *stop)
{
	bool done;

	if (over(s->phase_end, session_now(s)) || take_wake(s, WAKE_BIT_SHUTDOWN)) {
		end(s);
		return true;
	}
	if (!drain(s, &done, stop))
		return false;
	if (!done)
		return true;
	/* TLS takes much memory: not for a peer that says nothing, or half of something. */
	if (s->tls_waits < TLS_HELLO_WAITS && !tls_stream_hello(&s->stream)) {
		s->tls_waits++;
		s->want = EPOLLIN;
		*stop = SESSION_PARK;
		return false;
	}
	tls_stream_hello_over(&s->stream);
	if (s->begin_tls(s)) {
		reader_init(&s->reader, s->reader.line_max);
		s->stream.drained =
		    false; /* said of clear text: OpenSSL may hold more than the socket shows */
		s->phase = PHASE_HANDSHAKE; /* the time of the phase goes on */
	} else {
		end(s);
	}
	return true;
}

static bool closing_step(struct session *s, enum session_stop *stop)
{
	bool done, sour;

	if (!drain(s, &done, stop))
		return false;
	if (!done)
		return true;
	sour =
	    !s->stream.ended && (s->sour || session_has_input(s) || reader_in_stretch(&s->reader));
	s->stream.ops->goodbye(&s->stream);
	if (sour)
		phase_enter(s, PHASE_LINGER, SESSION_LINGER_MS);
	else
		end(s);
	s->reader.dropped = 0;
	return true;
}

static bool linger_step(struct session *s, enum session_stop *stop)
{
	enum stream_state state;

	buf_reset(&s->in);
	s->in_at = 0;
	state = fill(s);
	s->reader.dropped += s->in.n;
	if (state == STREAM_END || state == STREAM_BROKEN || s->reader.dropped > SESSION_DISCARD ||
	    over(s->phase_end, session_now(s))) {
		end(s);
		return true;
	}
	if (state == STREAM_OK)
		return true;
	s->want = state == STREAM_WANT_WRITE ? EPOLLOUT : EPOLLIN;
	*stop = SESSION_PARK;
	return false;
}

static bool step(struct session *s, u32 *reads, enum session_stop *stop)
{
	switch ((enum session_phase)s->phase) {
	case PHASE_HANDSHAKE:
		return handshake_step(s, stop);
	case PHASE_SERVING:
		return serve_step(s, reads, stop);
	case PHASE_TO_TLS:
		return to_tls_step(s, stop);
	case PHASE_CLOSING:
		return closing_step(s, stop);
	case PHASE_LINGER:
		return linger_step(s, stop);
	case PHASE_DEAD:
		*stop = SESSION_END;
		return false;
	}
	CHECK(false); /* every phase is above */
	return false;
}

enum session_stop session_run(struct session *s, bool (*crowded)(struct session *s))
{
	enum session_stop stop = SESSION_END;
	u32 reads = 0, steps = 0;

	CHECK_MAGIC(s, SESSION_MAGIC);
	if (atomic_load(&s->wakes) & WAKE_BIT_KILL)
		end(s);
	while (step(s, &reads, &stop)) {
		bool long_run = reads >= SESSION_READS || ++steps >= SESSION_UNITS;
		if (long_run && crowded && crowded(s) && s->phase != PHASE_DEAD)
			return SESSION_YIELD;
		if (long_run)
			reads = steps = 0;
	}
	take_wake(s, WAKE_BIT_HANGUP);
	return stop;
}

void session_compact(struct session *s)
{
	struct buf in;

	arena_free(&s->turn);
	output_compact(&s->out);
	if (unseen(s).n == 0) {
		buf_free(&s->in);
		s->in_at = 0;
	} else if (s->in.cap > 2 * unseen(s).n) {
		buf_init(&in, s->in.max);
		buf_add(&in, unseen(s));
		buf_free(&s->in);
		s->in = in;
		s->in_at = 0;
	}
}
