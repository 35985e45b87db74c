/* One message of a FETCH, attribute by attribute. Contract in fetch_int.h. */
#include <unistd.h>

#include "base/log.h"
#include "edge/imap/fetch_int.h"
#include "text/imap_print.h"
#include "text/imap_structure.h"

enum {
	INLINE_MAX = 16 * 1024,
	HEADER_READ = SKELETON_HEADER_BYTES,
	/* Output that a batch may run up: more than one whose attributes each name a message once, far less than one that names it
	 * a hundred times. */
	ENOUGH = 2 * OFFICE_FETCH_BYTES,
};

void fetch_put_slice(struct imap *i, const struct imap_bodies *from, str s)
{
	int copy;

	if (s.n < INLINE_MAX || (copy = dup(from->fd)) < 0) {
		buf_add(imap_out(i), s);
		return;
	}
	session_out_fd(i->session, copy, (u64)(s.p - from->bytes.p), s.n);
}

/* Cuts [from, to) of a section that is prefix + place to the partial range that was asked for. */
static void cut_partial(const struct imap_attribute *t, u64 *from, u64 *to)
{
	u64 n = *to;

	if (!t->partial)
		return;
	*from = t->from < n ? t->from : n;
	*to = t->count < n - *from ? *from + t->count : n;
}

/* Section bytes [from, to) where the prefix comes first. True: all are said; false: f->stream says what is left. */
static bool put_range(struct imap *i, struct fetch *f, const struct fetch_message *m,
		      const struct imap_place *place, u64 from, u64 to)
{
	str prefix = place->prefix ? m->item->prefix : STR_NONE;
	u64 at, end;

	if (from < prefix.n) {
		str part = str_slice(prefix, (size_t)from, (size_t)(to < prefix.n ? to : prefix.n));

		buf_add(imap_out(i), part);
		from += part.n;
	}
	if (from >= to)
		return true;
	at = place->from + (from - prefix.n);
	end = place->from + (to - prefix.n);
	if (end <= m->item->bytes.n) {
		fetch_put_slice(i, m->from, str_slice(m->item->bytes, (size_t)at, (size_t)end));
		return true;
	}
	f->stream = (struct fetch_stream){ true, m->item->uid, at, end };
	return false;
}

static str header_bytes(struct imap *i, struct fetch *f, const struct fetch_message *m,
			const struct imap_place *place)
{
	str bytes = STR_NONE;
	const struct fail *fail;

	if (place->to <= m->item->bytes.n)
		return str_slice(m->item->bytes, (size_t)place->from, (size_t)place->to);
	fail = imap_body_read(i, f->scratch, m->item->uid, place->from, place->to, HEADER_READ,
			      &bytes);
	if (fail) {
		LOG(WARN, "imap.header", LOG_FAIL("fail", fail));
		f->damaged = f->damaged || fail->what == FAIL_CORRUPT;
		if (fail->what != FAIL_CORRUPT)
			(void)imap_break_off(i, fail);
	}
	return bytes;
}

static void put_fields_section(struct imap *i, struct fetch *f, const struct fetch_message *m,
			       const struct imap_attribute *t, const struct imap_place *place)
{
	str header = header_bytes(i, f, m, place),
	    prefix = place->prefix ? m->item->prefix : STR_NONE;
	struct buf *fields = buf_new(f->scratch, header.n + prefix.n + 8);
	u64 from = 0, to;

	if (prefix.n > 0) {
		imap_put_fields(fields, prefix, t);
		fields->n -= 2; /* its empty line: the header's own comes */
	}
	imap_put_fields(fields, header, t);
	to = fields->n;
	cut_partial(t, &from, &to);
	imap_put_literal(imap_out(i), to - from);
	buf_add(imap_out(i), str_slice(buf_str(fields), (size_t)from, (size_t)to));
}

static bool put_section(struct imap *i, struct fetch *f, const struct fetch_message *m,
			const struct imap_attribute *t)
{
	struct imap_place place;
	struct buf *out = imap_out(i);
	u64 from = 0, to;

	imap_put_attribute_name(out, t);
	buf_add_byte(out, ' ');
	if (!imap_section_find(m->skeleton, t, &place)) {
		buf_add(out, S("NIL"));
		return true;
	}
	if (t->text == IMAP_HEADER_FIELDS || t->text == IMAP_HEADER_FIELDS_NOT) {
		put_fields_section(i, f, m, t, &place);
		return true;
	}
	to = place.to - place.from + (place.prefix ? m->item->prefix.n : 0);
	cut_partial(t, &from, &to);
	imap_put_literal(out, to - from);
	return put_range(i, f, m, &place, from, to);
}

static void put_modseq(struct imap *i, u32 row)
{
	buf_printf(imap_out(i), "MODSEQ (%llu)", (unsigned long long)i->view->rows[row].modseq);
}

static void put_size(struct imap *i, const struct fetch_message *m)
{
	u64 size = i->view->rows[m->row].size;

	if (m->item && size == UINT32_MAX)
		size = m->item->prefix.n + m->item->size;
	buf_add(imap_out(i), S("RFC822.SIZE "));
	buf_add_u64(imap_out(i), size);
}

/* False when it goes on in windows. */
static bool put_attribute(struct imap *i, struct fetch *f, const struct fetch_message *m,
			  const struct imap_attribute *t)
{
	struct buf *out = imap_out(i);

	switch (t->kind) {
	case IMAP_FLAGS:
		imap_put_row_flags(i, out, m->row);
		/* RFC 7162 3.1: \Seen set by this FETCH has a mod-sequence; the news have it. */
		if (i->condstore && i->view->rows[m->row].flags & VIEW_CHANGED)
			i->dirty = true;
		view_unmark(i->view, m->row);
		break;
	case IMAP_UID:
		buf_add(out, S("UID "));
		buf_add_u64(out, i->view->rows[m->row].uid);
		break;
	case IMAP_MODSEQ:
		put_modseq(i, m->row);
		break;
	case IMAP_SIZE:
		put_size(i, m);
		break;
	case IMAP_INTERNALDATE:
		buf_add(out, S("INTERNALDATE "));
		imap_put_date(out, f->scratch, m->item->internal_date);
		break;
	case IMAP_ENVELOPE:
		buf_add(out, S("ENVELOPE "));
		imap_put_envelope(out, &m->skeleton->envelope);
		break;
	case IMAP_BODY:
	case IMAP_BODYSTRUCTURE:
		buf_add(out, t->kind == IMAP_BODY ? S("BODY ") : S("BODYSTRUCTURE "));
		imap_put_structure(out, m->skeleton, t->kind == IMAP_BODYSTRUCTURE);
		break;
	case IMAP_SECTION:
		return put_section(i, f, m, t);
	}
	return true;
}

static void put_start(struct imap *i, struct fetch *f, u32 row)
{
	struct buf *out = imap_out(i);

	/* These are the lines that a large mailbox has many of: no printf. */
	buf_add(out, S("* "));
	buf_add_u64(out, row + 1);
	buf_add(out, S(" FETCH ("));
	if (f->uid) {
		buf_add(out, S("UID "));
		buf_add_u64(out, i->view->rows[row].uid);
		buf_add_byte(out, ' ');
	}
	if (f->modseq) {
		put_modseq(i, row);
		buf_add_byte(out, ' ');
	}
}

/* RFC 3501 6.4.5: flags that the FETCH changed are told in its response. */
void fetch_put_end(struct imap *i, u32 row)
{
	if (i->view->rows[row].flags & VIEW_CHANGED) {
		buf_add_byte(imap_out(i), ' ');
		imap_put_row_flags(i, imap_out(i), row);
		if (!i->condstore)
			view_unmark(i->view, row);
		else /* its mod-sequence is not known before the news */
			i->dirty = true;
	}
	buf_add(imap_out(i), S(")\r\n"));
}

bool fetch_put_enough(struct imap *i)
{
	return session_unsent(i->session) >= ENOUGH;
}

bool fetch_put_message(struct imap *i, struct fetch *f, const struct fetch_message *m)
{
	if (f->attribute == 0)
		put_start(i, f, m->row);
	while (f->attribute < f->ask.n) {
		if (f->attribute > 0 && fetch_put_enough(i))
			return false;
		if (f->attribute > 0)
			buf_add_byte(imap_out(i), ' ');
		if (!put_attribute(i, f, m, &f->ask.attributes[f->attribute++]))
			return false;
	}
	fetch_put_end(i, m->row);
	f->attribute = 0;
	return true;
}
