#include "text/charset.h"

#include <errno.h>
#include <iconv.h>
#include <pthread.h>

#include "base/chars.h"

enum { CHARSET_LABEL = 40, CHARSET_CHUNK = 512, CHARSET_GROWTH = 4, CHARSET_SLACK = 16 };

/* `opened` and `converter` belong to `lock`. */
static struct charset {
	const char *name;
	str labels;
	pthread_mutex_t lock;
	bool opened;
	iconv_t converter;
} charsets[] = {
#define CHARSET(name_, labels_)                                   \
	{ .name = name_,                                          \
	  .labels = { (const u8 *)labels_, sizeof(labels_) - 1 }, \
	  .lock = PTHREAD_MUTEX_INITIALIZER },
#include "text/charset.tbl"
#undef CHARSET
};

/* Read without a converter: UTF-8 when it is that, windows-1252 when it is not. */
static const str utf8_labels =
    S(" utf-8 utf8 us-ascii ascii unicode-1-1-utf-8 unicode11utf8 "
      "unicode20utf8 x-unicode20utf8 iso-ir-6 csascii utf-8-mac cp65001 ");

static iconv_t charset_open(struct charset *c)
{
	if (!c->opened)
		c->converter = iconv_open("UTF-8", c->name);
	c->opened = true;
	return c->converter;
}

void charset_prepare(void)
{
	for (size_t i = 0; i < ARRAY_LEN(charsets); i++) {
		pthread_mutex_lock(&charsets[i].lock);
		charset_open(&charsets[i]);
		pthread_mutex_unlock(&charsets[i].lock);
	}
}

/* " label " in lower case; false when no label looks like that. */
static bool label_word(str label, u8 word[CHARSET_LABEL + 2], str *out)
{
	label = str_trim(label);
	if (label.n == 0 || label.n > CHARSET_LABEL)
		return false;
	word[0] = ' ';
	for (size_t i = 0; i < label.n; i++) {
		if (!char_is(label.p[i], CHAR_VCHAR))
			return false;
		word[i + 1] = char_lower(label.p[i]);
	}
	word[label.n + 1] = ' ';
	*out = str_from(word, label.n + 2);
	return true;
}

static struct charset *charset_find(str word)
{
	for (size_t i = 0; i < ARRAY_LEN(charsets); i++)
		if (str_find_str(charsets[i].labels, word) != SIZE_MAX)
			return &charsets[i];
	return NULL;
}

bool charset_known(str label)
{
	u8 bytes[CHARSET_LABEL + 2];
	str word;

	return label_word(label, bytes, &word) &&
	       (str_find_str(utf8_labels, word) != SIZE_MAX || charset_find(word));
}

/* How much more may be written to out. */
struct room {
	struct buf *out;
	size_t left;
};

static bool room_add(struct room *r, str bytes)
{
	if (bytes.n > r->left) {
		r->out->full = true;
		return false;
	}
	buf_add(r->out, bytes);
	r->left -= bytes.n;
	return !r->out->full;
}

/* One call of iconv into at most a chunk; false when nothing more can be written. */
static bool convert_step(iconv_t converter, char **in, size_t *in_n, struct room *room, int *error)
{
	char chunk[CHARSET_CHUNK], *at = chunk;
	size_t size = room->left < sizeof chunk ? room->left : sizeof chunk, left = size;

	errno = 0;
	*error = iconv(converter, in, in_n, &at, &left) == (size_t)-1 ? errno : 0;
	if (*error == E2BIG && left == size) {
		room->out->full = true;
		return false;
	}
	return room_add(room, str_from(chunk, size - left));
}

static void convert(iconv_t converter, str text, struct room *room)
{
	char *in = (char *)(uintptr_t)text.p; /* iconv only reads it */
	size_t in_n = text.n;
	int error = 0;

	iconv(converter, NULL, NULL, NULL, NULL);
	while (in_n > 0) {
		if (!convert_step(converter, &in, &in_n, room, &error))
			return;
		if (error == 0 || error == E2BIG)
			continue;
		if (!room_add(room, S("\xEF\xBF\xBD")))
			return;
		if (error == EINVAL) /* cut off in the middle of a character */
			in_n = 1;
		in++;
		in_n--;
	}
	convert_step(converter, NULL, NULL, room,
		     &error); /* some converters hold a character back */
}

static bool convert_by(struct charset *c, str text, struct room *room)
{
	iconv_t converter;

	pthread_mutex_lock(&c->lock);
	converter = charset_open(c);
	if (converter != (iconv_t)-1)
		convert(converter, text, room);
	pthread_mutex_unlock(&c->lock);
	return converter != (iconv_t)-1;
}

static void add_repaired(str text, struct room *room)
{
	struct buf repaired;

	if (text.n <= room->left && str_is_utf8(text)) { /* nearly always: nothing to repair */
		buf_add(room->out, text);
		return;
	}
	buf_init(&repaired, room->left);
	utf8_repair(text, &repaired);
	buf_add(room->out, buf_str(&repaired));
	if (repaired.full)
		room->out->full = true;
	buf_free(&repaired);
}

void charset_to_utf8(str label, str text, struct buf *out)
{
	u8 bytes[CHARSET_LABEL + 2];
	struct room room = { out, out->max - out->n };
	struct charset *c = NULL;
	bool said_utf8 = false;
	str word;

	if (out->full)
		return;
	if (text.n < (SIZE_MAX - CHARSET_SLACK) / CHARSET_GROWTH &&
	    room.left > text.n * CHARSET_GROWTH + CHARSET_SLACK)
		room.left = text.n * CHARSET_GROWTH + CHARSET_SLACK;
	if (label_word(label, bytes, &word)) {
		said_utf8 = str_starts(word, S(" utf-8 ")) || str_starts(word, S(" utf8 "));
		c = charset_find(word);
	}
	if (c == NULL && !said_utf8 && !str_is_utf8(text))
		c = &charsets[0];
	if (c == NULL || !convert_by(c, text, &room))
		add_repaired(text, &room);
}
