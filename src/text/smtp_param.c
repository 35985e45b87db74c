/* MAIL and RCPT with their parameters (smtp_param.tbl). */
#include "text/smtp_command.h"

#include "base/check.h"
#include "base/arena.h"
#include "base/buf.h"
#include "text/encoding.h"
#include "text/utf8.h"

enum param_id {
#define PARAM(command, keyword, extensions, value, rfc) PARAM_##keyword,
#include "text/smtp_param.tbl"
#undef PARAM
	PARAM_IDS
};

enum param_value { VALUE_BARE, VALUE_WITH };

static const struct rule {
	enum smtp_verb command;
	str keyword;
	unsigned extensions;
	enum param_value value;
} rules[] = {
#define PARAM(command, keyword, extensions, value, rfc) \
	[PARAM_##keyword] = { SMTP_##command, S(#keyword), extensions, VALUE_##value },
#include "text/smtp_param.tbl"
#undef PARAM
};

/* One command under way. */
struct params {
	struct arena *a;
	enum smtp_verb command;
	unsigned extensions;
	unsigned seen; /* 1 << enum param_id */
	bool utf8;     /* values may hold UTF-8 */
	struct smtp_mail *mail;
	struct smtp_rcpt *rcpt;
};

static const struct fail *bad_value(struct params *p, enum param_id id)
{
	CHECK(id < PARAM_IDS);
	return fail_code(p->a, FAIL_SYNTAX, "5.5.4", "bad value of %.*s",
			 STR_ARG(rules[id].keyword));
}

static const struct fail *take_size(struct params *p, str value)
{
	for (size_t i = 0; i < value.n; i++)
		if (!char_is(value.p[i], CHAR_DIGIT))
			return bad_value(p, PARAM_SIZE);
	if (value.n > SMTP_SIZE_DIGITS)
		return bad_value(p, PARAM_SIZE);
	if (!str_u64(value, &p->mail->size))
		return fail_code(p->a, FAIL_TOO_LARGE, "5.3.4", "message too large");
	p->mail->has_size = true;
	return NULL;
}

static const struct fail *take_body(struct params *p, str value)
{
	if (str_eq_nocase(value, S("7BIT")))
		p->mail->body = SMTP_BODY_7BIT;
	else if (str_eq_nocase(value, S("8BITMIME")) && (p->extensions & SMTP_EXT_8BITMIME))
		p->mail->body = SMTP_BODY_8BITMIME;
	else if (str_eq_nocase(value, S("BINARYMIME")) && (p->extensions & SMTP_EXT_BINARYMIME))
		p->mail->body = SMTP_BODY_BINARYMIME;
	else
		return bad_value(p, PARAM_BODY);
	return NULL;
}

static const struct fail *take_ret(struct params *p, str value)
{
	if (str_eq_nocase(value, S("FULL")))
		p->mail->ret = SMTP_RET_FULL;
	else if (str_eq_nocase(value, S("HDRS")))
		p->mail->ret = SMTP_RET_HDRS;
	else
		return bad_value(p, PARAM_RET);
	return NULL;
}

/* A buf for what a value decodes to: never longer than the value. */
static struct buf *decoded(struct params *p, str value)
{
	return buf_new(p->a, value.n + 1);
}

static const struct fail *take_envid(struct params *p, str value)
{
	struct buf *out = decoded(p, value);

	if (value.n > SMTP_ENVID || !xtext_decode(out, value) || out->n == 0)
		return bad_value(p, PARAM_ENVID);
	p->mail->envid = buf_str(out);
	return NULL;
}

static const struct fail *take_auth(struct params *p, str value)
{
	struct buf *out = decoded(p, value);
	struct address mailbox;

	p->mail->has_auth = true;
	if (str_eq(value, S("<>")))
		return NULL;
	if (!xtext_decode(out, value) ||
	    address_parse(p->a, buf_str(out), ADDRESS_UTF8, &mailbox) != NULL)
		return bad_value(p, PARAM_AUTH);
	p->mail->auth = address_print(p->a, &mailbox);
	return NULL;
}

static unsigned notify_of(str word)
{
	if (str_eq_nocase(word, S("NEVER")))
		return SMTP_NOTIFY_NEVER;
	if (str_eq_nocase(word, S("SUCCESS")))
		return SMTP_NOTIFY_SUCCESS;
	if (str_eq_nocase(word, S("FAILURE")))
		return SMTP_NOTIFY_FAILURE;
	return str_eq_nocase(word, S("DELAY")) ? SMTP_NOTIFY_DELAY : 0;
}

/* NEVER stands alone; no word twice. */
static const struct fail *take_notify(struct params *p, str value)
{
	unsigned notify = 0;

	for (size_t comma; value.n; value = str_skip(value, comma + 1)) {
		unsigned bit;
		comma = str_find(value, ',');
		bit = notify_of(str_slice(value, 0, comma));
		if (bit == 0 || (notify & bit) || comma == value.n - 1)
			return bad_value(p, PARAM_NOTIFY);
		notify |= bit;
		if (comma == SIZE_MAX)
			break;
	}
	if ((notify & SMTP_NOTIFY_NEVER) && notify != SMTP_NOTIFY_NEVER)
		return bad_value(p, PARAM_NOTIFY);
	p->rcpt->notify = notify;
	return NULL;
}

/* "\x{" HEXPOINT "}" at the cursor, RFC 6533 3. */
static bool take_unicode(struct scan *s, struct buf *out)
{
	str digits;
	u32 code = 0;

	if (!(scan_lit(s, S("\\x{")) && scan_span(s, CHAR_HEXDIG, &digits) && scan_byte(s, '}')) ||
	    digits.n > 6)
		return false;
	for (size_t i = 0; i < digits.n; i++)
		code = code << 4 | (u32)char_hex(digits.p[i]);
	if (code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0xD800 && code <= 0xDFFF) ||
	    code > 0x10FFFF)
		return false;
	utf8_add(out, code);
	return true;
}

/* utf-8-addr-xtext or utf-8-addr-unitext, RFC 6533 3. The xtext layer is off already. */
static bool decode_unicode(str text, struct buf *out)
{
	struct scan s = scan_of(text);
	str plain;

	while (!scan_end(&s)) {
		size_t n = str_find(s.rest, '\\');
		scan_take(&s, n == SIZE_MAX ? s.rest.n : n, &plain);
		buf_add(out, plain);
		if (!scan_end(&s) && !take_unicode(&s, out))
			return false;
	}
	return str_is_utf8(buf_str(out));
}

/* xtext, in which UTF-8 may stand as it is (utf-8-addr-unitext). */
static bool decode_orcpt(struct params *p, str value, struct buf *out)
{
	struct buf *once = decoded(p, value);

	if (!str_eq(p->rcpt->orcpt_type, S("utf-8")))
		return xtext_decode(out, value);
	if (!str_is_ascii(value)) {
		buf_add(once, value);
		return p->utf8 && decode_unicode(buf_str(once), out);
	}
	return xtext_decode(once, value) && decode_unicode(buf_str(once), out);
}

/* addr-type ";" xtext */
static const struct fail *take_orcpt(struct params *p, str value)
{
	struct buf *out = decoded(p, value);
	struct scan s = scan_of(value);
	str type;

	if (value.n > SMTP_ORCPT || !scan_span(&s, CHAR_LDH, &type) || !scan_byte(&s, ';'))
		return bad_value(p, PARAM_ORCPT);
	p->rcpt->orcpt_type = str_lower(p->a, type);
	if (!decode_orcpt(p, s.rest, out) || out->n == 0)
		return bad_value(p, PARAM_ORCPT);
	p->rcpt->orcpt = buf_str(out);
	return NULL;
}

static const struct fail *take_value(struct params *p, enum param_id id, str value)
{
	switch (id) {
	case PARAM_SIZE:
		return take_size(p, value);
	case PARAM_BODY:
		return take_body(p, value);
	case PARAM_SMTPUTF8:
		p->mail->smtputf8 = true;
		return NULL;
	case PARAM_RET:
		return take_ret(p, value);
	case PARAM_ENVID:
		return take_envid(p, value);
	case PARAM_AUTH:
		return take_auth(p, value);
	case PARAM_NOTIFY:
		return take_notify(p, value);
	case PARAM_ORCPT:
		return take_orcpt(p, value);
	case PARAM_IDS:
		break;
	}
	return bad_value(p, id);
}

static bool find_rule(const struct params *p, str keyword, enum param_id *id)
{
	for (unsigned i = 0; i < PARAM_IDS; i++) {
		if (rules[i].command != p->command || !(rules[i].extensions & p->extensions) ||
		    !str_eq_nocase(rules[i].keyword, keyword))
			continue;
		*id = (enum param_id)i;
		return true;
	}
	return false;
}

/* esmtp-param, RFC 5321 4.1.2. */
static const struct fail *take_param(struct params *p, str param)
{
	size_t equals = str_find(param, '=');
	str keyword = str_slice(param, 0, equals);
	str value = equals == SIZE_MAX ? STR_NONE : str_skip(param, equals + 1);
	enum param_id id;

	if (!find_rule(p, keyword, &id))
		return fail_code(p->a, FAIL_INVALID, "5.5.4", "parameter not known");
	if (p->seen & 1u << id)
		return fail_code(p->a, FAIL_SYNTAX, "5.5.4", "%.*s stands twice",
				 STR_ARG(rules[id].keyword));
	p->seen |= 1u << id;
	if ((equals != SIZE_MAX) != (rules[id].value == VALUE_WITH) ||
	    (rules[id].value == VALUE_WITH && (value.n == 0 || !str_is_utf8(value))))
		return bad_value(p, id);
	return take_value(p, id, value);
}

static const struct fail *take_params(struct params *p, struct scan *s)
{
	size_t n = 0;

	while (!scan_end(s)) {
		size_t end;
		str param;
		if (!scan_sp(s) || ++n > SMTP_PARAMS)
			return fail_code(p->a, FAIL_SYNTAX, "5.5.4", "bad parameters");
		end = str_find(s->rest, ' ');
		scan_take(s, end == SIZE_MAX ? s->rest.n : end, &param);
		if (param.n)
			TRY(take_param(p, param));
	}
	return NULL;
}

/* The address fails say 5.1.3; of a sender that is 5.1.7. */
static const struct fail *as_sender(struct arena *a, const struct fail *f)
{
	if (f == NULL || f->what != FAIL_SYNTAX)
		return f;
	return fail_code(a, FAIL_SYNTAX, "5.1.7", "bad sender address: %.*s", STR_ARG(f->text));
}

static const struct fail *needs_smtputf8(struct arena *a)
{
	return fail_code(a, FAIL_INVALID, "5.6.7", "non-ASCII address needs SMTPUTF8");
}

const struct fail *smtp_mail_parse(struct arena *a, str argument, unsigned extensions,
				   struct smtp_mail *out)
{
	struct params p = { .a = a, .command = SMTP_MAIL, .extensions = extensions, .mail = out };
	unsigned options = ADDRESS_NULL | (extensions & SMTP_EXT_SMTPUTF8 ? ADDRESS_UTF8 : 0);
	struct scan s = scan_of(argument);

	*out = (struct smtp_mail){ 0 };
	if (!scan_lit(&s, S("FROM:")))
		return fail_code(a, FAIL_SYNTAX, "5.5.4",
				 "syntax: MAIL FROM:<address> [parameters]");
	scan_wsp0(&s);
	TRY(as_sender(a, address_scan_path(a, &s, options, &out->from)));
	TRY(take_params(&p, &s));
	return out->from.utf8 && !out->smtputf8 ? needs_smtputf8(a) : NULL;
}

const struct fail *smtp_rcpt_parse(struct arena *a, str argument, unsigned extensions,
				   bool smtputf8, struct smtp_rcpt *out)
{
	struct params p = { .a = a,
			    .command = SMTP_RCPT,
			    .extensions = extensions,
			    .utf8 = smtputf8,
			    .rcpt = out };
	struct scan s = scan_of(argument);

	*out = (struct smtp_rcpt){ 0 };
	if (!scan_lit(&s, S("TO:")))
		return fail_code(a, FAIL_SYNTAX, "5.5.4", "syntax: RCPT TO:<address> [parameters]");
	scan_wsp0(&s);
	TRY(address_scan_path(a, &s, ADDRESS_POSTMASTER | (smtputf8 ? ADDRESS_UTF8 : 0), &out->to));
	return take_params(&p, &s);
}
