#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/chars.h"
#include "base/check.h"
#include "base/env.h"
#include "base/fail.h"
#include "base/fd.h"
#include "base/id.h"

enum {
	RING = 256 * 1024,
	FLUSH_MS = 300, /* at the end, when nobody reads the log (THREATS F08) */
	REST_MS =
	    5, /* between two writes, unless half the ring is full: lines that come close together go together */
};

/* One line being made; what does not fit is cut, never written past. */
struct line {
	char text[LOG_LINE];
	size_t n;
};

static const char *process_name = "postern";
static _Atomic int lowest_level = LOG_INFO;

/* The ring: bytes [tail, head) modulo RING wait to be written. Guarded by ring_lock. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t filled, drained, wanted; /* wanted: now, not after the rest */
	u8 bytes[RING];
	u64 head, tail;
	u64 dropped, told; /* lines, in all; of them those that a note told of */
	bool torn;         /* a part of a line may have been written */
	bool started;
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .filled = PTHREAD_COND_INITIALIZER,
	   .drained = PTHREAD_COND_INITIALIZER,
	   .wanted = PTHREAD_COND_INITIALIZER };

void log_name(const char *process, enum log_level lowest)
{
	process_name = process;
	log_level_set(lowest);
}

void log_level_set(enum log_level lowest)
{
	atomic_store(&lowest_level, (int)lowest);
}

static void line_add(struct line *l, str s)
{
	size_t room = sizeof l->text - 1 - l->n; /* one is kept for the LF */

	if (s.n > room)
		s.n = room;
	if (s.n)
		memcpy(l->text + l->n, s.p, s.n);
	l->n += s.n;
}

static bool is_plain(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!char_is(s.p[i], CHAR_VCHAR) || s.p[i] == '"' || s.p[i] == '=' ||
		    s.p[i] == '\\')
			return false;
	return s.n > 0;
}

/* The one place where bytes from peers become text in a log. */
static void line_add_escaped(struct line *l, str s)
{
	static const char hex[] = "0123456789abcdef";

	line_add(l, S("\""));
	for (size_t i = 0; i < s.n; i++) {
		u8 byte = s.p[i];
		char escape[4] = { '\\', 'x', hex[byte >> 4], hex[byte & 15] };
		if (byte == '"' || byte == '\\') {
			line_add(l, S("\\"));
			line_add(l, str_from(&byte, 1));
		} else if (char_is(byte, CHAR_VCHAR) || byte == ' ') {
			line_add(l, str_from(&byte, 1));
		} else {
			line_add(l, str_from(escape, 4));
		}
	}
	line_add(l, S("\""));
}

static void line_add_value(struct line *l, str s)
{
	if (is_plain(s))
		line_add(l, s);
	else
		line_add_escaped(l, s);
}

static void line_add_field(struct line *l, struct arena *a, const struct log_field *f)
{
	line_add(l, S(" "));
	line_add(l, str_cstr(f->name));
	line_add(l, S("="));
	switch (f->type) {
	case LOG_FIELD_STR:
		line_add_value(l, f->s);
		break;
	case LOG_FIELD_U64:
		line_add(l, str_format(a, "%llu", (unsigned long long)f->u));
		break;
	case LOG_FIELD_ID:
		line_add(l, id_text(a, f->u));
		break;
	case LOG_FIELD_FAIL:
		line_add_value(l, f->fail ? fail_chain(a, f->fail) : STR_NONE);
		break;
	}
}

static void line_begin(struct line *l, enum log_level level, const char *event)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	u64 now = env_now(env_system());
	time_t seconds = (time_t)(now / 1000);
	struct tm t;
	int n;

	gmtime_r(&seconds, &t);
	n = snprintf(l->text, sizeof l->text,
		     "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=%s proc=%s event=%s",
		     t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
		     (int)(now % 1000), names[level], process_name, event);
	CHECK(n > 0 && (size_t)n < sizeof l->text - 1);
	l->n = (size_t)n;
}

static void ring_copy_in(str s)
{
	for (size_t done = 0; done < s.n;) {
		size_t at = (size_t)(ring.head % RING), n = s.n - done;
		if (n > RING - at)
			n = RING - at;
		memcpy(ring.bytes + at, s.p + done, n);
		ring.head += n;
		done += n;
	}
}

/* The count of all that were dropped so far: a note that is dropped too says nothing less when it comes again. What a full disk took of a
 * line is ended first. */
static void note_dropped(struct line *note)
{
	struct line text;

	line_begin(&text, LOG_WARN, "log.dropped");
	note->n = (size_t)snprintf(note->text, sizeof note->text, "%s%.*s lines=%llu\n",
				   ring.torn ? "\n" : "", (int)text.n, text.text,
				   (unsigned long long)ring.dropped);
	ring.told = ring.dropped;
	ring.torn = false;
}

static void ring_put(str s)
{
	struct line note;

	if (ring.dropped != ring.told && RING - (ring.head - ring.tail) > s.n + LOG_LINE) {
		note_dropped(&note);
		ring_copy_in(str_from(note.text, note.n));
	}
	if (RING - (ring.head - ring.tail) < s.n)
		ring.dropped++;
	else
		ring_copy_in(s);
}

/* The disk is full, or whatever stderr is takes no more. */
static void not_written(str lines)
{
	for (size_t i = 0; i < lines.n; i++)
		ring.dropped += lines.p[i] == '\n';
	ring.torn = true;
	ring.told = 0;
}

/* Without a thread for it nobody may wait for the log's reader: parent has none, and children would stay dead (THREATS F08). A pipe that is
 * ready has room for a whole line. */
static bool write_now(str s)
{
	struct pollfd at = { STDERR_FILENO, POLLOUT, 0 };

	if (poll(&at, 1, 0) != 1)
		return false;
	if (fd_write_all(STDERR_FILENO, s))
		return true;
	ring.torn = true;
	return false;
}

/* The line, after one that tells how many are missing. */
static void put_now(str s)
{
	struct line note;

	if (ring.dropped != ring.told) {
		note_dropped(&note);
		if (!write_now(str_from(note.text, note.n)))
			ring.told = 0;
	}
	if (!write_now(s)) {
		ring.dropped++;
		ring.told = 0;
	}
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	struct arena *a;
	struct line l;
	str text;

	if ((int)level < atomic_load(&lowest_level))
		return;
	a = arena_new((size_t)LOG_LINE * 8);
	line_begin(&l, level, event);
	for (size_t i = 0; i < n; i++)
		line_add_field(&l, a, &fields[i]);
	l.text[l.n++] = '\n';
	text = str_from(l.text, l.n);
	arena_free(&a);

	pthread_mutex_lock(&ring.lock);
	if (ring.started) {
		ring_put(text);
		pthread_cond_signal(&ring.filled);
		if (ring.head - ring.tail > RING / 2)
			pthread_cond_signal(&ring.wanted);
	} else {
		put_now(text);
	}
	pthread_mutex_unlock(&ring.lock);
}

static struct timespec in_ms(long ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000L;
	t.tv_nsec %= 1000000000L;
	return t;
}

/* Called with the lock held. */
static void rest(void)
{
	struct timespec end = in_ms(REST_MS);

	pthread_cond_clockwait(&ring.wanted, &ring.lock, CLOCK_MONOTONIC, &end);
}

static void *write_forever(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&ring.lock);
	for (;;) {
		size_t at, n;
		bool written;
		while (ring.head == ring.tail)
			pthread_cond_wait(&ring.filled, &ring.lock);
		at = (size_t)(ring.tail % RING);
		n = (size_t)(ring.head - ring.tail);
		if (n > RING - at)
			n = RING - at;
		pthread_mutex_unlock(
		    &ring.lock); /* writers only touch bytes outside [tail, head) */
		written = fd_write_all(STDERR_FILENO, str_from(ring.bytes + at, n));
		pthread_mutex_lock(&ring.lock);
		if (!written)
			not_written(str_from(ring.bytes + at, n));
		ring.tail += n;
		pthread_cond_broadcast(&ring.drained);
		rest();
	}
	return NULL;
}

void log_start(void)
{
	pthread_t thread;
	pthread_attr_t attributes;

	pthread_mutex_lock(&ring.lock);
	ring.started = true;
	pthread_mutex_unlock(&ring.lock);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	CHECK(pthread_create(&thread, &attributes, write_forever, NULL) == 0);
	pthread_attr_destroy(&attributes);
}

void log_flush(void)
{
	struct timespec end = in_ms(FLUSH_MS);
	int late = 0;
	u64 until;

	if (pthread_mutex_clocklock(&ring.lock, CLOCK_MONOTONIC, &end) != 0)
		return; /* a check failed in here */
	until = ring.head;
	pthread_cond_signal(&ring.wanted);
	while (ring.started && ring.tail < until && late == 0)
		late = pthread_cond_clockwait(&ring.drained, &ring.lock, CLOCK_MONOTONIC, &end);
	pthread_mutex_unlock(&ring.lock);
}
