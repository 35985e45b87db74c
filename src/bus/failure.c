/* How a struct fail crosses the bus: see failure.h. */
#include "bus/failure.h"

#include "base/arena.h"
#include "base/scan.h"

void failure_encode(struct encoder *e, const struct fail *f)
{
	encode_u8(e, (u8)f->what);
	encode_u8(e, (u8)f->kind);
	encode_str(e, f->code);
	encode_str(e, str_slice(f->text, 0, FAILURE_TEXT_MAX));
}

/* RFC 3463 2: class "." subject "." detail, of a class that fits the kind. */
static bool code_good(str code, enum fail_kind kind)
{
	struct scan s = scan_of(code);
	str digits;

	return code.n <= FAILURE_CODE_MAX && scan_byte(&s, kind == FAIL_PERM ? '5' : '4') &&
	       scan_byte(&s, '.') && scan_span(&s, CHAR_DIGIT, &digits) && scan_byte(&s, '.') &&
	       scan_span(&s, CHAR_DIGIT, &digits) && scan_end(&s);
}

static bool text_good(str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (char_is(text.p[i], CHAR_CTL))
			return false;
	return text.n <= FAILURE_TEXT_MAX;
}

const struct fail *failure_decode(struct decoder *d)
{
	struct fail *f = arena_new_of(d->arena, struct fail);
	u8 what = decode_u8(d), kind = decode_u8(d);

	f->code = decode_str(d);
	f->text = decode_str(d);
	if (!decoder_done(d) || what >= FAIL_WHATS || kind > FAIL_PERM ||
	    !code_good(f->code, kind) || !text_good(f->text))
		return NULL;
	f->what = what;
	f->kind = kind;
	return f;
}
