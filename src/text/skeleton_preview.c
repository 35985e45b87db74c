/* The start of the first text/plain part: decoded, UTF-8, blanks single. */
#include "text/skeleton_int.h"

#include "base/arena.h"
#include "text/charset.h"
#include "text/utf8.h"

void preview_begin(struct skeleton_parser *p, const struct skeleton_part *part)
{
	struct preview *v = &p->preview;

	if (v->state != PREVIEW_WAITING || !str_eq(part->type, S("TEXT")) ||
	    !str_eq(part->subtype, S("PLAIN")) || str_eq_nocase(part->disposition, S("attachment")))
		return;
	v->state = PREVIEW_READING;
	v->depth = p->open_n;
	for (size_t i = part->params_n; i-- > 0;) /* the first counts */
		if (str_eq_nocase(part->params[i].name, S("charset")))
			v->charset = part->params[i].value;
	if (str_eq_nocase(part->encoding, S("base64")))
		v->coding = PREVIEW_BASE64;
	if (str_eq_nocase(part->encoding, S("quoted-printable")))
		v->coding = PREVIEW_QP;
}

void preview_add(struct skeleton_parser *p, str body)
{
	struct preview *v = &p->preview;

	if (v->state != PREVIEW_READING || v->raw->full || v->raw->n == v->raw->max)
		return;
	if (v->coding == PREVIEW_BASE64)
		base64_read(&v->base64, body, v->raw);
	else if (v->coding == PREVIEW_QP)
		qp_read(&v->qp, body, v->raw);
	else
		buf_add(v->raw, str_slice(body, 0, v->raw->max - v->raw->n));
}

void preview_end(struct skeleton_parser *p)
{
	struct preview *v = &p->preview;

	if (v->state != PREVIEW_READING || v->depth != p->open_n)
		return;
	v->state = PREVIEW_DONE;
	base64_finish(&v->base64, v->raw);
	qp_finish(&v->qp, v->raw);
}

/* Controls, and the blanks and line ends of Unicode. */
static bool is_blank(u32 code)
{
	return code <= 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0x2028 || code == 0x2029 ||
	       code == 0xFEFF;
}

str preview_text(struct skeleton_parser *p)
{
	struct buf *text = buf_new(p->scratch, SKELETON_PREVIEW_RAW * 4);
	struct buf *out = buf_new(p->a, SKELETON_PREVIEW);
	bool blank = false;
	str all;
	u32 code;

	charset_to_utf8(p->preview.charset, buf_str(p->preview.raw), text);
	all = buf_str(text);
	for (size_t i = 0, n; i < all.n; i += n) {
		if (!utf8_next(all, i, &code, &n) || is_blank(code)) {
			blank = true;
			continue;
		}
		if (out->n + n + 1 > SKELETON_PREVIEW)
			break;
		if (blank && out->n)
			buf_add_byte(out, ' ');
		blank = false;
		buf_add(out, str_slice(all, i, i + n));
	}
	return buf_str(out);
}
