/*
 * postern header: what the header of a message tells, and how far it can be believed. Received fields stand newest first; those down to
 * the last one that this host wrote are facts, everything below is what others claim.
 */
#include "ctl/ctl_int.h"
#include "text/date.h"
#include "text/header.h"
#include "text/json.h"
#include "text/token.h"
#include "verdict/authres.h"

enum { HEADER_OUTPUT = 512 * 1024, HEADER_HOPS = 100 };

struct hop {
	str from, by, with, tls;
	bool has_time;
	i64 time;
	bool ours;
};

struct way {
	struct hop hops[HEADER_HOPS]; /* newest first */
	size_t n;
	size_t trusted; /* hops that this host wrote, from the top */
};

/* The next word outside comments; *comment: the last one before it. */
static bool next_word(struct ctl *c, struct scan *s, str *word, str *comment)
{
	struct buf *text = buf_new(c->arena, s->rest.n + 1);
	bool broken = false;
	size_t n = 0;
	str blanks;

	for (;;) {
		scan_span0(s, CHAR_WSP | CHAR_CRLF, &blanks);
		if (scan_peek(s) != '(')
			break;
		buf_reset(text);
		token_comment(s, text, &broken);
		*comment = token_clean(c->arena, buf_str(text));
	}
	while (n < s->rest.n && s->rest.p[n] != '(' && s->rest.p[n] != ';' &&
	       !char_is(s->rest.p[n], CHAR_WSP | CHAR_CRLF))
		n++;
	return scan_take(s, n, word) && n > 0;
}

/* RFC 5321 4.4: from, by, with and a date; a comment behind "with" tells of TLS when it says so. */
static void read_hop(struct ctl *c, str value, struct hop *h)
{
	size_t semicolon = str_find_last(value, ';');
	struct scan s = scan_of(str_slice(value, 0, semicolon));
	str *take = NULL, word, comment = STR_NONE;

	if (semicolon != SIZE_MAX)
		h->has_time = date_parse(str_skip(value, semicolon + 1), &h->time, NULL);
	while (next_word(c, &s, &word, &comment)) {
		if (take)
			*take = str_copy(c->arena, word);
		take = take                             ? NULL
		       : str_eq_nocase(word, S("from")) ? &h->from
		       : str_eq_nocase(word, S("by"))   ? &h->by
		       : str_eq_nocase(word, S("with")) ? &h->with
							: NULL;
		if (str_find_str(comment, S("TLS")) != SIZE_MAX)
			h->tls = comment;
	}
}

static void read_way(struct ctl *c, str header, str hostname, struct way *w)
{
	struct header_field f;

	for (size_t i = 0; i < HEADER_HOPS && header_find(header, S("Received"), i, &f); i++) {
		struct hop *h = &w->hops[w->n++];
		read_hop(c, f.value, h);
		h->ours = str_eq_nocase(h->by, hostname);
		if (h->ours && w->trusted == i)
			w->trusted = w->n;
	}
}

static str tls_of(const struct hop *h)
{
	bool secure = str_ends_nocase(h->with, S("S")) || str_ends_nocase(h->with, S("SA"));

	if (h->tls.n > 0)
		return h->tls;
	return secure ? S("yes") : h->with.n > 0 ? S("no") : S("?");
}

/* From the hop before (below it) to this one; a negative one is a clock that is wrong. */
static str delay_of(struct ctl *c, const struct way *w, size_t i)
{
	i64 seconds;

	if (i + 1 >= w->n || !w->hops[i].has_time || !w->hops[i + 1].has_time)
		return S("-");
	seconds = (w->hops[i].time - w->hops[i + 1].time) / 1000;
	return str_format(c->arena, "%lld s%s", (long long)seconds,
			  seconds < 0 ? " (a clock is wrong)" : "");
}

static void print_way(struct ctl *c, const struct way *w)
{
	static const char *const columns[] = { "hop", "from", "by",    "with",
					       "tls", "time", "delay", "written" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));

	for (size_t i = w->n; i-- > 0;) {
		const struct hop *h = &w->hops[i];
		listing_u64(l, w->n - i);
		listing_str(l, h->from);
		listing_str(l, h->by);
		listing_str(l, h->with);
		listing_str(l, tls_of(h));
		listing_str(l, h->has_time ? date_print_iso(c->arena, h->time) : S("-"));
		listing_str(l, delay_of(c, w, i));
		listing_str(l, i < w->trusted ? S("here") : S("claimed"));
	}
	listing_print(l, "no Received field: the message never passed a mail server");
}

/* RFC 8601 2.7 in words. */
static const char *meaning(str method)
{
	static const struct {
		str method;
		const char *text;
	} rows[] = {
		{ S("spf"), "may this client send for the sender's domain" },
		{ S("dkim"), "did this domain sign the message as it is" },
		{ S("dmarc"), "does the author's domain vouch for the message" },
		{ S("arc"), "is the chain of those who passed it on whole" },
		{ S("iprev"), "does the client's address have a name that leads back" },
		{ S("auth"), "who had logged in" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq_nocase(method, rows[i].method))
			return rows[i].text;
	return "something else";
}

static void print_results(struct ctl *c, struct buf *out, str value, bool ours)
{
	struct authres r;

	authres_parse(c->arena, value, &r);
	buf_printf(out, "\n%.*s %s\n", STR_ARG(r.id),
		   ours ? "(this host) found:" : "claims to have found (nobody here has checked):");
	for (size_t i = 0; i < r.results_n; i++) {
		const struct authres_result_read *one = &r.results[i];
		buf_printf(out, "  %.*s: %.*s - %s\n", STR_ARG(one->method), STR_ARG(one->result),
			   meaning(one->method));
		for (size_t j = 0; j < one->properties_n; j++)
			buf_printf(out, "      %.*s = %.*s\n", STR_ARG(one->properties[j].name),
				   STR_ARG(one->properties[j].value));
		if (one->reason.n > 0)
			buf_printf(out, "      because: %.*s\n", STR_ARG(one->reason));
	}
}

static const struct fail *take_hostname(struct ctl *c, str *out)
{
	*out = ctl_option(c, "hostname");
	if (out->n > 0)
		return NULL;
	if (ctl_config(c) == NULL)
		*out = c->config->server_hostname;
	else
		*out = config_default(c->arena)->server_hostname;
	return NULL;
}

/* Ours stand above our Received: everything that a stranger wrote in our name was taken out on entry. */
static bool is_ours(struct ctl *c, str header, const struct header_field *f, str hostname,
		    const struct way *w)
{
	struct header_field received;

	if (w->trusted == 0 || !header_find(header, S("Received"), w->trusted - 1, &received))
		return false;
	return f->raw.p < received.raw.p && authres_is_from(c->arena, f->value, hostname);
}

static const struct fail *explain(struct ctl *c, struct buf *out)
{
	struct way *w = arena_new_of(c->arena, struct way);
	struct header_field f;
	str text, hostname, header;

	TRY(take_hostname(c, &hostname));
	TRY(ctl_read_mail(c, c->arguments[0], &text));
	header = str_slice(text, 0, header_length(text));
	read_way(c, header, hostname, w);
	print_way(c, w);
	if (c->json)
		return NULL;
	for (size_t i = 0; header_find(header, S("Authentication-Results"), i, &f); i++)
		print_results(c, out, f.value, is_ours(c, header, &f, hostname, w));
	return NULL;
}

enum exit_status ctl_header(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, HEADER_OUTPUT);
	const struct fail *f = explain(c, out);

	if (f)
		return ctl_fail(c, f, "read the message");
	ctl_print(buf_str(out));
	return EXIT_OK;
}
